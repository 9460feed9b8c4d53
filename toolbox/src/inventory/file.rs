//! From the file to groups, hosts and their variables, before precedence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::host::text_of;
use super::ranges::{self, MAX_HOSTS};
use super::{Inventory, Problem, Problems, precedence};
use crate::yaml::{self, Entry, Node, Sink, Value, read_text};

/// More groups than this are refused; what is done with them is quadratic and recursive.
const MAX_GROUPS: usize = 1_000;

/// Variables by name, with their places.
pub(super) type Variables = BTreeMap<String, Node>;

/// A group as the file has it.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) variables: Variables,
    /// Hosts that it names itself.
    pub(super) hosts: BTreeSet<String>,
    /// Its children, each with the place where it is named.
    pub(super) children: BTreeMap<String, Node>,
}

/// The file's content.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) hosts: BTreeMap<String, Variables>,
}

impl Inventory {
    /// Reads an inventory in Ansible's YAML format.
    ///
    /// # Errors
    /// All problems of the file.
    pub fn from_file(path: &Path) -> Result<Self, Problems> {
        let text = read_text(path).map_err(|message| Problem::of_file(path, message))?;
        Self::from_text(path, &text)
    }

    /// Reads the text of an inventory; `path` is only for messages.
    pub(super) fn from_text(path: &Path, text: &str) -> Result<Self, Problems> {
        let sink = Sink::default();
        let inventory = yaml::parse_tagged(path, text, &sink).map(|root| {
            let draft = draft(&root, &sink);
            precedence::resolve(&draft, &sink)
        });
        sink.finish(inventory)
    }
}

fn draft(root: &Node, sink: &Sink) -> Draft {
    let mut draft = Draft::default();
    draft.groups.insert("all".into(), Group::default());
    draft.groups.insert("ungrouped".into(), Group::default());
    if !matches!(root.value, Value::Map(_)) {
        sink.report_hint(root, "holds no groups", "the format is Ansible's YAML inventory: all: {hosts: {web: }}");
        return draft;
    }
    for entry in yaml::entries(sink, root) {
        read_group(&mut draft, entry, sink);
    }
    if draft.hosts.is_empty() && !sink.has_problems() {
        sink.report(root, "holds no hosts");
    }
    draft
}

fn read_group(draft: &mut Draft, entry: &Entry, sink: &Sink) {
    let name = entry.key.to_string();
    if draft.groups.len() >= MAX_GROUPS && !draft.groups.contains_key(&name) {
        sink.report(&entry.value, format!("more than {MAX_GROUPS} groups"));
        return;
    }
    draft.groups.entry(name.clone()).or_default();
    yaml::check_keys(sink, &entry.value, &["hosts", "vars", "children"], &[]);
    let section = |key| entry.value.get(key).map_or(&[][..], |node| yaml::entries(sink, node));
    for variable in section("vars") {
        let variables = &mut draft.groups.entry(name.clone()).or_default().variables;
        add_variable(variables, &variable.key, &variable.value, sink);
    }
    for host in section("hosts") {
        read_host(draft, &name, host, sink);
    }
    for child in section("children") {
        let group = draft.groups.entry(name.clone()).or_default();
        group.children.entry(child.key.to_string()).or_insert_with(|| child.value.clone());
        read_group(draft, child, sink);
    }
}

fn read_host(draft: &mut Draft, group: &str, entry: &Entry, sink: &Sink) {
    let (pattern, port) = split_port(&entry.key);
    let names = ranges::expand(pattern).unwrap_or_else(|message| {
        sink.report_at(&entry.at, entry.value.path.to_string(), message);
        Vec::new()
    });
    if draft.hosts.len() + names.len() > MAX_HOSTS {
        sink.report_at(&entry.at, entry.value.path.to_string(), format!("more than {MAX_HOSTS} hosts"));
        return;
    }
    for name in names {
        if !is_name(&name) {
            sink.report_at(&entry.at, entry.value.path.to_string(), format!("{name:?} is no name of a host"));
            continue;
        }
        let variables = draft.hosts.entry(name.clone()).or_default();
        if let Some(port) = port {
            let value = Value::Scalar { text: port.to_owned(), plain: true };
            add_variable(variables, "ansible_port", &Node { value, ..entry.value.clone() }, sink);
        }
        for variable in yaml::entries(sink, &entry.value) {
            add_variable(variables, &variable.key, &variable.value, sink);
        }
        draft.groups.entry(group.to_owned()).or_default().hosts.insert(name);
    }
}

/// `name:2222` is a host with a port, unless the colon belongs to a range or an IPv6 address.
fn split_port(key: &str) -> (&str, Option<&str>) {
    match key.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && key.parse::<std::net::Ipv6Addr>().is_err() =>
        {
            (name, Some(port))
        }
        _ => (key, None),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '!', '&', '~', '@'])
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || ",*?{}/@".contains(c))
}

/// A variable may be written twice, with the same value.
fn add_variable(variables: &mut Variables, name: &str, value: &Node, sink: &Sink) {
    match variables.get(name) {
        Some(first) if text_of(first) != text_of(value) => {
            sink.report(value, format!("conflicts with the value at line {}", first.at.line));
        }
        Some(_) => {}
        None => {
            variables.insert(name.to_owned(), value.clone());
        }
    }
}
