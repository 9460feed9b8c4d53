//! `environment:` and `env_file:`.

use std::collections::BTreeMap;

use super::Context;
use super::fields::{Fields, optional_pairs};
use crate::compose::interpolate::Variables as _;
use crate::compose::{dotenv, keys};
use crate::yaml::{self, Node, Value, read_text};

/// The container's environment: the files in their order, then `environment`.
pub(super) fn environment(c: &Context<'_>, service: Fields<'_>) -> BTreeMap<String, String> {
    let mut all = service.get("env_file").map(|node| env_files(c, node)).unwrap_or_default();
    let Some(node) = service.get("environment") else {
        return all;
    };
    for (name, value) in optional_pairs(c.sink, node) {
        if name.is_empty() || name.contains(['=', '\0']) {
            c.sink.report(node, format!("{name:?} is no name of a variable"));
            continue;
        }
        match value.or_else(|| c.variables.get(&name)) {
            Some(value) => all.insert(name, value),
            // Without a value anywhere the variable is not set, not even by a file.
            None => all.remove(&name),
        };
    }
    all
}

fn env_files(c: &Context<'_>, node: &Node) -> BTreeMap<String, String> {
    let files: Vec<&Node> = match &node.value {
        Value::Seq(items) => items.iter().collect(),
        _ => vec![node],
    };
    files.into_iter().flat_map(|file| env_file(c, file)).collect()
}

fn env_file(c: &Context<'_>, node: &Node) -> BTreeMap<String, String> {
    let (path, required) = match &node.value {
        Value::Map(_) => {
            let fields = Fields::new(c.sink, node, &keys::ENV_FILE);
            (fields.filled("path"), fields.maybe_flag("required").unwrap_or(true))
        }
        _ => (yaml::text(c.sink, node).map(str::to_owned), true),
    };
    let Some(path) = path else {
        return BTreeMap::new();
    };
    let file = c.working_dir.join(&path);
    if !required && !file.exists() {
        return BTreeMap::new();
    }
    match read_text(&file) {
        Ok(text) => dotenv::parse(&file, &text, &|name| c.variables.get(name), false, c.sink),
        Err(message) => {
            c.sink.report(node, format!("{path}: {message}"));
            BTreeMap::new()
        }
    }
}
