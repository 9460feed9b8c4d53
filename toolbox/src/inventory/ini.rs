//! Ansible's INI inventory format: `[group]`, `[group:children]`, `[group:vars]`, host lines with variables.
//!
//! Read as Ansible's `ini` plugin does: host lines are split into words as a shell would, with `#` for comments; lines
//! of variables are taken as they are; both kinds of values are Python literals where they can be, texts otherwise.
//! Children and sections of variables may name groups that are declared further down.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use regex::Regex;

use super::draft::{Draft, Place};
use super::{literal, words};
use crate::yaml::{KeyPath, Location, Node, Sink, Value};

static SECTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$").unwrap_or_else(|e| unreachable!("{e}")));
static GROUP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([^:\]\s]+)\s*(?:#.*)?$").unwrap_or_else(|e| unreachable!("{e}")));

/// Adds what a file holds.
pub(super) fn read(draft: &mut Draft, path: &Path, text: &str, sink: &Sink) {
    let at = Location { file: Arc::from(path), line: 0, column: 1 };
    let mut reader =
        Reader { draft, sink, at, group: "ungrouped".to_owned(), kind: Kind::Hosts, awaited: IndexMap::new() };
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        reader.at.line = index + 1;
        reader.at.column = 1 + line.chars().take_while(|c| c.is_whitespace()).count();
        reader.line(line.trim());
    }
    reader.report_awaited();
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hosts,
    Children,
    Vars,
}

/// A group that was named and not declared yet.
struct Awaited {
    place: Place,
    kind: Kind,
    /// The groups that have it as a child, each with the place of the line.
    parents: Vec<(String, Place)>,
}

struct Reader<'a> {
    draft: &'a mut Draft,
    sink: &'a Sink,
    /// Of the line.
    at: Location,
    group: String,
    kind: Kind,
    awaited: IndexMap<String, Awaited>,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            return;
        }
        if let Some(found) = SECTION.captures(line) {
            let name = found.get(1).map_or("", |name| name.as_str()).to_owned();
            return self.section(name, found.get(2).map_or("hosts", |kind| kind.as_str()));
        }
        if line.starts_with('[') && line.ends_with(']') {
            return self.report("is no section; write [group], [group:children] or [group:vars], without blanks");
        }
        match self.kind {
            Kind::Hosts => self.hosts(line),
            Kind::Children => self.child(line),
            Kind::Vars => self.variable(line),
        }
    }

    fn section(&mut self, name: String, kind: &str) {
        self.kind = match kind {
            "hosts" => Kind::Hosts,
            "children" => Kind::Children,
            "vars" => Kind::Vars,
            other => {
                return self.report(&format!("a section of the kind {other:?} is not known: hosts, children or vars"));
            }
        };
        let place = self.place(KeyPath::default().key(&name));
        let is_new = !self.draft.groups.contains_key(&name);
        if is_new && self.kind == Kind::Vars {
            let awaited = Awaited { place: place.clone(), kind: Kind::Vars, parents: Vec::new() };
            self.awaited.entry(name.clone()).or_insert(awaited);
        }
        self.draft.add_group(&name, &place, self.sink);
        if self.kind != Kind::Vars
            && let Some(awaited) = self.awaited.shift_remove(&name)
        {
            awaited.parents.iter().for_each(|(parent, place)| self.draft.add_child(parent, &name, place));
        }
        self.group = name;
    }

    fn hosts(&mut self, line: &str) {
        let words = match words::split(line, true) {
            Ok(words) => words,
            Err(message) => return self.report(message),
        };
        let Some((pattern, assignments)) = words.split_first() else { return };
        if pattern.trim() == "---" {
            return self.report("--- begins a YAML file, and the rest of it is none");
        }
        let path = KeyPath::default().key(pattern);
        let hosts = self.draft.add_hosts(&self.group, pattern, &self.place(path.clone()), self.sink);
        for word in assignments {
            let Some((name, value)) = word.split_once('=') else {
                // The word is not repeated: it might be part of a secret.
                self.report("a word behind the host is no name=value");
                continue;
            };
            let value = self.value(line, name, value, &path);
            self.draft.set_of_hosts(&hosts, name, &value, self.sink);
        }
    }

    fn variable(&mut self, line: &str) {
        let Some((name, value)) = line.split_once('=') else {
            return self.report("is no name=value");
        };
        let path = KeyPath::default().key(&format!("{}:vars", self.group));
        let value = self.value(line, name.trim(), value.trim(), &path);
        self.draft.set_of_group(&self.group, name.trim(), value, self.sink);
    }

    fn child(&mut self, line: &str) {
        let Some((_, [child])) = GROUP.captures(line).map(|found| found.extract()) else {
            return self.report("is no name of a group");
        };
        let place = self.place(KeyPath::default().key(&format!("{}:children", self.group)).key(child));
        if self.draft.groups.contains_key(child) {
            return self.draft.add_child(&self.group, child, &place);
        }
        let new = || Awaited { place: place.clone(), kind: Kind::Children, parents: Vec::new() };
        self.awaited.entry(child.to_owned()).or_insert_with(new).parents.push((self.group.clone(), place.clone()));
    }

    /// A value: a Python literal, else the text.
    fn value(&self, line: &str, name: &str, value: &str, path: &KeyPath) -> Node {
        let before = line.find(&format!("{name}=")).unwrap_or(0);
        let column = self.at.column + line[..before].chars().count();
        let at = Location { column, ..self.at.clone() };
        let path = path.key(name);
        let text = || Value::Scalar { text: value.to_owned(), plain: false };
        let value = literal::parse(value, &at, &path).unwrap_or_else(text);
        Node { at, path, tag: None, value }
    }

    fn report_awaited(&self) {
        for (name, awaited) in &self.awaited {
            let message = match awaited.kind {
                Kind::Vars => format!("the group {name} has variables and is not declared: write [{name}]"),
                _ => format!("the group {name} is a child and is not declared: write [{name}]"),
            };
            self.sink.push(awaited.place.at.problem(String::new(), message));
        }
    }

    fn place(&self, path: KeyPath) -> Place {
        Place { at: self.at.clone(), path }
    }

    fn report(&self, message: &str) {
        self.sink.push(self.at.problem(String::new(), message));
    }
}
