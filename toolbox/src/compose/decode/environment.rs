//! `environment:` with `env_file:`, and `labels:` with `label_file:`.

use std::collections::BTreeMap;

use super::Context;
use super::fields::{Fields, optional_pairs};
use crate::compose::{dotenv, keys};
use crate::yaml::{self, Node, Value, read_text};

type Pairs = BTreeMap<String, String>;

/// The container's environment: the files in their order, then `environment`.
pub(super) fn environment(c: &Context<'_>, service: Fields<'_>) -> Pairs {
    let mut all = service.get("env_file").map(|node| files(c, node)).unwrap_or_default();
    let Some(node) = service.get("environment") else {
        return all;
    };
    for (name, value, at) in optional_pairs(c.sink, node) {
        if name.is_empty() || name.contains(['=', '\0']) {
            c.sink.report(node, format!("{name:?} is no name of a variable"));
            continue;
        }
        match value.or_else(|| c.scopes.get(at, &name)) {
            Some(value) => all.insert(name, value),
            // Without a value anywhere the variable is not set, not even by a file.
            None => all.remove(&name),
        };
    }
    all
}

/// The container's labels: the files in their order, then `labels`.
pub(super) fn labels(c: &Context<'_>, service: Fields<'_>) -> Pairs {
    let mut all = service.get("label_file").map(|node| files(c, node)).unwrap_or_default();
    all.extend(service.pairs("labels"));
    let reserved = all.keys().find(|key| ["com.docker.compose.", "io.toolbox."].iter().any(|own| key.starts_with(own)));
    if let (Some(reserved), Some(node)) = (reserved, service.get("labels").or(service.get("label_file"))) {
        c.sink.report(node, format!("the label {reserved:?} is reserved"));
    }
    all
}

fn files(c: &Context<'_>, node: &Node) -> Pairs {
    let files: Vec<&Node> = match &node.value {
        Value::Seq(items) => items.iter().collect(),
        _ => vec![node],
    };
    let mut all = Pairs::new();
    for file in files {
        let read = pairs_of(c, file, &all);
        all.extend(read);
    }
    all
}

/// The pairs of one file, whose values may refer to those of the files before it.
fn pairs_of(c: &Context<'_>, node: &Node, before: &Pairs) -> Pairs {
    let long = matches!(node.value, Value::Map(_)).then(|| Fields::new(c.sink, node, &keys::ENV_FILE));
    let required = long.and_then(|fields| fields.maybe_flag("required")).unwrap_or(true);
    let raw = long.and_then(|fields| fields.converted("format", format)).unwrap_or(false);
    let path = match long {
        Some(fields) => fields.filled("path"),
        None => yaml::text(c.sink, node).map(str::to_owned),
    };
    let Some(path) = path else {
        return Pairs::new();
    };
    let file = c.working_dir.join(&path);
    if !required && !file.exists() {
        return Pairs::new();
    }
    let outside = |name: &str| before.get(name).cloned().or_else(|| c.scopes.get(node, name));
    match read_text(&file) {
        Ok(text) if raw => dotenv::parse_raw(&file, &text, &outside, c.sink),
        Ok(text) => dotenv::parse(&file, &text, &outside, false, c.sink),
        Err(message) => {
            c.sink.report_hint(node, format!("{path}: {message}"), "make the file, or write its right path");
            Pairs::new()
        }
    }
}

/// Whether the values are taken as they stand.
fn format(word: &str) -> Result<bool, String> {
    match word {
        "raw" => Ok(true),
        _ => Err(format!("must be raw or left out, not {word:?}")),
    }
}
