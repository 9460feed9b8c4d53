//! Groups, hosts and their variables as the files have them, in their order, before precedence.
//!
//! Contract: what is added twice is merged as Ansible does: the later value of a variable counts, a warning names both
//! places where they stand in one file. The numbers of hosts and groups are bounded.

use std::collections::BTreeMap;
use std::rc::Rc;

use indexmap::{IndexMap, IndexSet};

use super::address;
use super::ranges::{self, MAX_HOSTS};
use super::values::text_of;
use crate::yaml::{KeyPath, Location, Node, Sink, Value};

/// More groups than this are refused.
const MAX_GROUPS: usize = 1_000;

/// Variables by name, with their places.
pub(super) type Variables = BTreeMap<String, Rc<Node>>;

/// A group as the files have it.
#[derive(Debug, Default, Clone)]
pub(super) struct Group {
    /// What stands in the inventory itself.
    pub(super) variables: Variables,
    /// Hosts that it names itself.
    pub(super) hosts: IndexSet<String>,
    /// Its children, each with the place where it is named.
    pub(super) children: IndexMap<String, Place>,
    /// `ansible_group_priority`, where it is set.
    pub(super) priority: Option<i64>,
}

/// A place in a file, and what stands there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) at: Location,
    pub(super) path: KeyPath,
}

impl Place {
    /// Reports a problem of this place.
    pub(super) fn report(&self, sink: &Sink, message: impl Into<String>) {
        sink.report_at(&self.at, self.path.to_string(), message);
    }

    /// A text at this place, as a number of YAML.
    fn number(&self, text: &str) -> Node {
        let value = Value::Scalar { text: text.to_owned(), plain: true };
        Node { at: self.at.clone(), path: self.path.key("ansible_port"), tag: None, value }
    }
}

/// All that the files hold.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) groups: IndexMap<String, Group>,
    pub(super) hosts: IndexMap<String, Variables>,
}

impl Draft {
    /// What every inventory begins with.
    pub(super) fn new() -> Self {
        let groups = ["all", "ungrouped"].map(|name| (name.to_owned(), Group::default()));
        Self { groups: groups.into_iter().collect(), hosts: IndexMap::new() }
    }

    /// Adds a group where it is new.
    pub(super) fn add_group(&mut self, name: &str, place: &Place, sink: &Sink) {
        if self.groups.contains_key(name) {
            return;
        }
        if self.groups.len() >= MAX_GROUPS {
            place.report(sink, format!("more than {MAX_GROUPS} groups"));
        } else if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) || name.starts_with('.') {
            place.report(sink, format!("{name:?} is no name of a group"));
        } else {
            self.groups.insert(name.to_owned(), Group::default());
        }
    }

    /// Makes `child` a child of `group`; nothing happens where either was refused.
    pub(super) fn add_child(&mut self, group: &str, child: &str, place: &Place) {
        if self.groups.contains_key(child)
            && let Some(group) = self.groups.get_mut(group)
        {
            group.children.entry(child.to_owned()).or_insert_with(|| place.clone());
        }
    }

    /// Sets a variable of a group.
    pub(super) fn set_of_group(&mut self, group: &str, name: &str, value: Node, sink: &Sink) {
        let Some(group) = self.groups.get_mut(group) else { return };
        if name != "ansible_group_priority" {
            set(&mut group.variables, name, value, sink);
            return;
        }
        match text_of(&value).trim().parse() {
            Ok(priority) => group.priority = Some(priority),
            Err(_) => sink.report(&value, "must be a whole number"),
        }
    }

    /// Adds the hosts that a pattern with an optional port stands for; gives their names.
    pub(super) fn add_hosts(&mut self, group: &str, pattern: &str, place: &Place, sink: &Sink) -> Vec<String> {
        let (pattern, port) = address::parse(pattern).unwrap_or((pattern, None));
        let mut names = ranges::expand(pattern).unwrap_or_else(|message| {
            place.report(sink, message);
            Vec::new()
        });
        names.retain(|name| is_name(name) || is_refused(name, place, sink));
        if self.hosts.len() + names.len() > MAX_HOSTS {
            place.report(sink, format!("more than {MAX_HOSTS} hosts"));
            return Vec::new();
        }
        for name in &names {
            self.add_host(group, name, port.map(|port| place.number(port)));
        }
        names
    }

    /// As in Ansible, a port behind the name counts where the host is named first.
    fn add_host(&mut self, group: &str, name: &str, port: Option<Node>) {
        let variables = self.hosts.entry(name.to_owned());
        variables.or_insert_with(|| port.map(|port| ("ansible_port".to_owned(), Rc::new(port))).into_iter().collect());
        if let Some(group) = self.groups.get_mut(group) {
            group.hosts.insert(name.to_owned());
        }
    }

    /// Sets a variable of each of the hosts.
    pub(super) fn set_of_hosts(&mut self, hosts: &[String], name: &str, value: &Node, sink: &Sink) {
        for host in hosts {
            if let Some(variables) = self.hosts.get_mut(host) {
                set(variables, name, value.clone(), sink);
            }
        }
    }
}

/// The later value counts.
fn set(variables: &mut Variables, name: &str, value: Node, sink: &Sink) {
    if let Some(first) = variables.get(name)
        && first.at.file == value.at.file
        && text_of(first) != text_of(&value)
    {
        sink.warn(value.problem(format!("counts instead of the value at line {}", first.at.line)));
    }
    variables.insert(name.to_owned(), Rc::new(value));
}

fn is_refused(name: &str, place: &Place, sink: &Sink) -> bool {
    place.report(sink, format!("{name:?} is no name of a host"));
    false
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '!', '&', '~', '@', '.'])
        && !name.ends_with(':')
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || ",*?{}/@[]".contains(c))
}
