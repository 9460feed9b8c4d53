//! Trees in comparable forms: a text for a list, `[KEY=value]` for a mapping.

use std::sync::Arc;

use crate::yaml::{Entry, Location, Node, Value};

/// Whether two trees hold the same, wherever they stand and in whatever order their keys are.
pub(super) fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b,
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(other)) => {
            let found = |entry: &Entry| b.entry(&entry.key).is_some_and(|there| same(&entry.value, &there.value));
            a.len() == other.len() && a.iter().all(found)
        }
        _ => false,
    }
}

/// The mapping under `key`, made where there is none.
pub(super) fn section<'t>(tree: &'t mut Node, key: &str, at: &Location) -> &'t mut Node {
    let there = tree.get(key).is_some();
    if !there {
        tree.remove(key);
        let value = Node { at: at.clone(), path: tree.path.key(key), tag: None, value: Value::Map(Vec::new()) };
        tree.put_if_new(Entry { key: key.into(), at: at.clone(), value });
    }
    tree.get_mut(key).unwrap_or_else(|| unreachable!("the section was made above"))
}

/// `[A=1, B]` and `{A: 1, B: }` as a mapping; what is neither stays.
pub(super) fn pairs(node: Node) -> Node {
    listed(node, |item| {
        let Value::Scalar { text, .. } = &item.value else {
            return None;
        };
        Some(match text.split_once('=') {
            Some((key, value)) => (key.into(), with_text(item, value)),
            None => (text.as_str().into(), Node { value: Value::Null, ..item.clone() }),
        })
    })
}

/// `[a, b]` as `{a: , b: }`.
pub(super) fn names(node: Node) -> Node {
    listed(node, |item| named(item).map(|name| (name, Node { value: Value::Null, ..item.clone() })))
}

/// `depends_on: [a]` in its long form.
pub(super) fn dependencies(node: Node) -> Node {
    listed(node, |item| {
        let entry =
            |key: &str, text: &str| Entry { key: key.into(), at: item.at.clone(), value: with_text(item, text) };
        let long = vec![entry("condition", "service_started"), entry("required", "true")];
        named(item).map(|name| (name, Node { value: Value::Map(long), ..item.clone() }))
    })
}

/// `build: DIRECTORY` in its long form.
pub(super) fn build(node: Node) -> Node {
    match node.value {
        Value::Scalar { .. } => {
            let entry = Entry { key: "context".into(), at: node.at.clone(), value: node.clone() };
            Node { value: Value::Map(vec![entry]), ..node }
        }
        _ => node,
    }
}

/// A text as a list of one.
pub(super) fn list(node: Node) -> Node {
    match node.value {
        Value::Scalar { .. } => Node { value: Value::Seq(vec![node.clone()]), tag: None, ..node },
        _ => node,
    }
}

/// `extra_hosts: {name: address}` as a list; a name may have several addresses.
pub(super) fn hosts(node: Node) -> Node {
    let Value::Map(entries) = &node.value else {
        return node;
    };
    let mut items = Vec::new();
    for entry in entries {
        match &list(entry.value.clone()).value {
            Value::Seq(addresses) => {
                let texts = addresses.iter().filter_map(|address| Some((address, named(address)?)));
                items.extend(texts.map(|(at, address)| with_text(at, &format!("{}={address}", entry.key))));
            }
            _ => return node,
        }
    }
    Node { value: Value::Seq(items), ..node }
}

fn named(item: &Node) -> Option<Arc<str>> {
    match &item.value {
        Value::Scalar { text, .. } => Some(text.as_str().into()),
        _ => None,
    }
}

fn with_text(item: &Node, text: &str) -> Node {
    Node { value: Value::Scalar { text: text.to_owned(), plain: false }, ..item.clone() }
}

/// A list as a mapping, of which the later entries win; the list itself where an item has no key.
fn listed(node: Node, entry: impl Fn(&Node) -> Option<(Arc<str>, Node)>) -> Node {
    let Value::Seq(items) = &node.value else {
        return node;
    };
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let Some((key, value)) = entry(item) else {
            return node;
        };
        entries.retain(|there| there.key != key);
        entries.push(Entry { key, at: item.at.clone(), value });
    }
    Node { value: Value::Map(entries), ..node }
}
