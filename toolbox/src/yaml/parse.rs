//! From YAML text to nodes: aliases, merges, duplicate keys, bounds.
//!
//! The events are pulled one at a time: the parser's own tree builders recurse with the input's depth, so a deep file
//! would end the process before any limit of ours could.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{Entry, KeyPath, Location, Node, Problem, Sink, Value};

/// How deep mappings and sequences may be nested, aliases followed.
const MAX_DEPTH: usize = 64;
/// Nodes of one file, aliases followed.
const MAX_NODES: usize = 50_000;
/// Bytes of all scalars and keys of one file, aliases followed.
const MAX_TEXT: usize = 8 * 1024 * 1024;

/// Parses the one document of `text`; an empty one is null.
///
/// Duplicate keys and tags that are not YAML's own are reported; `None` after an error that ends the parse.
pub fn parse(file: &Path, text: &str, sink: &Sink) -> Option<Node> {
    let root = parse_tagged(file, text, sink)?;
    refuse_tags(&root, &[], sink);
    Some(root)
}

/// Reports every foreign tag that is not among these.
pub fn refuse_tags(node: &Node, known: &[&str], sink: &Sink) {
    if let Some(tag) = node.tag.as_deref().filter(|tag| !known.contains(tag)) {
        sink.report(node, format!("the tag {tag} is not supported"));
    }
    match &node.value {
        Value::Seq(items) => items.iter().for_each(|item| refuse_tags(item, known, sink)),
        Value::Map(entries) => entries.iter().for_each(|entry| refuse_tags(&entry.value, known, sink)),
        Value::Null | Value::Scalar { .. } => {}
    }
}

/// The same, with foreign tags kept in the nodes for the caller to judge.
pub fn parse_tagged(file: &Path, text: &str, sink: &Sink) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match Builder::new(file, sink).run(text) {
        Ok(mut root) => {
            root.set_path(KeyPath::default());
            Some(root)
        }
        Err(problem) => {
            sink.push(*problem);
            None
        }
    }
}

type Step<T> = Result<T, Box<Problem>>;

/// A collection whose end has not been seen.
struct Open {
    node: Node,
    anchor: usize,
    /// Keys and values of a mapping in turn; a key waits here for its value.
    key: Option<Key>,
    /// The lines of the keys written so far.
    lines: HashMap<Arc<str>, usize>,
    /// Entries that `<<` brought: they give way to written ones.
    merged: Vec<Entry>,
}

impl Open {
    fn new(node: Node, anchor: usize) -> Self {
        Self { node, anchor, key: None, lines: HashMap::new(), merged: Vec::new() }
    }

    /// The whole node, merged entries after the written ones.
    fn close(mut self) -> Node {
        if let Value::Map(entries) = &mut self.node.value {
            for entry in self.merged {
                if self.lines.insert(Arc::clone(&entry.key), entry.at.line).is_none() {
                    entries.push(entry);
                }
            }
        }
        self.node
    }
}

/// A key that waits for its value.
enum Key {
    Named(Arc<str>, Location),
    Merge,
    /// Reported already; its value is dropped.
    Bad,
}

struct Builder<'s> {
    file: Arc<Path>,
    sink: &'s Sink,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
    text: usize,
}

impl<'s> Builder<'s> {
    fn new(file: &Path, sink: &'s Sink) -> Self {
        Self { file: file.into(), sink, open: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0, text: 0 }
    }

