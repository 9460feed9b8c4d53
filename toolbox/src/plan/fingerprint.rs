//! What a container, network or volume was made from, as digests of its fields.
//!
//! Contract: a fingerprint changes exactly when what is made from the definition would differ, and tells by which
//! fields, never their values. What is empty does not count, so that a field that a later version of toolbox knows
//! changes nothing for those who do not use it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::compose::{FileMount, FileObject, Project, Service};

use super::cause::{Change, FieldChange};

/// Hex digits of a field's digest in the label.
const FIELD_DIGITS: usize = 8;
/// Stands among the fields of a container whose ports and names a relay owns.
pub(super) const BEHIND_RELAY: &str = "relay";
/// Fields of which each entry is a field of its own.
const BY_ENTRY: [&str; 7] = ["environment", "labels", "networks", "tmpfs", "sysctls", "ulimits", "healthcheck"];
/// Fields of which an empty list is not the same as none.
const MAY_BE_EMPTY: [&str; 2] = ["command", "entrypoint"];

/// Bytes of a hash.
const DIGEST: usize = 8;

/// What counts of a hash on an engine: earlier versions wrote all of its digits.
pub fn short_hash(label: &str) -> String {
    label.get(..2 * DIGEST).unwrap_or(label).to_owned()
}

/// What a service's container is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// 16 hex digits of the SHA-256 over all fields: the label `com.docker.compose.config-hash`.
    pub hash: String,
    /// Field as in the compose file to the first 8 hex digits of the SHA-256 of its value: the label
    /// `io.toolbox.fields`.
    pub fields: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Of a service's containers; `behind_relay`: a relay owns its published ports, aliases and fixed addresses.
    pub fn of(project: &Project, service: &Service, behind_relay: bool) -> Self {
        Self::of_fields(fields(project, service, behind_relay))
    }

    /// Of fields by name.
    pub(super) fn of_fields(fields: BTreeMap<String, Value>) -> Self {
        let digests: BTreeMap<String, String> =
            fields.into_iter().map(|(field, value)| (field, digest(&value))).collect();
        let hash = digest(&json!(digests));
        let short = |(field, mut digest): (String, String)| {
            digest.truncate(FIELD_DIGITS);
            (field, digest)
        };
        Self { hash, fields: digests.into_iter().map(short).collect() }
    }

    /// How these fields differ from those of a container.
    pub fn changes_from(&self, before: &BTreeMap<String, String>) -> Vec<FieldChange> {
        let changed = self.fields.iter().filter_map(|(field, digest)| match before.get(field) {
            None => Some((field, Change::Added)),
            Some(other) if other != digest => Some((field, Change::Changed)),
            Some(_) => None,
        });
        let removed = before.keys().filter(|field| !self.fields.contains_key(*field)).map(|f| (f, Change::Removed));
        let mut all: Vec<FieldChange> =
            changed.chain(removed).map(|(field, change)| FieldChange { field: field.clone(), change }).collect();
        all.sort();
        all
    }
}

/// 16 hex digits of the SHA-256 over what is not empty in a definition.
pub(super) fn definition_hash(definition: &impl Serialize) -> String {
    let value = serde_json::to_value(definition).unwrap_or_default();
    digest(&pruned(value).unwrap_or_default())
}

/// As long as it takes to tell two definitions of one thing apart: hashes are what hardly shrinks in an engine's answers.
fn digest(value: &Value) -> String {
    hex::encode(&Sha256::digest(value.to_string())[..DIGEST])
}

fn fields(project: &Project, service: &Service, behind_relay: bool) -> BTreeMap<String, Value> {
    let form = if behind_relay { behind(service) } else { service.clone() };
    let Ok(Value::Object(form)) = serde_json::to_value(form.canonical(project)) else {
        return BTreeMap::new();
    };
    let mut fields = BTreeMap::new();
    for (key, value) in form {
        add(&mut fields, &key, value);
    }
    add_files(&mut fields, "configs", &service.configs, &project.configs);
    add_files(&mut fields, "secrets", &service.secrets, &project.secrets);
    if behind_relay {
        fields.insert(BEHIND_RELAY.into(), true.into());
    }
    fields
}

/// The service as its containers see it when a relay owns its ports, aliases and fixed addresses.
fn behind(service: &Service) -> Service {
    let mut service = service.clone();
    service.ports.clear();
    for attachment in service.networks.values_mut() {
        attachment.aliases.clear();
        (attachment.ipv4_address, attachment.ipv6_address) = (None, None);
        attachment.link_local_ips.clear();
    }
    service
}

/// Appends one field of the model under the name that it has in the compose file.
fn add(fields: &mut BTreeMap<String, Value>, key: &str, value: Value) {
    match (key, value) {
        // Files stand with their content's digest; the rest does not determine a container.
        (
            "name" | "configs" | "secrets" | "depends_on" | "has_build" | "replicas" | "rollback" | "toolbox"
            | "update",
            _,
        ) => {}
        ("mounts", Value::Array(mounts)) => {
            for mount in mounts {
                let target = mount["target"].as_str().unwrap_or_default().to_owned();
                fields.insert(format!("volumes.{target}"), pruned(mount).unwrap_or_default());
            }
        }
        // That it is in the network counts, also where nothing is said about it.
        ("networks", Value::Object(map)) => {
            fields.extend(map.into_iter().map(|(k, v)| (format!("networks.{k}"), pruned(v).unwrap_or_default())));
        }
        (_, Value::Object(map)) if BY_ENTRY.contains(&key) => {
            fields.extend(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (format!("{key}.{k}"), v)));
        }
        (_, value @ Value::Array(_)) if MAY_BE_EMPTY.contains(&key) => {
            fields.insert(key.to_owned(), value);
        }
        (_, value) => fields.extend(pruned(value).map(|value| (compose_name(key).to_owned(), value))),
    }
}

