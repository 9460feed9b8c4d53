//! The engine's answers as plain values.
//!
//! Contract: reads only, in two rounds: one for what the engine lists and for the containers that are expected, one for
//! the details of others and of images, which is left out where nothing has changed. What vanishes between the two is left
//! out too, and what the scope does not need is not asked.

mod image;
mod relay;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, EndpointSettings, ImageSummary, Network, PortSummary,
    PortSummaryTypeEnum, RestartPolicy as ApiRestart, SystemInfo, SystemVersion, VolumeListResponse,
};

use crate::compose::{Protocol, PublishedPort};
use crate::image::Reference;
use crate::plan::{FIELDS_LABEL, HASH_LABEL, RELEASE_LABEL, ROLE_LABEL, SERVICE_LABEL, short_hash};
use crate::state::{EngineState, Live, ObservedContainer, ObservedImage, Owned, Place, Role, Scope, Store};

use super::questions::{Answer, Questions, by_name, unreachable};
use super::{ContainerStatus, EngineError};
pub(super) use image::Inspected;

/// Hex digits.
const SHORT_ID: usize = 12;

/// What the scope needs; of the project's containers also what can be changed while they exist.
pub(super) async fn snapshot(questions: &Questions, scope: &Scope<'_>) -> Result<EngineState, EngineError> {
    let [lists, expected, told] = questions.groups(first(scope)).await?;
    let lists = <[Answer; 4]>::try_from(lists);
    let [containers, networks, volumes, images] = lists.map_err(|_| unreachable("answers are missing"))?;
    let containers: Vec<ContainerSummary> = containers.read("asking the engine for its containers")?;
    let networks: Vec<Network> = networks.read("asking the engine for its networks")?;
    let volumes: VolumeListResponse = volumes.read("asking the engine for its volumes")?;
    let images: Vec<ImageSummary> = images.read("asking the engine for its images")?;
    let early = early(scope, expected, told)?;
    let mut state = details(questions, scope, containers.iter().map(container).collect(), &images, early).await?;
    if questions.podman {
        forget_default_limits(&mut state.containers);
    }
    state.networks = networks.into_iter().filter_map(|n| Some((n.name?, owned(n.labels.as_ref())))).collect();
    let volumes = volumes.volumes.unwrap_or_default();
    state.volumes = volumes.into_iter().map(|v| (v.name, owned(Some(&v.labels)))).collect();
    Ok(state)
}

/// The questions of the first round: lists, expected containers, and what the relays among them were told.
pub(super) fn first(scope: &Scope<'_>) -> [Vec<String>; 3] {
    let needs = scope.needs.as_ref();
    let lists = vec![
        "/containers/json?all=true".into(),
        by_name("/networks", needs.map(|needs| &needs.networks)),
        by_name("/volumes", needs.map(|needs| &needs.volumes)),
        "/images/json".into(),
    ];
    let expected = || needs.iter().flat_map(|needs| &needs.expected);
    [
        lists,
        expected().map(|container| inspection(&container.name)).collect(),
        expected().filter(|container| container.is_relay).map(|relay| relay::path(&relay.name)).collect(),
    ]
}

fn inspection(container: &str) -> String {
    format!("/containers/{container}/json")
}

/// What was answered ahead of the lists about a container, by its id.
type Early = BTreeMap<String, (ContainerInspectResponse, Option<Answer>)>;

fn early(scope: &Scope<'_>, inspected: Vec<Answer>, told: Vec<Answer>) -> Result<Early, EngineError> {
    let expected = scope.needs.iter().flat_map(|needs| &needs.expected);
    let (mut told, mut early) = (told.into_iter(), Early::new());
    for (container, answer) in expected.zip(inspected) {
        let told = if container.is_relay { told.next() } else { None };
        if let Some(inspected) = unless_gone(inspect(answer, &container.name))? {
            early.insert(inspected.id.clone().unwrap_or_default(), (inspected, told));
        }
    }
    Ok(early)
}

fn inspect(answer: Answer, name: &str) -> Result<ContainerInspectResponse, EngineError> {
    answer.read(&format!("inspecting container {name}"))
}

