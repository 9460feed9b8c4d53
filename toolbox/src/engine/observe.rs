//! The engine's answers as plain values.
//!
//! Contract: reads only, in as few rounds as there can be: one for what the engine lists, one for the details of images
//! and of the project's containers. What vanishes between the two is left out.

mod relay;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::Docker as Api;
use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ImageInspect, PortSummaryTypeEnum, RestartPolicy as ApiRestart,
    SystemInfo, SystemVersion,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::image::Reference;
use crate::plan::{FIELDS_LABEL, HASH_LABEL, RELEASE_LABEL, ROLE_LABEL, SERVICE_LABEL};
use crate::state::{EngineState, ImageFacts, Live, ObservedContainer, ObservedImage, Owned, Role, Store};

use super::client::refused;
use super::{ContainerStatus, EngineError};

/// Requests at once of each kind, images and containers: each may take a session of its own at the host's sshd, which
/// allows ten.
const AT_ONCE: usize = 4;

/// Everything; of the project's containers also what can be changed while they exist.
pub(super) async fn snapshot(api: &Api, project: &str) -> Result<EngineState, EngineError> {
    let all = ListContainersOptionsBuilder::default().all(true).build();
    let (info, version, containers, networks, volumes, images) = tokio::join!(
        api.info(),
        api.version(),
        api.list_containers(Some(all)),
        api.list_networks(None::<ListNetworksOptions>),
        api.list_volumes(None::<ListVolumesOptions>),
        api.list_images(Some(ListImagesOptionsBuilder::default().build())),
    );
    let ask = |what: &str| {
        let what = format!("asking the engine for {what}");
        move |e| refused(what, e)
    };
    let (info, version) = (info.map_err(ask("its state"))?, version.map_err(ask("its version"))?);
    let containers = containers.map_err(ask("its containers"))?.iter().map(container).collect();
    let networks = networks.map_err(ask("its networks"))?;
    let volumes = volumes.map_err(ask("its volumes"))?.volumes.unwrap_or_default();
    let images = images.map_err(ask("its images"))?.into_iter().map(|image| image.id).collect();
    let mut state = system(&info, &version);
    (state.images, state.containers) =
        tokio::try_join!(inspect_images(api, images), details(api, project, containers))?;
    state.networks = networks.into_iter().filter_map(|n| Some((n.name?, owned(n.labels.as_ref())))).collect();
    state.volumes = volumes.into_iter().map(|v| (v.name, owned(Some(&v.labels)))).collect();
    Ok(state)
}

fn owned(labels: Option<&HashMap<String, String>>) -> Owned {
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).cloned();
    Owned { project: label("com.docker.compose.project"), hash: label(HASH_LABEL) }
}

fn system(info: &SystemInfo, version: &SystemVersion) -> EngineState {
    EngineState {
        version: version.version.clone().unwrap_or_default(),
        api_version: version.api_version.clone().unwrap_or_default(),
        architecture: version.arch.clone().unwrap_or_default(),
        store: store(info),
        data_root: info.docker_root_dir.clone().unwrap_or_default(),
        ..EngineState::empty()
    }
}

fn store(info: &SystemInfo) -> Store {
    let mut pairs = info.driver_status.iter().flatten();
    let snapshotter = pairs.any(|p| p.iter().any(|text| text.starts_with("io.containerd.snapshotter")));
    if snapshotter { Store::Containerd } else { Store::Classic }
}

/// `None` for what somebody removed between two questions.
fn unless_gone<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(gone) if gone.is_not_found() => Ok(None),
        Err(other) => Err(other),
    }
}

async fn inspect_images(api: &Api, ids: Vec<String>) -> Result<Vec<ObservedImage>, EngineError> {
    let inspected = ids.into_iter().map(|id| async move {
        let answer = api.inspect_image(&id).await.map_err(|e| refused(format!("inspecting image {id}"), e));
        unless_gone(answer.map(|image| observed_image(&image)))
    });
    let inspected: Vec<Option<ObservedImage>> = stream::iter(inspected).buffered(AT_ONCE).try_collect().await?;
    Ok(inspected.into_iter().flatten().collect())
}

async fn details(
    api: &Api,
    project: &str,
    containers: Vec<ObservedContainer>,
) -> Result<Vec<ObservedContainer>, EngineError> {
    let detailed = containers.into_iter().map(|container| async move {
        match container.project.as_deref() == Some(project) {
            true => unless_gone(detail(api, container).await),
            false => Ok(Some(container)),
        }
    });
    let detailed: Vec<Option<ObservedContainer>> = stream::iter(detailed).buffered(AT_ONCE).try_collect().await?;
    Ok(detailed.into_iter().flatten().collect())
}

async fn detail(api: &Api, mut container: ObservedContainer) -> Result<ObservedContainer, EngineError> {
    let what = format!("inspecting container {}", container.name);
    let inspected = api.inspect_container(&container.id, None).await.map_err(|e| refused(what, e))?;
    container.live = Some(live(&inspected));
    if container.role == Role::Relay {
        let told = relay::told(api, &container.id, &inspected).await?;
        container.relay_targets = Some(told.targets);
        container.relay_listen = told.listen;
    }
    Ok(container)
}

