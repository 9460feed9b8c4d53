//! The labels by which Docker Compose knows what belongs to a project
//! (docker/compose, `pkg/api/labels.go`), so that `docker compose ls` and `ps` on the host show it, and our own.

use std::collections::BTreeMap;

use serde_json::json;

use crate::compose::{Condition, Network, Project, Service, Volume};

use super::fingerprint::{Fingerprint, definition_hash};
use super::relay::keeper_hash;

/// The value of `com.docker.compose.version`: who made the container.
pub const COMPOSE_VERSION_LABEL: &str = concat!("toolbox-", env!("CARGO_PKG_VERSION"));

/// What a container of ours is for: `service`, `relay`, `keeper`, `hook` or `run`.
pub const ROLE_LABEL: &str = "io.toolbox.role";
/// The service that a relay stands before.
pub const SERVICE_LABEL: &str = "io.toolbox.service";
/// What a relay, keeper, network or volume was made from.
pub const HASH_LABEL: &str = "io.toolbox.hash";
/// The deploy that made a container.
pub const RELEASE_LABEL: &str = "io.toolbox.release";
/// JSON: field of the definition to the first 8 hex digits of its value's SHA-256.
pub const FIELDS_LABEL: &str = "io.toolbox.fields";

type Labels = BTreeMap<String, String>;

fn label(name: &str) -> String {
    format!("com.docker.compose.{name}")
}

/// How a container of a service comes to be.
#[derive(Debug, Clone, Copy)]
pub struct Making<'a> {
    /// The engine's id of the image it is made from.
    pub image_id: &'a str,
    /// Its number among the service's containers, from 1.
    pub number: u32,
    /// `service`, `hook` or `run`.
    pub role: &'a str,
    /// The deploy that makes it.
    pub release: Option<&'a str>,
    /// A relay owns its published ports, aliases and fixed addresses.
    pub behind_relay: bool,
}

/// Labels of a service's container.
pub fn container_labels(project: &Project, service: &Service, making: Making<'_>) -> Labels {
    let files: Vec<String> = project.files.iter().map(|f| f.display().to_string()).collect();
    let dependencies: Vec<String> =
        service.depends_on.iter().map(|(name, d)| format!("{name}:{}:{}", condition(d.condition), d.restart)).collect();
    let made_from = Fingerprint::of(project, service, making.behind_relay);
    let oneoff = if making.role == "service" { "False" } else { "True" };
    let mut labels = service.labels.clone();
    labels.extend([
        (label("project"), project.name.clone()),
        (label("service"), service.name.clone()),
        (label("config-hash"), made_from.hash),
        (label("container-number"), making.number.to_string()),
        (label("depends_on"), dependencies.join(",")),
        (label("image"), making.image_id.to_owned()),
        (label("oneoff"), oneoff.into()),
        (label("project.config_files"), files.join(",")),
        (label("project.working_dir"), project.working_dir.display().to_string()),
        (label("version"), COMPOSE_VERSION_LABEL.into()),
        (ROLE_LABEL.into(), making.role.to_owned()),
        (FIELDS_LABEL.into(), json!(made_from.fields).to_string()),
    ]);
    labels.extend(making.release.map(|release| (RELEASE_LABEL.to_owned(), release.to_owned())));
    labels
}

/// Labels of the keeper's container and volume.
pub fn keeper_labels(project: &Project) -> Labels {
    helper_labels(project, "keeper", None, &keeper_hash())
}

/// Labels of a relay or keeper. Without a service of Compose's, so that no tool takes it for one.
pub(super) fn helper_labels(project: &Project, role: &str, service: Option<&str>, hash: &str) -> Labels {
    let mut labels = Labels::from([
        (label("project"), project.name.clone()),
        (label("version"), COMPOSE_VERSION_LABEL.into()),
        (ROLE_LABEL.into(), role.to_owned()),
        (HASH_LABEL.into(), hash.to_owned()),
    ]);
    labels.extend(service.map(|service| (SERVICE_LABEL.to_owned(), service.to_owned())));
    labels
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::CompletedSuccessfully => "service_completed_successfully",
    }
}

/// Labels of the project's network with this key.
pub fn network_labels(project: &Project, key: &str) -> Labels {
    let network = project.networks.get(key);
    let own = network.map(|n| n.labels.clone()).unwrap_or_default();
    owned(project, own, ("network", key), network.map(network_hash))
}

/// Labels of the project's volume with this key.
pub fn volume_labels(project: &Project, key: &str) -> Labels {
    let volume = project.volumes.get(key);
    let own = volume.map(|v| v.labels.clone()).unwrap_or_default();
    owned(project, own, ("volume", key), volume.map(volume_hash))
}

/// What a network is made from, hashed; not its labels, which change nothing of what it does.
pub(super) fn network_hash(network: &Network) -> String {
    definition_hash(&Network { labels: Labels::new(), ..network.clone() })
}

/// What a volume is made from, hashed; not its labels, which change nothing of what it holds.
pub(super) fn volume_hash(volume: &Volume) -> String {
    definition_hash(&Volume { labels: Labels::new(), ..volume.clone() })
}

fn owned(project: &Project, mut labels: Labels, (kind, key): (&str, &str), hash: Option<String>) -> Labels {
    labels.extend([
        (label("project"), project.name.clone()),
        (label(kind), key.to_owned()),
        (label("version"), COMPOSE_VERSION_LABEL.into()),
    ]);
    labels.extend(hash.map(|hash| (HASH_LABEL.to_owned(), hash)));
    labels
}