/// The second round. Where no image has to be sent, it matters neither how the engine keeps images nor what most of
/// them contain.
async fn details(
    questions: &Questions,
    scope: &Scope<'_>,
    containers: Vec<ObservedContainer>,
    images: &[ImageSummary],
    mut early: Early,
) -> Result<EngineState, EngineError> {
    let complete = scope.lacks_no_image(images.iter().map(|image| image.id.as_str()));
    let decides =
        |image: &ImageSummary| !complete || scope.decides(&image.id, &references(&image.repo_tags), &containers);
    let (known, unknown): (Vec<_>, Vec<_>) = images.iter().partition(|image| scope.known(&image.id).is_some());
    let unknown: Vec<_> = unknown.into_iter().filter(|image| decides(image)).collect();
    let own = containers.iter().filter(|c| scope.details(c) && !early.contains_key(&c.id));
    let relays = own.clone().filter(|c| c.role == Role::Relay);
    let asked = [
        if complete { Vec::new() } else { vec!["/info".into(), "/version".into()] },
        own.map(|c| inspection(short(&c.id))).collect(),
        relays.clone().map(|c| relay::path(short(&c.id))).collect(),
        unknown.iter().map(|image| format!("/images/{}/json", image.id)).collect(),
    ];
    let [system, inspected, told, unknown] = questions.groups(asked).await?;
    let mut told: BTreeMap<String, Answer> = relays.map(|c| c.id.clone()).zip(told).collect();
    let mut state = <[Answer; 2]>::try_from(system).map_or_else(|_| Ok(nobody_asked()), read_system)?;
    let mut inspected = inspected.into_iter();
    for container in containers {
        if !scope.details(&container) {
            state.containers.push(container);
        } else if let Some((inspected, told)) = early.remove(&container.id) {
            state.containers.push(detail(container, &inspected, told)?);
        } else if let Some(answer) = inspected.next()
            && let Some(inspected) = unless_gone(inspect(answer, &container.name))?
        {
            let told = told.remove(&container.id);
            state.containers.push(detail(container, &inspected, told)?);
        }
    }
    let known = known.into_iter().filter_map(|image| {
        Some(ObservedImage { facts: scope.known(&image.id)?.clone(), references: references(&image.repo_tags) })
    });
    state.images = known.collect();
    state.images.extend(inspected_images(unknown)?);
    Ok(state)
}

/// As much of a container's id as Docker shows, which is unlike all others on an engine.
fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

/// Every image that the engine holds, those without a name too.
pub(super) async fn images(questions: &Questions) -> Result<Vec<ObservedImage>, EngineError> {
    let [images] = questions.each(["/images/json?all=true".into()]).await?;
    let images: Vec<ImageSummary> = images.read("asking the engine for its images")?;
    let paths: Vec<String> = images.iter().map(|image| format!("/images/{}/json", image.id)).collect();
    inspected_images(questions.ask(&paths).await?)
}

fn inspected_images(answers: Vec<Answer>) -> Result<Vec<ObservedImage>, EngineError> {
    let read = |answer: Answer| unless_gone(answer.read::<Inspected>("inspecting an image"));
    let images = answers.into_iter().filter_map(|answer| read(answer).transpose());
    images.map(|image| Ok(image?.observed())).collect()
}

fn nobody_asked() -> EngineState {
    EngineState { store: Store::Unknown, ..EngineState::empty() }
}

fn read_system([info, version]: [Answer; 2]) -> Result<EngineState, EngineError> {
    let info: SystemInfo = info.read("asking the engine for its state")?;
    let version: SystemVersion = version.read("asking the engine for its version")?;
    Ok(EngineState {
        architecture: version.arch.unwrap_or_default(),
        variant: variant(info.architecture.as_deref().unwrap_or_default()),
        store: store(&info),
        data_root: info.docker_root_dir.unwrap_or_default(),
        ..EngineState::empty()
    })
}

fn owned(labels: Option<&HashMap<String, String>>) -> Owned {
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).cloned();
    Owned { project: label("com.docker.compose.project"), hash: label(HASH_LABEL).map(|hash| short_hash(&hash)) }
}

/// The variant in the kernel's word for the machine (`armv7l`); only 32-bit ARM has it there.
fn variant(machine: &str) -> String {
    let digits = machine.strip_prefix("armv").unwrap_or_default();
    // A 64-bit processor with a 32-bit engine runs what is made for version 7.
    let version = digits.chars().next().and_then(|digit| digit.to_digit(10)).map(|version| version.min(7));
    version.map(|version| format!("v{version}")).unwrap_or_default()
}

pub(super) fn store(info: &SystemInfo) -> Store {
    let mut pairs = info.driver_status.iter().flatten();
    let snapshotter = pairs.any(|p| p.iter().any(|text| text.starts_with("io.containerd.snapshotter")));
    if snapshotter { Store::Containerd } else { Store::Classic }
}

