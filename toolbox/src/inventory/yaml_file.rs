//! Ansible's YAML inventory format: groups with `hosts`, `vars` and `children`.

use super::draft::{Draft, Place};
use crate::yaml::{self, Entry, Node, Sink, Value};

/// Adds what a file holds; its root is a mapping.
pub(super) fn read(draft: &mut Draft, root: &Node, sink: &Sink) {
    for entry in yaml::entries(sink, root) {
        read_group(draft, entry, sink);
    }
}

fn read_group(draft: &mut Draft, entry: &Entry, sink: &Sink) {
    let name = &*entry.key;
    draft.add_group(name, &place(entry), sink);
    yaml::check_keys(sink, &entry.value, &["hosts", "vars", "children"], &[]);
    // In the file's order, which is that of the groups and hosts.
    for part in yaml::entries(sink, &entry.value) {
        match &*part.key {
            "vars" => read_vars(draft, name, &part.value, sink),
            "children" => read_children(draft, name, &part.value, sink),
            "hosts" => read_hosts(draft, name, &part.value, sink),
            _ => {}
        }
    }
}

fn read_vars(draft: &mut Draft, group: &str, vars: &Node, sink: &Sink) {
    for variable in yaml::entries(sink, vars) {
        draft.set_of_group(group, &variable.key, variable.value.clone(), sink);
    }
}

fn read_children(draft: &mut Draft, group: &str, children: &Node, sink: &Sink) {
    for child in named(children, sink) {
        read_group(draft, &child, sink);
        draft.add_child(group, &child.key, &place(&child));
    }
}

fn read_hosts(draft: &mut Draft, group: &str, hosts: &Node, sink: &Sink) {
    for host in named(hosts, sink) {
        let place = Place { at: host.at.clone(), path: host.value.path.clone() };
        let hosts = draft.add_hosts(group, &host.key, &place, sink);
        for variable in yaml::entries(sink, &host.value) {
            draft.set_of_hosts(&hosts, &variable.key, &variable.value, sink);
        }
    }
}

fn place(entry: &Entry) -> Place {
    Place { at: entry.value.at.clone(), path: entry.value.path.clone() }
}

/// The entries of a section; a single name stands for an entry without content.
fn named(section: &Node, sink: &Sink) -> Vec<Entry> {
    match &section.value {
        Value::Scalar { text, .. } => {
            let value = Node { path: section.path.key(text), value: Value::Null, ..section.clone() };
            vec![Entry { key: text.as_str().into(), at: section.at.clone(), value }]
        }
        _ => yaml::entries(sink, section).to_vec(),
    }
}
