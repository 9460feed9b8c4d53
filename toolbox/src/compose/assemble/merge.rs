//! One tree over another, by the rules of the Compose Specification's chapter "Merge": mappings are merged, lists are
//! appended, single values are replaced; resources with a key of their own are replaced by that key; `!reset` takes a
//! value away and `!override` puts one in its place.

use std::path::Path;

use super::shape;
use crate::compose::source::clean;
use crate::yaml::{Entry, Node, Sink, Value};

pub(super) const RESET: &str = "!reset";
pub(super) const OVERRIDE: &str = "!override";

/// How two values at one place become one.
enum Rule {
    /// Mappings merge, lists append, the rest is replaced.
    Plain,
    /// The later one alone counts.
    Replace,
    /// Both are brought into a comparable form, then merged.
    As(fn(Node) -> Node),
    /// Both are `KEY=value`: a key without a value counts, too.
    Pairs,
    /// List items with the same key replace each other.
    Keyed(fn(&Node) -> Option<String>),
    /// As `Plain`, unless the drivers differ.
    Logging,
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "healthcheck", "test"]
        | ["services", _, "ulimits", _]
        | ["services", _, "x-toolbox", "hooks", _] => Rule::Replace,
        ["services", _, "annotations" | "environment" | "labels" | "storage_opt" | "sysctls"]
        | ["services", _, "build", "args" | "labels"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes" | "configs" | "secrets", _, "labels"] => Rule::Pairs,
        ["services", _, "depends_on"] => Rule::As(shape::dependencies),
        ["services", _, "networks"] => Rule::As(shape::names),
        ["services", _, "extra_hosts"] => Rule::As(shape::hosts),
        ["services", _, "build"] => Rule::As(shape::build),
        ["services", _, "dns" | "dns_opt" | "dns_search" | "label_file" | "profiles" | "tmpfs"]
        | ["services", _, "x-toolbox", "hosts"] => Rule::As(shape::list),
        ["services", _, "logging"] => Rule::Logging,
        ["services", _, "volumes"] => Rule::Keyed(mount_target),
        ["services", _, "devices"] => Rule::Keyed(mount_target),
        ["services", _, "configs"] => Rule::Keyed(|item| file_target(item, "/")),
        ["services", _, "secrets"] => Rule::Keyed(|item| file_target(item, "/run/secrets")),
        ["services", _, "env_file"] => Rule::Keyed(|item| text_or(item, &["path"])),
        ["networks", _, "ipam", "config"] => Rule::Keyed(|item| text_or(item, &["subnet"])),
        _ => Rule::Plain,
    }
}

/// `over` laid over `base`, both whole files.
pub(super) fn merge(sink: &Sink, base: Node, over: Node) -> Node {
    Merge { sink, path: Vec::new() }.node(base, over)
}

/// The same for one service.
pub(super) fn merge_service(sink: &Sink, base: Node, over: Node) -> Node {
    Merge { sink, path: vec!["services".into(), String::new()] }.node(base, over)
}

/// A tree that lies over nothing: what is taken away is gone, what replaces is simply there.
pub(super) fn settled(mut node: Node) -> Node {
    if is(&node, OVERRIDE) {
        node.tag = None;
    }
    node.value = match node.value {
        Value::Seq(items) => Value::Seq(items.into_iter().filter(|item| !is(item, RESET)).map(settled).collect()),
        Value::Map(entries) => {
            let kept = entries.into_iter().filter(|entry| !is(&entry.value, RESET));
            Value::Map(kept.map(|entry| Entry { value: settled(entry.value), ..entry }).collect())
        }
        other => other,
    };
    node
}

fn is(node: &Node, tag: &str) -> bool {
    node.tag.as_deref() == Some(tag)
}

struct Merge<'s> {
    sink: &'s Sink,
    path: Vec<String>,
}