fn compose_name(key: &str) -> &str {
    if key == "nano_cpus" { "cpus" } else { key }
}

fn add_files(
    fields: &mut BTreeMap<String, Value>,
    kind: &str,
    mounts: &[FileMount],
    objects: &BTreeMap<String, FileObject>,
) {
    for mount in mounts {
        let digest = objects.get(&mount.key).map(|object| object.digest.as_str());
        let all = fields.entry(format!("{kind}.{}", mount.key)).or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.push(json!({"mount": mount, "digest": digest}));
        }
    }
}

/// Without what is empty, at every level.
pub(super) fn pruned(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Object(map) => {
            let map: Map<String, Value> = map.into_iter().filter_map(|(k, v)| Some((k, pruned(v)?))).collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => Some(list.into_iter().map(|v| pruned(v).unwrap_or_default()).collect()),
        Value::String(text) => (!text.is_empty()).then_some(Value::String(text)),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::testing::project;

    const BASE: &str = "{name: shop, services: {web: {image: web, environment: {A: '1'}, ports: ['80:8080'], \
                        networks: {default: {aliases: [www]}}}}}";

    fn print(text: &str, behind_relay: bool) -> Fingerprint {
        let project = project(text);
        Fingerprint::of(&project, &project.services["web"], behind_relay)
    }

    fn differences(from: &str, to: &str, behind_relay: bool) -> Vec<String> {
        let (from, to) = (print(from, behind_relay), print(to, behind_relay));
        let changes: Vec<String> = to.changes_from(&from.fields).iter().map(ToString::to_string).collect();
        assert_eq!(changes.is_empty(), from.hash == to.hash, "the hash says what the fields say");
        changes
    }

    #[test]
    fn hash_of_an_earlier_version_counts_as_far_as_one_is_written_now() {
        let whole = hex::encode(Sha256::digest(json!({"driver": "bridge"}).to_string()));
        assert_eq!(short_hash(&whole), definition_hash(&json!({"driver": "bridge", "labels": {}})));
        assert_eq!(short_hash("short"), "short");
    }

    #[test]
    fn differences_are_named_as_in_the_file() {
        for (from, to, expected) in [
            ("A: '1'", "A: '2', B: ''", "~environment.A +environment.B"),
            ("environment: {A: '1'}", "command: []", "-environment.A +command"),
            ("80:8080", "81:8080", "~ports"),
            ("[www]", "[]", "~networks.shop_default"),
            ("image: web,", "image: web, cpus: '0.5', mem_limit: 64m, init: true,", "+cpus +init +mem_limit"),
            ("image: web,", "image: web, volumes: ['/srv:/srv:ro'], tmpfs: [/tmp],", "+tmpfs./tmp +volumes./srv"),
            (
                "image: web,",
                "image: web, healthcheck: {test: [CMD, x], retries: 2},",
                "+healthcheck.retries +healthcheck.test",
            ),
            ("image: web,", "image: web, restart: always,", "~restart"),
        ] {
            let mut expected: Vec<&str> = expected.split(' ').collect();
            expected.sort_by_key(|e| e[1..].to_owned());
            assert_eq!(differences(BASE, &BASE.replace(from, to), false), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn what_a_relay_owns_is_no_field_of_the_containers_behind_it() {
        for (from, to) in
            [("80:8080", "81:8081"), ("[www]", "[other]"), ("[www]", "[www], link_local_ips: [169.254.9.2]")]
        {
            assert_eq!(differences(BASE, &BASE.replace(from, to), true), [""; 0], "{from} -> {to}");
        }
        let options = BASE.replace("[www]", "[www], driver_opts: {a: b}");
        assert_eq!(differences(BASE, &options, true), ["~networks.shop_default"]);
        assert!(print(BASE, true).changes_from(&print(BASE, false).fields).iter().any(|c| c.field == "relay"));
    }

    #[test]
    fn a_file_counts_by_content_place_and_owner() {
        let base = project(BASE);
        let with = |digest: &str, mode: u32| {
            let mut project = base.clone();
            let mount = FileMount { key: "tls".into(), target: "/tls".into(), uid: 0, gid: 0, mode };
            project.secrets.insert("tls".into(), FileObject { digest: digest.into(), content: Default::default() });
            project.services.get_mut("web").unwrap().secrets.push(mount);
            Fingerprint::of(&project, &project.services["web"], false)
        };
        let first = with("aa", 0o444);
        assert_eq!(first.fields.len(), print(BASE, false).fields.len() + 1);
        for other in [with("bb", 0o444), with("aa", 0o400)] {
            let changes = other.changes_from(&first.fields);
            assert_eq!(changes.len(), 1);
            assert_eq!(changes[0].to_string(), "~secrets.tls");
        }
    }

    #[test]
    fn no_value_stands_in_the_fields() {
        let secret = print(&BASE.replace("A: '1'", "PASSWORD: hunter2"), false);
        assert!(secret.fields.values().all(|digest| digest.len() == FIELD_DIGITS));
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
