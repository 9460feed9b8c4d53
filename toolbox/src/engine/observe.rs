//! The engine's answers as plain values.

use std::collections::BTreeMap;

use bollard::Docker as Api;
use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ImageInspect, PortSummaryTypeEnum, SystemInfo, SystemVersion,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::image::Reference;
use crate::state::{EngineState, ImageFacts, ObservedContainer, ObservedImage, Store};

use super::client::refused;
use super::{ContainerStatus, EngineError};

/// Requests at once: each may take a session of its own at the host's sshd, which allows ten.
const AT_ONCE: usize = 4;

/// Everything, in five requests at once and then one for each image.
pub(super) async fn snapshot(api: &Api) -> Result<EngineState, EngineError> {
    let all = ListContainersOptionsBuilder::default().all(true).build();
    let (info, version, containers, networks, volumes) = tokio::join!(
        api.info(),
        api.version(),
        api.list_containers(Some(all)),
        api.list_networks(None::<ListNetworksOptions>),
        api.list_volumes(None::<ListVolumesOptions>),
    );
    let ask = |what: &str| {
        let what = format!("asking the engine for {what}");
        move |e| refused(what, e)
    };
    let (info, version) = (info.map_err(ask("its state"))?, version.map_err(ask("its version"))?);
    let containers = containers.map_err(ask("its containers"))?;
    let networks = networks.map_err(ask("its networks"))?;
    let volumes = volumes.map_err(ask("its volumes"))?.volumes.unwrap_or_default();
    let mut state = system(&info, &version);
    state.images = images(api).await?;
    state.containers = containers.iter().map(container).collect();
    state.networks = networks.into_iter().filter_map(|n| n.name).collect();
    state.volumes = volumes.into_iter().map(|v| v.name).collect();
    Ok(state)
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

async fn images(api: &Api) -> Result<Vec<ObservedImage>, EngineError> {
    let options = ListImagesOptionsBuilder::default().build();
    let listed = api.list_images(Some(options)).await;
    let listed = listed.map_err(|e| refused("asking the engine for its images".into(), e))?;
    let inspected = listed.into_iter().map(|image| async move {
        match api.inspect_image(&image.id).await {
            Ok(inspected) => Ok(Some(observed_image(&inspected))),
            // Removed by somebody between the two questions.
            Err(e) => match refused(format!("inspecting image {}", image.id), e) {
                gone if gone.is_not_found() => Ok(None),
                other => Err(other),
            },
        }
    });
    let inspected: Vec<Option<ObservedImage>> = stream::iter(inspected).buffered(AT_ONCE).try_collect().await?;
    Ok(inspected.into_iter().flatten().collect())
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

fn container(summary: &ContainerSummary) -> ObservedContainer {
    let labels = summary.labels.clone().unwrap_or_default();
    let label = |name: &str| labels.get(&format!("com.docker.compose.{name}")).cloned();
    let name = summary.names.iter().flatten().next().map(|n| n.trim_start_matches('/').to_owned());
    ObservedContainer {
        id: summary.id.clone().unwrap_or_default(),
        name: name.unwrap_or_default(),
        project: label("project"),
        service: label("service"),
        config_hash: label("config-hash"),
        oneoff: label("oneoff").is_some_and(|v| v.eq_ignore_ascii_case("true")),
        image_id: summary.image_id.clone().unwrap_or_default(),
        state: summary.state.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: summary.status.clone().unwrap_or_default(),
        published: published(summary),
    }
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
