//! What makes two images the same on different engines.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::image::DiffId;

/// The content of an image, comparable between engines and stores.
///
/// The engine's own id is the config digest on a classic store and the manifest digest on a containerd store, so that
/// equal ids prove equality and different ids prove nothing; then layers, configuration and creation time decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// What this engine calls the image; the config digest for a saved tarball.
    pub id: String,
    /// The layers, lowest first.
    pub layers: Vec<DiffId>,
    /// RFC 3339 creation time; empty where the image has none.
    pub created: String,
    /// SHA-256 (hex) over the canonical form of the run configuration.
    pub configuration: String,
    /// The operating system, such as `linux`.
    pub os: String,
    /// The architecture in Go's words, such as `amd64`.
    pub architecture: String,
    /// `EXPOSE`: ports in the engine's words, such as `8080/tcp`.
    pub exposed: BTreeSet<String>,
    /// `VOLUME`: paths that get an anonymous volume.
    pub volumes: BTreeSet<String>,
    /// The image has a health check.
    pub has_healthcheck: bool,
}

impl ImageFacts {
    /// Builds the facts from an OCI image configuration's parts; `config` is its `config` object.
    pub fn new(id: String, layers: Vec<DiffId>, created: Option<&str>, config: &impl Serialize) -> Self {
        let config = serde_json::to_value(config).unwrap_or(Value::Null);
        let created = created.filter(|c| !c.starts_with("0001-01-01")).unwrap_or_default();
        Self {
            id,
            exposed: keys(&config, "ExposedPorts"),
            volumes: keys(&config, "Volumes"),
            has_healthcheck: has_healthcheck(&config),
            layers,
            created: created.to_owned(),
            configuration: configuration_digest(config),
            os: String::new(),
            architecture: String::new(),
        }
    }

    /// The same facts for a platform.
    pub fn on(mut self, os: &str, architecture: &str) -> Self {
        self.os = os.to_owned();
        self.architecture = architecture.to_owned();
        self
    }

    /// Both describe the same image, whatever the engines call it.
    pub fn same_content(&self, other: &Self) -> bool {
        self.id == other.id
            || (self.layers == other.layers
                && self.created == other.created
                && self.configuration == other.configuration)
    }
}

/// The entries of a set, which is an object with empty values or a list.
fn keys(config: &Value, name: &str) -> BTreeSet<String> {
    match &config[name] {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => BTreeSet::new(),
    }
}

fn has_healthcheck(config: &Value) -> bool {
    let test = config["Healthcheck"]["Test"].as_array();
    test.is_some_and(|words| words.first().is_some_and(|word| word != "NONE"))
}

/// What decides how a container of the image runs (OCI image-spec, config.md, `config`, and Docker's additions).
const RUN_KEYS: [&str; 12] = [
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
];

fn configuration_digest(config: Value) -> String {
    let Value::Object(mut all) = config else {
        return hex::encode(Sha256::digest(b"null"));
    };
    let mut kept = Map::new();
    for key in RUN_KEYS.iter().chain(&["WorkingDir"]) {
        if let Some(value) = all.remove(*key).map(as_set).and_then(canonical) {
            kept.insert((*key).to_owned(), value);
        }
    }
    hex::encode(Sha256::digest(Value::Object(kept).to_string()))
}

/// `{"80/tcp": {}}`, how the engine writes a set, as the sorted list of its keys.
fn as_set(value: Value) -> Value {
    match value {
        Value::Object(map) if !map.is_empty() && map.values().all(is_empty) => {
            let mut keys: Vec<String> = map.keys().cloned().collect();
            keys.sort();
            Value::from(keys)
        }
        other => other,
    }
}

/// Engines differ in whether they write what is empty: leave it out, at every level.
fn canonical(value: Value) -> Option<Value> {
    let value = match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter_map(|(k, v)| canonical(v).map(|v| (k, v))).collect())
        }
        other => other,
    };
    (!is_empty(&value)).then_some(value)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(id: &str, config: Value) -> ImageFacts {
        ImageFacts::new(id.into(), Vec::new(), Some("2026-01-02T03:04:05Z"), &config)
    }

    #[test]
    fn empty_fields_of_an_older_engine_do_not_matter() {
        let old = facts("a", json!({"Cmd": ["x"], "Hostname": "", "Tty": false, "Labels": null, "OnBuild": []}));
        let new = facts("b", json!({"Cmd": ["x"]}));
        assert!(old.same_content(&new));
    }

    #[test]
    fn sets_compare_in_both_spellings() {
        let map = facts("a", json!({"ExposedPorts": {"80/tcp": {}, "443/tcp": {}}}));
        let list = facts("b", json!({"ExposedPorts": ["443/tcp", "80/tcp"]}));
        assert!(map.same_content(&list));
    }

    #[test]
    fn another_command_is_another_image() {
        assert!(!facts("a", json!({"Cmd": ["x"]})).same_content(&facts("b", json!({"Cmd": ["y"]}))));
    }

    #[test]
    fn equal_ids_are_enough() {
        assert!(facts("a", json!({"Cmd": ["x"]})).same_content(&facts("a", json!({}))));
    }

    #[test]
    fn no_creation_time_is_written_in_two_ways() {
        let zero = ImageFacts::new("a".into(), vec![], Some("0001-01-01T00:00:00Z"), &json!({}));
        let none = ImageFacts::new("b".into(), vec![], None, &json!({}));
        assert!(zero.same_content(&none));
    }
}
