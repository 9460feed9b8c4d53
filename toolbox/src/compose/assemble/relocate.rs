//! Relative paths of a file that has a directory of its own, made absolute.

use std::path::Path;

use crate::compose::source::{absolute, clean};
use crate::yaml::{Node, Value};

/// The paths of a whole file.
pub(super) fn project(root: &mut Node, directory: &Path) {
    each_value(root.get_mut("services"), |node| service(node, directory));
    for section in ["configs", "secrets"] {
        each_value(root.get_mut(section), |node| path(node.get_mut("file"), directory));
    }
    each_value(root.get_mut("volumes"), |node| {
        let device = node.get_mut("driver_opts").and_then(|options| options.get_mut("device"));
        path(device.filter(|device| starts_with_dot(device)), directory);
    });
}

/// The paths of one service.
pub(super) fn service(service: &mut Node, directory: &Path) {
    for key in ["env_file", "label_file"] {
        match service.get_mut(key) {
            Some(list) if matches!(list.value, Value::Seq(_)) => {
                each_item(list, |item| named_path(item, "path", directory));
            }
            Some(one) => named_path(one, "path", directory),
            None => {}
        }
    }
    if let Some(volumes) = service.get_mut("volumes") {
        each_item(volumes, |item| mount(item, directory));
    }
}

fn mount(item: &mut Node, directory: &Path) {
    let is_bind =
        item.get("type").is_some_and(|kind| matches!(&kind.value, Value::Scalar { text, .. } if text == "bind"));
    match &mut item.value {
        Value::Scalar { text, .. } if text.starts_with('.') => {
            let (source, rest) = text.split_once(':').unwrap_or((text, ""));
            let source = joined(directory, source);
            *text = if rest.is_empty() { source } else { format!("{source}:{rest}") };
        }
        Value::Map(_) if is_bind => path(item.get_mut("source"), directory),
        _ => {}
    }
}

fn named_path(item: &mut Node, key: &str, directory: &Path) {
    match item.value {
        Value::Map(_) => path(item.get_mut(key), directory),
        _ => path(Some(item), directory),
    }
}

fn path(node: Option<&mut Node>, directory: &Path) {
    if let Some(Value::Scalar { text, .. }) = node.map(|node| &mut node.value)
        && !text.starts_with('~')
    {
        *text = joined(directory, text);
    }
}

fn joined(directory: &Path, text: &str) -> String {
    clean(&absolute(directory).join(text)).to_string_lossy().into_owned()
}

fn starts_with_dot(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, .. } if text.starts_with('.'))
}

fn each_value(node: Option<&mut Node>, mut change: impl FnMut(&mut Node)) {
    if let Some(Value::Map(entries)) = node.map(|node| &mut node.value) {
        entries.iter_mut().for_each(|entry| change(&mut entry.value));
    }
}

fn each_item(node: &mut Node, change: impl FnMut(&mut Node)) {
    if let Value::Seq(items) = &mut node.value {
        items.iter_mut().for_each(change);
    }
}
