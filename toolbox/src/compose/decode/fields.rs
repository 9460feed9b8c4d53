//! The fields of a mapping, read into the model's types; what is wrong is reported and left at its default.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::values;
use crate::compose::keys::Keys;
use crate::yaml::{self, Node, Sink, Value};

/// Reads fields of one mapping.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    /// Where problems go.
    pub(super) sink: &'a Sink,
    /// The mapping.
    pub(super) node: &'a Node,
}

impl<'a> Fields<'a> {
    /// The mapping's fields; its keys are checked.
    pub(super) fn new(sink: &'a Sink, node: &'a Node, keys: &Keys) -> Self {
        keys.check(sink, node);
        Self { sink, node }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|node| yaml::text(self.sink, node)).map(str::to_owned)
    }

    /// A text that must not be empty.
    pub(super) fn filled(&self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        if text.is_empty() {
            self.sink.report(self.get(key)?, "must not be empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.maybe_flag(key).unwrap_or(false)
    }

    pub(super) fn maybe_flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(|node| yaml::boolean(self.sink, node))
    }

    pub(super) fn integer<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key).and_then(|node| yaml::integer(self.sink, node))
    }

    pub(super) fn strings(&self, key: &str) -> Vec<String> {
        self.get(key).map(|node| yaml::strings(self.sink, node)).unwrap_or_default()
    }

    pub(super) fn pairs(&self, key: &str) -> BTreeMap<String, String> {
        self.get(key).map(|node| pairs(self.sink, node)).unwrap_or_default()
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.converted(key, values::duration)
    }

    pub(super) fn bytes(&self, key: &str) -> Option<u64> {
        self.converted(key, values::bytes)
    }

    /// A text read by `convert`, whose error becomes the problem.
    pub(super) fn converted<T>(&self, key: &str, convert: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let node = self.get(key)?;
        convert(yaml::text(self.sink, node)?).map_err(|message| self.sink.report(node, message)).ok()
    }

    /// A command: a text is split like a shell does, a list is taken as it is.
    pub(super) fn command(&self, key: &str) -> Option<Vec<String>> {
        let node = self.get(key)?;
        match &node.value {
            Value::Scalar { .. } => self.converted(key, values::words),
            _ => Some(yaml::strings(self.sink, node)),
        }
    }
}

/// `{KEY: value}` or `[KEY=value]`; a value that is missing is an empty text.
pub(super) fn pairs(sink: &Sink, node: &Node) -> BTreeMap<String, String> {
    optional_pairs(sink, node).into_iter().map(|(key, value, _)| (key, value.unwrap_or_default())).collect()
}

/// `{KEY: value}` or `[KEY=value]`; a value that is missing is `None`. With the place of each.
pub(super) fn optional_pairs<'a>(sink: &Sink, node: &'a Node) -> Vec<(String, Option<String>, &'a Node)> {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .map(|entry| {
                let value = (!entry.value.is_null()).then(|| yaml::text(sink, &entry.value).unwrap_or_default());
                (entry.key.to_string(), value.map(str::to_owned), &entry.value)
            })
            .collect(),
        Value::Seq(items) => items
            .iter()
            .filter_map(|item| Some((yaml::text(sink, item)?, item)))
            .map(|(text, item)| match text.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned()), item),
                None => (text.to_owned(), None, item),
            })
            .collect(),
        _ => {
            sink.report(node, format!("must be a mapping or a list of KEY=value, not {}", node.kind()));
            Vec::new()
        }
    }
}