/// Podman reports its own defaults (containers.conf(5), `pids_limit`) as if somebody had asked for them.
fn forget_default_limits(containers: &mut [ObservedContainer]) {
    for live in containers.iter_mut().filter_map(|container| container.live.as_mut()) {
        live.pids_limit = 0;
        live.limits.clear();
    }
}

/// `None` for what somebody removed between two questions.
fn unless_gone<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(gone) if gone.is_not_found() => Ok(None),
        Err(other) => Err(other),
    }
}

/// `told` is what a relay's container answers when it is asked for its file.
fn detail(
    mut container: ObservedContainer,
    inspected: &ContainerInspectResponse,
    told: Option<Answer>,
) -> Result<ObservedContainer, EngineError> {
    container.live = Some(live(inspected));
    if let Some(told) = told {
        let told = relay::told(told, inspected)?;
        container.relay_targets = Some(told.targets);
        container.relay_listen = told.listen;
    }
    Ok(container)
}

fn live(inspected: &ContainerInspectResponse) -> Live {
    let host = inspected.host_config.clone().unwrap_or_default();
    let networks = inspected.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let mut networks: BTreeMap<String, Place> =
        networks.into_iter().flatten().map(|(name, endpoint)| (name.clone(), place(endpoint))).collect();
    if networks.is_empty() {
        // The mode may also name a network that it was disconnected from.
        let apart = |mode: &String| mode == "host" || mode == "none" || mode.starts_with("container:");
        networks.extend(host.network_mode.clone().filter(apart).map(|mode| (mode, Place::default())));
    }
    Live {
        restart: host.restart_policy.as_ref().map(restart).unwrap_or_default(),
        memory: host.memory.unwrap_or_default(),
        nano_cpus: host.nano_cpus.unwrap_or_default(),
        pids_limit: host.pids_limit.unwrap_or_default(),
        limits: super::resources::limits(&host),
        networks,
        health: status(inspected).health,
        started: inspected.state.as_ref().and_then(|s| s.started_at.clone()).unwrap_or_default(),
    }
}

/// Engines from 25 on tell the names that a person gave apart from all that there are.
fn place(endpoint: &EndpointSettings) -> Place {
    let names = endpoint.aliases.iter().chain(&endpoint.dns_names).flatten();
    let fixed = endpoint.ipam_config.as_ref();
    let addresses = [
        &endpoint.ip_address,
        &endpoint.global_ipv6_address,
        &fixed.and_then(|fixed| fixed.ipv4_address.clone()),
        &fixed.and_then(|fixed| fixed.ipv6_address.clone()),
    ];
    let addresses = addresses.into_iter().flatten().filter_map(|text| text.parse().ok());
    Place { names: names.cloned().collect(), addresses: addresses.collect() }
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

/// Tags in full form.
fn references(tags: &[String]) -> BTreeSet<String> {
    tags.iter().filter_map(|tag| Reference::parse(tag).ok()).map(|reference| reference.full()).collect()
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
        config_hash: label("config-hash").map(|hash| short_hash(&hash)),
        oneoff: label("oneoff").is_some_and(|v| v.eq_ignore_ascii_case("true")),
        number: label("container-number").and_then(|n| n.parse().ok()).unwrap_or_default(),
        made_by: label("version"),
        role: role(labels.get(ROLE_LABEL)),
        relay_of: labels.get(SERVICE_LABEL).cloned(),
        own_hash: labels.get(HASH_LABEL).map(|hash| short_hash(hash)),
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

fn published(summary: &ContainerSummary) -> BTreeSet<PublishedPort> {
    let held = summary.ports.iter().flatten().filter(|port| port.public_port.is_some_and(|public| public > 0));
    held.map(published_port).collect()
}

fn published_port(port: &PortSummary) -> PublishedPort {
    PublishedPort {
        // Podman leaves it empty for all addresses.
        host_ip: port.ip.as_deref().and_then(|ip| ip.parse().ok()),
        published: port.public_port,
        target: port.private_port,
        protocol: match port.typ {
            Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
            Some(PortSummaryTypeEnum::SCTP) => Protocol::Sctp,
            _ => Protocol::Tcp,
        },
    }
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

#[cfg(test)]
mod tests {
    use super::variant;

    #[test]
    fn variant_is_told_where_the_kernel_names_one() {
        for (machine, told) in [
            ("armv6l", "v6"),
            ("armv7l", "v7"),
            ("armv8l", "v7"),
            ("aarch64", ""),
            ("x86_64", ""),
            ("armv", ""),
            ("", ""),
        ] {
            assert_eq!(variant(machine), told, "{machine}");
        }
    }
}