    fn run(mut self, text: &str) -> Step<Node> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|e| {
                Box::new(self.at(*e.marker()).problem(String::new(), format!("invalid YAML: {}", e.info())))
            })?;
            let at = self.at(span.start);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(fatal(&at, "more than one YAML document in the file"));
                    }
                }
                other => self.event(other, at)?,
            }
        }
        let start = self.at(Marker::new(0, 1, 0));
        Ok(self.root.unwrap_or_else(|| node(start, None, Value::Null)))
    }

    fn at(&self, marker: Marker) -> Location {
        Location { file: Arc::clone(&self.file), line: marker.line(), column: marker.col() + 1 }
    }

    fn event(&mut self, event: Event<'_>, at: Location) -> Step<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                self.add(node(at, tag.as_deref(), value), anchor)
            }
            Event::SequenceStart(anchor, tag) => self.open(node(at, tag.as_deref(), Value::Seq(Vec::new())), anchor),
            Event::MappingStart(anchor, tag) => self.open(node(at, tag.as_deref(), Value::Map(Vec::new())), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => {
                    let anchor = done.anchor;
                    self.attach(done.close(), anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor).cloned() else {
                    return Err(fatal(&at, "an alias inside its own anchor"));
                };
                self.count(&target, &at)?;
                self.attach(target, 0)
            }
            _ => Ok(()),
        }
    }

    /// The path of what is being read, before the tree exists.
    fn open_path(&self) -> KeyPath {
        self.open.iter().fold(KeyPath::default(), |path, open| match (&open.key, &open.node.value) {
            (Some(Key::Named(key, _)), _) => path.key(key),
            (_, Value::Seq(items)) => path.index(items.len()),
            _ => path,
        })
    }

    fn open(&mut self, node: Node, anchor: usize) -> Step<()> {
        self.count(&node, &node.at)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(fatal(&node.at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open::new(node, anchor));
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Step<()> {
        self.count(&node, &node.at)?;
        self.attach(node, anchor)
    }

    /// Puts a finished node where it belongs: the root, an item, a key or a value.
    fn attach(&mut self, node: Node, anchor: usize) -> Step<()> {
        if anchor > 0 {
            self.count(&node, &node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        let path = self.open_path();
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut parent.node.value, parent.key.take()) {
            (Value::Seq(items), _) => items.push(node),
            (Value::Map(_), None) => parent.key = Some(read_key(node, &mut parent.lines, &path, self.sink)),
            (Value::Map(entries), Some(Key::Named(key, at))) => entries.push(Entry { key, at, value: node }),
            (Value::Map(_), Some(Key::Merge)) => merge(&mut parent.merged, node, &path, self.sink),
            _ => {}
        }
        Ok(())
    }

    /// Counts a subtree against the limits.
    fn count(&mut self, node: &Node, at: &Location) -> Step<()> {
        let size = measure(node);
        self.nodes += size.nodes;
        self.text += size.text;
        if self.open.len() + size.depth > MAX_DEPTH {
            return Err(fatal(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            return Err(fatal(at, "too large once its aliases are followed"));
        }
        Ok(())
    }
}

fn node(at: Location, tag: Option<&Tag>, value: Value) -> Node {
    Node { at, path: KeyPath::default(), tag: tag.and_then(foreign), value }
}

/// The tag's text, unless it is one of YAML's own.
fn foreign(tag: &Tag) -> Option<Arc<str>> {
    const CORE: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
    let core = core_name(tag).is_some_and(|name| CORE.contains(&name));
    (!core && !is_non_specific(tag)).then(|| tag.to_string().into())
}

/// The part after `!!`; a verbatim tag has no handle.
fn core_name(tag: &Tag) -> Option<&str> {
    const CORE: &str = "tag:yaml.org,2002:";
    match tag.handle.as_str() {
        CORE => Some(&tag.suffix),
        "" => tag.suffix.strip_prefix(CORE),
        _ => None,
    }
}

/// The bare `!`, which makes a text of a plain scalar.
fn is_non_specific(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!"
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let text_by_tag = tag.is_some_and(|tag| is_non_specific(tag) || core_name(tag) == Some("str"));
    let plain = style == ScalarStyle::Plain && !text_by_tag;
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar { text: text.to_owned(), plain }
}

fn fatal(at: &Location, message: impl Into<String>) -> Box<Problem> {
    Box::new(at.problem(String::new(), message))
}

struct Size {
    nodes: usize,
    text: usize,
    depth: usize,
}

fn measure(node: &Node) -> Size {
    let mut size = Size { nodes: 1, text: 0, depth: 0 };
    let child = |size: &mut Size, node: &Node| {
        let below = measure(node);
        size.nodes += below.nodes;
        size.text += below.text;
        size.depth = size.depth.max(below.depth + 1);
    };
    match &node.value {
        Value::Null => {}
        Value::Scalar { text, .. } => size.text = text.len(),
        Value::Seq(items) => items.iter().for_each(|item| child(&mut size, item)),
        Value::Map(entries) => entries.iter().for_each(|entry| {
            size.text += entry.key.len();
            child(&mut size, &entry.value);
        }),
    }
    size
}

/// What a node means as a key.
fn read_key(node: Node, lines: &mut HashMap<Arc<str>, usize>, path: &KeyPath, sink: &Sink) -> Key {
    let Value::Scalar { text, plain } = &node.value else {
        let message = format!("a key must be a single value, not {}", node.kind());
        sink.report_at(&node.at, path.to_string(), message);
        return Key::Bad;
    };
    if *plain && text == "<<" {
        return Key::Merge;
    }
    let key: Arc<str> = text.as_str().into();
    if let Some(first) = lines.get(&key) {
        let message = format!("duplicate key (first at line {first})");
        sink.report_at(&node.at, path.key(text).to_string(), message);
        return Key::Bad;
    }
    lines.insert(Arc::clone(&key), node.at.line);
    Key::Named(key, node.at)
}

/// `<<`: its mappings, of which the earlier win.
fn merge(merged: &mut Vec<Entry>, source: Node, path: &KeyPath, sink: &Sink) {
    match source.value {
        Value::Map(mut entries) => merged.append(&mut entries),
        Value::Seq(sources) => sources.into_iter().for_each(|source| merge(merged, source, path, sink)),
        _ => sink.report_at(&source.at, path.key("<<").to_string(), "must be a mapping or a list of mappings"),
    }
}
