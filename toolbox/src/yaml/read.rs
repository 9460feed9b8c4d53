//! Reading typed values out of nodes; what does not fit is reported and read as absent.

use std::str::FromStr;

use super::nearest::nearest;
use super::{Entry, Node, Sink, Value};

/// The entries of a mapping.
pub fn entries<'a>(sink: &Sink, node: &'a Node) -> &'a [Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::Null => &[],
        _ => {
            sink.report(node, format!("must be a mapping, not {}", node.kind()));
            &[]
        }
    }
}

/// The items of a sequence.
pub fn items<'a>(sink: &Sink, node: &'a Node) -> &'a [Node] {
    match &node.value {
        Value::Seq(items) => items,
        Value::Null => &[],
        _ => {
            sink.report(node, format!("must be a list, not {}", node.kind()));
            &[]
        }
    }
}

/// The text of a scalar.
pub fn text<'a>(sink: &Sink, node: &'a Node) -> Option<&'a str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => {
            sink.report(node, format!("must be a single value, not {}", node.kind()));
            None
        }
    }
}

/// A list of texts; a single text counts as a list of one.
pub fn strings(sink: &Sink, node: &Node) -> Vec<String> {
    match &node.value {
        Value::Scalar { text, .. } => vec![text.clone()],
        _ => items(sink, node).iter().filter_map(|item| text(sink, item).map(str::to_owned)).collect(),
    }
}

/// A boolean: `true` or `false`, and what YAML 1.1 and Compose take for them.
pub fn boolean(sink: &Sink, node: &Node) -> Option<bool> {
    let word = text(sink, node)?;
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => {
            sink.report(node, format!("must be true or false, not {word:?}"));
            None
        }
    }
}

/// A whole number that fits `T`.
pub fn integer<T: FromStr>(sink: &Sink, node: &Node) -> Option<T> {
    let word = text(sink, node)?;
    let number = word.trim().parse().ok();
    if number.is_none() {
        sink.report(node, format!("must be a whole number in range, not {word:?}"));
    }
    number
}

/// Reports every key of a mapping that is not known; `x-` keys pass. Keys of `refused` come with the reason.
pub fn check_keys(sink: &Sink, node: &Node, known: &[&str], refused: &[(&str, &str)]) {
    for entry in entries(sink, node) {
        let key = &*entry.key;
        if known.contains(&key) || key.starts_with("x-") {
            continue;
        }
        let path = node.path.key(key).to_string();
        if let Some((_, reason)) = refused.iter().find(|(name, _)| *name == key) {
            sink.report_at(&entry.at, path, format!("not supported: {reason}"));
            continue;
        }
        let mut problem = entry.at.problem(path, "unknown key");
        let all = known.iter().copied().chain(refused.iter().map(|(name, _)| *name));
        if let Some(near) = nearest(key, all) {
            problem = problem.with_hint(format!("did you mean {near}?"));
        }
        sink.push(problem);
    }
}
