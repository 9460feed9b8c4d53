//! A YAML node that knows where it stands.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::Problem;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was named.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Location {
    /// A problem at this place.
    pub fn problem(&self, path: String, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.to_path_buf(),
            line: Some(self.line),
            column: Some(self.column),
            path,
            message: message.into(),
            hint: None,
        }
    }
}

/// The keys and indexes that lead to a node; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPath(Option<Arc<(KeyPath, Segment)>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(Arc<str>),
    Index(usize),
}

impl KeyPath {
    /// The path of the value under `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(Some(Arc::new((self.clone(), Segment::Key(key.into())))))
    }

    /// The path of the item at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(Some(Arc::new((self.clone(), Segment::Index(index)))))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(step) = &self.0 else { return Ok(()) };
        let (parent, segment) = step.as_ref();
        write!(f, "{parent}")?;
        match segment {
            Segment::Key(key) if parent.0.is_none() => write!(f, "{key}"),
            Segment::Key(key) => write!(f, ".{key}"),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is written (for an aliased node: where the anchor stands).
    pub at: Location,
    /// Where it is used.
    pub path: KeyPath,
    /// A tag that is none of YAML's own, such as `!vault`.
    pub tag: Option<Arc<str>>,
    /// What it holds.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar, as written.
    Scalar {
        /// Its text, quotes and escapes resolved.
        text: String,
        /// It stood without quotes, so `true` means the boolean.
        plain: bool,
    },
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping in the file's order, keys unique.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where the key is written.
    pub at: Location,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value under `key` of a mapping, unless it is null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    /// The value under `key` of a mapping, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => {
                let found = entries.iter_mut().find(|entry| &*entry.key == key);
                found.map(|entry| &mut entry.value)
            }
            _ => None,
        }
    }

    /// The entry under `key` of a mapping.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| &*entry.key == key),
            _ => None,
        }
    }

    /// Takes the entry under `key` out of a mapping.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let place = entries.iter().position(|entry| &*entry.key == key)?;
        Some(entries.remove(place).value)
    }

    /// Adds an entry to a mapping, unless its key is there.
    pub fn put_if_new(&mut self, entry: Entry) {
        if let Value::Map(entries) = &mut self.value
            && !entries.iter().any(|there| there.key == entry.key)
        {
            entries.push(entry);
        }
    }

    /// Whether it holds nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What it is, for messages: `a mapping`.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// A problem of this node.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        self.at.problem(self.path.to_string(), message)
    }

    /// Sets the paths of this node and of all below it.
    pub(super) fn set_path(&mut self, path: KeyPath) {
        match &mut self.value {
            Value::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.set_path(path.index(index));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    entry.value.set_path(path.key(&entry.key));
                }
            }
            Value::Null | Value::Scalar { .. } => {}
        }
        self.path = path;
    }

    /// Applies `change` to the text of every scalar below this node; the closure sees the node's place.
    pub fn map_scalars(&mut self, change: &mut impl FnMut(&Location, &KeyPath, &str) -> Option<String>) {
        match &mut self.value {
            Value::Scalar { text, .. } => {
                if let Some(new) = change(&self.at, &self.path, text) {
                    *text = new;
                }
            }
            Value::Seq(items) => items.iter_mut().for_each(|item| item.map_scalars(change)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.map_scalars(change)),
            Value::Null => {}
        }
    }
}