fn live(inspected: &ContainerInspectResponse) -> Live {
    let host = inspected.host_config.clone().unwrap_or_default();
    let networks = inspected.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let mut networks: BTreeSet<String> = networks.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    if networks.is_empty() {
        // The mode may also name a network that it was disconnected from.
        let apart = |mode: &String| mode == "host" || mode == "none" || mode.starts_with("container:");
        networks.extend(host.network_mode.clone().filter(apart));
    }
    Live {
        restart: host.restart_policy.as_ref().map(restart).unwrap_or_default(),
        memory: host.memory.unwrap_or_default(),
        nano_cpus: host.nano_cpus.unwrap_or_default(),
        pids_limit: host.pids_limit.unwrap_or_default(),
        networks,
        health: status(inspected).health,
        started: inspected.state.as_ref().and_then(|s| s.started_at.clone()).unwrap_or_default(),
    }
}

/// The policy as `docker update --restart` takes it.
fn restart(policy: &ApiRestart) -> String {
    let name = policy.name.as_ref().map(ToString::to_string).unwrap_or_default();
    match policy.maximum_retry_count {
        Some(max) if max > 0 && name == "on-failure" => format!("{name}:{max}"),
        _ if name.is_empty() => "no".into(),
        _ => name,
    }
}

fn observed_image(image: &ImageInspect) -> ObservedImage {
    let tags = image.repo_tags.iter().flatten();
    let references = tags.filter_map(|t| Reference::parse(t).ok()).map(|r| r.full()).collect();
    ObservedImage { facts: image_facts(image), references }
}

/// The facts of an inspected image.
pub(super) fn image_facts(image: &ImageInspect) -> ImageFacts {
    let layers = image.root_fs.as_ref().and_then(|r| r.layers.as_ref());
    let layers = layers.into_iter().flatten().filter_map(|l| l.parse().ok()).collect();
    let id = image.id.clone().unwrap_or_default();
    let created = image.created.as_ref().map(ToString::to_string);
    ImageFacts::new(id, layers, created.as_deref(), &image.config)
        .on(image.os.as_deref().unwrap_or_default(), image.architecture.as_deref().unwrap_or_default())
}

/// A container as the engine lists it.
pub(super) fn container(summary: &ContainerSummary) -> ObservedContainer {
    let labels = summary.labels.clone().unwrap_or_default();
    let label = |name: &str| labels.get(&format!("com.docker.compose.{name}")).cloned();
    let name = summary.names.iter().flatten().find(|n| n.rfind('/') == Some(0));
    ObservedContainer {
        id: summary.id.clone().unwrap_or_default(),
        name: name.map(|n| n.trim_start_matches('/').to_owned()).unwrap_or_default(),
        project: label("project"),
        service: label("service"),
        config_hash: label("config-hash"),
        oneoff: label("oneoff").is_some_and(|v| v.eq_ignore_ascii_case("true")),
        number: label("container-number").and_then(|n| n.parse().ok()).unwrap_or_default(),
        made_by: label("version"),
        role: role(labels.get(ROLE_LABEL)),
        relay_of: labels.get(SERVICE_LABEL).cloned(),
        own_hash: labels.get(HASH_LABEL).cloned(),
        release: labels.get(RELEASE_LABEL).cloned(),
        fields: labels.get(FIELDS_LABEL).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        live: None,
        relay_targets: None,
        relay_listen: None,
        created: summary.created.unwrap_or_default(),
        image_id: summary.image_id.clone().unwrap_or_default(),
        state: summary.state.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: summary.status.clone().unwrap_or_default(),
        binds: binds(summary),
        published: published(summary),
    }
}

/// What a container is for, by its label.
pub(super) fn role(label: Option<&String>) -> Role {
    match label.map(String::as_str) {
        Some("relay") => Role::Relay,
        Some("keeper") => Role::Keeper,
        Some("hook") => Role::Hook,
        Some("run") => Role::OneOff,
        _ => Role::Service,
    }
}

fn binds(summary: &ContainerSummary) -> BTreeSet<String> {
    let binds = summary.mounts.iter().flatten().filter(|mount| mount.typ.as_deref() == Some("bind"));
    binds.filter_map(|mount| mount.source.clone()).collect()
}

fn published(summary: &ContainerSummary) -> BTreeMap<u16, u16> {
    let ports = summary.ports.iter().flatten();
    let tcp = ports.filter(|p| p.typ.is_none_or(|t| t == PortSummaryTypeEnum::TCP));
    tcp.filter_map(|p| Some((p.public_port?, p.private_port))).collect()
}

/// How an inspected container does.
pub(super) fn status(container: &ContainerInspectResponse) -> ContainerStatus {
    let Some(state) = &container.state else {
        return ContainerStatus::default();
    };
    let health = state.health.as_ref();
    let word = health.and_then(|h| h.status.as_ref()).map(ToString::to_string);
    let output = health.and_then(|h| h.log.as_ref()).and_then(|l| l.last()).and_then(|r| r.output.clone());
    ContainerStatus {
        state: state.status.as_ref().map(ToString::to_string).unwrap_or_default(),
        health: word.filter(|w| w != "none" && !w.is_empty()),
        exit_code: state.exit_code.unwrap_or_default(),
        restarts: container.restart_count.unwrap_or_default(),
        error: state.error.clone().unwrap_or_default(),
        health_output: output.unwrap_or_default().trim().to_owned(),
    }
}
