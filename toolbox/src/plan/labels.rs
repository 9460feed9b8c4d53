//! The labels by which Docker Compose knows what belongs to a project
//! (docker/compose, `pkg/api/labels.go`), so that `docker compose ls` and `ps` on the host show it.

use std::collections::BTreeMap;

use crate::compose::{Condition, Project, Service};

/// The value of `com.docker.compose.version`: who made the container.
pub const COMPOSE_VERSION_LABEL: &str = concat!("toolbox-", env!("CARGO_PKG_VERSION"));

type Labels = BTreeMap<String, String>;

fn label(name: &str) -> String {
    format!("com.docker.compose.{name}")
}

/// Labels of a service's container; `image_id` is the engine's id of the image it is made from.
pub fn container_labels(project: &Project, service: &Service, image_id: &str) -> Labels {
    let files: Vec<String> = project.files.iter().map(|f| f.display().to_string()).collect();
    let dependencies: Vec<String> =
        service.depends_on.iter().map(|(name, d)| format!("{name}:{}:{}", condition(d.condition), d.restart)).collect();
    let mut labels = service.labels.clone();
    labels.extend([
        (label("project"), project.name.clone()),
        (label("service"), service.name.clone()),
        (label("config-hash"), service.config_hash(project)),
        (label("container-number"), "1".into()),
        (label("depends_on"), dependencies.join(",")),
        (label("image"), image_id.to_owned()),
        (label("oneoff"), "False".into()),
        (label("project.config_files"), files.join(",")),
        (label("project.working_dir"), project.working_dir.display().to_string()),
        (label("version"), COMPOSE_VERSION_LABEL.into()),
    ]);
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
    let own = project.networks.get(key).map(|n| n.labels.clone()).unwrap_or_default();
    owned(project, own, "network", key)
}

/// Labels of the project's volume with this key.
pub fn volume_labels(project: &Project, key: &str) -> Labels {
    let own = project.volumes.get(key).map(|v| v.labels.clone()).unwrap_or_default();
    owned(project, own, "volume", key)
}

fn owned(project: &Project, mut labels: Labels, kind: &str, key: &str) -> Labels {
    labels.extend([
        (label("project"), project.name.clone()),
        (label(kind), key.to_owned()),
        (label("version"), COMPOSE_VERSION_LABEL.into()),
    ]);
    labels
}