impl Merge<'_> {
    fn rule(&self) -> Rule {
        rule(&self.path.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn node(&mut self, base: Node, over: Node) -> Node {
        if is(&over, OVERRIDE) {
            return settled(over);
        }
        if over.is_null() {
            return base;
        }
        if base.is_null() {
            return settled(over);
        }
        match self.rule() {
            Rule::Replace => settled(over),
            Rule::Plain => self.plain(base, over),
            Rule::As(form) => self.plain(form(base), form(over)),
            Rule::Pairs => self.pairs(shape::pairs(base), shape::pairs(over)),
            Rule::Keyed(key) => self.keyed(shape::list(base), shape::list(over), key),
            Rule::Logging => self.logging(base, over),
        }
    }

    fn plain(&mut self, base: Node, over: Node) -> Node {
        match (base.value, over.value) {
            (Value::Map(entries), Value::Map(new)) => {
                let value = Value::Map(self.entries(entries, new, true));
                Node { value, at: base.at, path: base.path, tag: base.tag }
            }
            (Value::Seq(items), Value::Seq(new)) => {
                Node { value: Value::Seq(appended(items, new)), at: base.at, path: base.path, tag: base.tag }
            }
            (Value::Scalar { .. }, value @ Value::Scalar { .. }) => Node { value, ..over },
            (was, value) => {
                let (was, now) = (Node { value: was, ..base }, Node { value, ..over });
                self.mismatch(&was, &now);
                now
            }
        }
    }

    /// Entries of `new` over those there; with `deep` their values are merged, else replaced.
    fn entries(&mut self, mut all: Vec<Entry>, new: Vec<Entry>, deep: bool) -> Vec<Entry> {
        for entry in new {
            let place = all.iter().position(|there| there.key == entry.key);
            if is(&entry.value, RESET) {
                place.map(|place| all.remove(place));
                continue;
            }
            match place {
                Some(place) if deep => {
                    let base = all[place].value.clone();
                    self.path.push(entry.key.to_string());
                    all[place].value = self.node(base, entry.value);
                    self.path.pop();
                }
                Some(place) => all[place] = Entry { value: settled(entry.value), ..entry },
                None => all.push(Entry { value: settled(entry.value), ..entry }),
            }
        }
        all
    }

    fn pairs(&mut self, base: Node, over: Node) -> Node {
        match (base.value, over.value) {
            (Value::Map(entries), Value::Map(new)) => {
                let value = Value::Map(self.entries(entries, new, false));
                Node { value, at: base.at, path: base.path, tag: base.tag }
            }
            (was, value) => self.plain(Node { value: was, ..base }, Node { value, ..over }),
        }
    }

    fn keyed(&mut self, base: Node, over: Node, key: fn(&Node) -> Option<String>) -> Node {
        match (base.value, over.value) {
            (Value::Seq(mut items), Value::Seq(new)) => {
                for item in new.into_iter().filter(|item| !is(item, RESET)).map(settled) {
                    let name = key(&item);
                    match items.iter().position(|there| name.is_some() && key(there) == name) {
                        Some(place) => items[place] = item,
                        None => items.push(item),
                    }
                }
                Node { value: Value::Seq(items), at: base.at, path: base.path, tag: base.tag }
            }
            (was, value) => self.plain(Node { value: was, ..base }, Node { value, ..over }),
        }
    }

    /// Options of one log driver mean nothing to another.
    fn logging(&mut self, base: Node, over: Node) -> Node {
        match (base.get("driver"), over.get("driver")) {
            (Some(was), Some(now)) if !shape::same(was, now) => settled(over),
            _ => self.plain(base, over),
        }
    }

    fn mismatch(&self, base: &Node, over: &Node) {
        let (file, line) = (base.at.file.display(), base.at.line);
        let message = format!("is {} here and {} in {file}:{line}", over.kind(), base.kind());
        self.sink.report_hint(over, message, "write both in one form, or !override before this one");
    }
}

/// Later items after the earlier ones, a text that stands there already left out.
fn appended(mut items: Vec<Node>, new: Vec<Node>) -> Vec<Node> {
    for item in new.into_iter().filter(|item| !is(item, RESET)) {
        if !items.iter().any(|there| shape::same(there, &item)) {
            items.push(settled(item));
        }
    }
    items
}

/// A text, or the first of the keys that a mapping has.
fn text_or(item: &Node, keys: &[&str]) -> Option<String> {
    let node = match item.value {
        Value::Map(_) => keys.iter().find_map(|key| item.get(key))?,
        _ => item,
    };
    match &node.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// Where a mount or a device stands in the container.
fn mount_target(item: &Node) -> Option<String> {
    let text = text_or(item, &["target", "source"])?;
    let target = match item.value {
        Value::Map(_) => &text,
        _ => text.split(':').nth(1).unwrap_or(&text),
    };
    Some(clean(Path::new(target)).to_string_lossy().into_owned())
}

/// Where a config or secret stands in the container.
fn file_target(item: &Node, directory: &str) -> Option<String> {
    let text = text_or(item, &["target", "source"])?;
    Some(clean(&Path::new(directory).join(text)).to_string_lossy().into_owned())
}
