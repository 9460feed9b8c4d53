//! Compares what a project wants with what a host holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::compose::{Project, Protocol, RestartPolicy, Service};
use crate::image::{ChainId, DiffId, Reference, held_chains, held_prefix};
use crate::state::{EngineState, ImageFacts, ObservedContainer, Store};

use super::operation::{Action, Cause, Operation, Plan};

/// An image that stands ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredImage {
    /// Its full name.
    pub reference: Reference,
    /// Its content.
    pub facts: ImageFacts,
    /// Uncompressed size of each layer in bytes, where the image was read already.
    pub layer_sizes: BTreeMap<DiffId, u64>,
}

/// What a host shall run.
#[derive(Debug, Clone, Copy)]
pub struct Desired<'a> {
    /// The project.
    pub project: &'a Project,
    /// Images at hand, by the name that the compose file uses. What is missing here must be on the host already.
    pub images: &'a BTreeMap<String, DesiredImage>,
}

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The name in the inventory.
    pub host: String,
    /// `Err` holds the reason why there is no snapshot.
    pub engine: Result<EngineState, Cause>,
    /// TCP addresses that something listens on.
    pub listening: BTreeSet<SocketAddr>,
}

/// Why no plan can be made; nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Neither the image source nor the host holds the image.
    #[error("{host}: service {service}: image {image} is neither here nor on the host")]
    ImageNowhere {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// The image as the compose file names it.
        image: String,
        /// The service can be built.
        has_build: bool,
    },
    /// The image was made for another processor.
    #[error("{host}: service {service}: image {image} is for {image_architecture}, the host is {host_architecture}")]
    Architecture {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// The image as the compose file names it.
        image: String,
        /// What the image was made for.
        image_architecture: String,
        /// What the host is.
        host_architecture: String,
    },
    /// A published port is in use.
    #[error("{host}: service {service}: port {port} is taken on the host by {holder}")]
    PortTaken {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// The port of the host.
        port: u16,
        /// Who holds it: a container's name, or "another process".
        holder: String,
    },
    /// `external: true` and not there.
    #[error("{host}: {kind} {name} is external and does not exist on the host")]
    ExternalMissing {
        /// The host.
        host: String,
        /// `network` or `volume`.
        kind: &'static str,
        /// The engine's name.
        name: String,
    },
}

impl PlanError {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::ImageNowhere { service, has_build: true, .. } => {
                format!("build it here first: docker compose build {service}")
            }
            Self::ImageNowhere { image, .. } => format!("fetch it here first: docker pull {image}"),
            Self::Architecture { host_architecture, image, .. } => {
                format!("build or pull {image} for linux/{host_architecture}")
            }
            Self::PortTaken { port, holder, .. } if holder.starts_with("container ") => {
                format!("stop that container, or publish another port than {port} in the compose file")
            }
            Self::PortTaken { port, .. } => {
                format!("see who listens with `ss -ltnp 'sport = :{port}'` on the host, or publish another port")
            }
            Self::ExternalMissing { kind, name, .. } => {
                format!("create it on the host: docker {kind} create {name}")
            }
        }
    }
}

/// The name that Compose gives to a service's container.
pub fn container_name(project: &Project, service: &Service) -> String {
    service.container_name.clone().unwrap_or_else(|| format!("{}-{}-1", project.name, service.name))
}

/// What must happen on the host so that it runs the project.
///
/// # Errors
/// Everything that stands in the way, at once.
pub fn reconcile(desired: Desired<'_>, facts: &HostFacts) -> Result<Plan, Vec<PlanError>> {
    let empty = EngineState::empty();
    let run = Run { desired, facts, engine: facts.engine.as_ref().unwrap_or(&empty) };
    let errors: Vec<PlanError> =
        desired.project.services.values().flat_map(|s| run.problems(s)).chain(run.external_problems()).collect();
    if errors.is_empty() { Ok(run.plan()) } else { Err(errors) }
}

struct Run<'a> {
    desired: Desired<'a>,
    facts: &'a HostFacts,
    engine: &'a EngineState,
}

impl Run<'_> {
    fn plan(&self) -> Plan {
        let mut plan = Plan {
            host: self.facts.host.clone(),
            operations: self.engine_operations(),
            unchanged: Vec::new(),
            notes: self.orphans().into_iter().chain(self.unhealthy()).collect(),
        };
        let pushed = self.push_operations(&mut plan.operations);
        self.network_operations(&mut plan.operations);
        self.volume_operations(&mut plan.operations);
        for name in self.desired.project.start_order().into_iter().flatten() {
            let before = plan.operations.len();
            self.service_operations(&self.desired.project.services[name], &pushed, &mut plan.operations);
            if plan.operations.len() == before {
                plan.unchanged.push(name.to_owned());
            }
        }
        plan
    }

    fn engine_operations(&self) -> Vec<Operation> {
        match &self.facts.engine {
            Ok(_) => Vec::new(),
            Err(cause @ Cause::EngineStopped) => vec![op(Action::StartEngine, cause.clone())],
            Err(cause) => vec![op(Action::InstallEngine, cause.clone())],
        }
    }

    /// Appends what must be sent; returns the full names of the images that are.
    fn push_operations(&self, operations: &mut Vec<Operation>) -> BTreeSet<String> {
        let held = self.held_chains();
        let mut pushed = BTreeSet::new();
        let mut counted = BTreeSet::new();
        for name in self.image_names() {
            let Some(image) = self.desired.images.get(&name) else {
                continue;
            };
            let full = image.reference.full();
            let cause = match self.engine.image(&full) {
                Some(there) if there.facts.same_content(&image.facts) => continue,
                Some(_) => Cause::ImageDiffers,
                None => Cause::Missing,
            };
            if pushed.insert(full) {
                operations.push(op(push_action(image, &held, &mut counted), cause));
            }
        }
        pushed
    }

    fn image_names(&self) -> BTreeSet<String> {
        self.desired.project.services.values().map(|s| s.image.clone()).collect()
    }

    /// On a containerd store a layer counts only where its blob is one that we sent, which a snapshot cannot tell yet.
    fn held_chains(&self) -> BTreeSet<ChainId> {
        if self.engine.store == Store::Containerd {
            return BTreeSet::new();
        }
        held_chains(self.engine.images.iter().map(|i| i.facts.layers.as_slice()))
    }

    fn network_operations(&self, operations: &mut Vec<Operation>) {
        for (key, network) in &self.desired.project.networks {
            if !network.external && !self.engine.networks.contains(&network.name) {
                let action = Action::CreateNetwork { key: key.clone(), name: network.name.clone() };
                operations.push(op(action, Cause::Missing));
            }
        }
    }

    fn volume_operations(&self, operations: &mut Vec<Operation>) {
        for (key, volume) in &self.desired.project.volumes {
            if !volume.external && !self.engine.volumes.contains(&volume.name) {
                let action = Action::CreateVolume { key: key.clone(), name: volume.name.clone() };
                operations.push(op(action, Cause::Missing));
            }
        }
    }

    fn service_operations(&self, service: &Service, pushed: &BTreeSet<String>, operations: &mut Vec<Operation>) {
        let container = container_name(self.desired.project, service);
        let (current, left_over) = self.containers_of(&service.name, &container);
        for old in left_over {
            let action = Action::RemoveContainer { container: old.name.clone(), id: old.id.clone(), volumes: false };
            operations.push(op(action, Cause::LeftOver));
        }
        let service_name = service.name.clone();
        let Some(current) = current else {
            operations.push(op(Action::CreateContainer { service: service_name, container }, Cause::Missing));
            return;
        };
        let id = current.id.clone();
        if let Some(cause) = self.why_recreate(service, current, &container, pushed) {
            let action = Action::RecreateContainer {
                service: service_name,
                container,
                replaces: id,
                replaced_name: current.name.clone(),
            };
            operations.push(op(action, cause));
        } else if !current.is_running() && !may_have_ended(service, current) {
            let cause = Cause::NotRunning { state: current.state.clone() };
            operations.push(op(Action::StartContainer { service: service_name, container, id }, cause));
        }
    }

    /// The service's container, and those that an interrupted run left beside it.
    fn containers_of(&self, service: &str, name: &str) -> (Option<&ObservedContainer>, Vec<&ObservedContainer>) {
        let mut all: Vec<&ObservedContainer> = self
            .engine
            .of_project(&self.desired.project.name)
            .filter(|c| !c.oneoff && c.service.as_deref() == Some(service))
            .collect();
        all.sort_by_key(|c| (c.name != name, !c.is_running(), c.name.clone()));
        let mut all = all.into_iter();
        (all.next(), all.collect())
    }

    fn why_recreate(
        &self,
        service: &Service,
        current: &ObservedContainer,
        name: &str,
        pushed: &BTreeSet<String>,
    ) -> Option<Cause> {
        if current.name != name {
            return Some(Cause::LeftOver);
        }
        let full = self.full_name(service);
        let held = self.engine.image(&full).map(|i| &i.facts.id);
        if pushed.contains(&full) || held.is_some_and(|id| *id != current.image_id) {
            return Some(Cause::ImageChanged);
        }
        let hash = service.config_hash(self.desired.project);
        (current.config_hash.as_ref() != Some(&hash)).then_some(Cause::ConfigChanged)
    }

    fn full_name(&self, service: &Service) -> String {
        match self.desired.images.get(&service.image) {
            Some(image) => image.reference.full(),
            None => Reference::parse(&service.image).map_or_else(|_| service.image.clone(), |r| r.full()),
        }
    }

    fn orphans(&self) -> Vec<String> {
        let project = self.desired.project;
        self.engine
            .of_project(&project.name)
            .filter(|c| !c.oneoff)
            .filter(|c| !c.service.as_ref().is_some_and(|s| project.services.contains_key(s)))
            .map(|c| format!("container {} belongs to the project and to no service of the file; left alone", c.name))
            .collect()
    }

    /// Reported and left alone: a change to another service may be what mends it.
    fn unhealthy(&self) -> Vec<String> {
        self.engine
            .of_project(&self.desired.project.name)
            .filter(|c| c.status.ends_with("(unhealthy)"))
            .map(|c| format!("container {} is unhealthy; see docker logs {} on the host", c.name, c.name))
            .collect()
    }

    fn problems(&self, service: &Service) -> Vec<PlanError> {
        self.image_problem(service).into_iter().chain(self.port_problems(service)).collect()
    }

    fn image_problem(&self, service: &Service) -> Option<PlanError> {
        let (host, service_name, image) = (self.facts.host.clone(), service.name.clone(), service.image.clone());
        let Some(wanted) = self.desired.images.get(&service.image) else {
            let there = self.engine.image(&self.full_name(service)).is_some();
            let error = PlanError::ImageNowhere { host, service: service_name, image, has_build: service.has_build };
            return (!there).then_some(error);
        };
        let (ours, theirs) = (&wanted.facts.architecture, &self.engine.architecture);
        (!ours.is_empty() && !theirs.is_empty() && ours != theirs).then(|| PlanError::Architecture {
            host,
            service: service_name,
            image,
            image_architecture: ours.clone(),
            host_architecture: theirs.clone(),
        })
    }

    fn port_problems(&self, service: &Service) -> Vec<PlanError> {
        let tcp = service.ports.iter().filter(|p| p.protocol == Protocol::Tcp);
        tcp.filter_map(|published| {
            let port = published.published?;
            let holder = self.port_holder(published.host_ip, port)?;
            let (host, service) = (self.facts.host.clone(), service.name.clone());
            Some(PlanError::PortTaken { host, service, port, holder })
        })
        .collect()
    }

    /// Who holds the port, unless it is the project itself, whose containers give it up.
    fn port_holder(&self, host_ip: Option<IpAddr>, port: u16) -> Option<String> {
        let project = &self.desired.project.name;
        let container = self.engine.containers.iter().find(|c| c.published.contains_key(&port));
        match container {
            Some(own) if own.project.as_ref() == Some(project) => None,
            Some(other) => Some(format!("container {}", other.name)),
            None => {
                let taken = self.facts.listening.iter().any(|l| l.port() == port && clashes(host_ip, l.ip()));
                taken.then(|| "another process".to_owned())
            }
        }
    }

    fn external_problems(&self) -> Vec<PlanError> {
        let host = &self.facts.host;
        let networks = self.desired.project.networks.values();
        let networks = networks.filter(|n| n.external && !self.engine.networks.contains(&n.name));
        let volumes = self.desired.project.volumes.values();
        let volumes = volumes.filter(|v| v.external && !self.engine.volumes.contains(&v.name));
        let missing = |kind, name: &str| PlanError::ExternalMissing { host: host.clone(), kind, name: name.to_owned() };
        networks.map(|n| missing("network", &n.name)).chain(volumes.map(|v| missing("volume", &v.name))).collect()
    }
}

/// A one-shot service is done when it has exited well.
fn may_have_ended(service: &Service, current: &ObservedContainer) -> bool {
    let one_shot = matches!(service.restart, RestartPolicy::No | RestartPolicy::OnFailure { .. });
    one_shot && current.state == "exited" && current.status.starts_with("Exited (0)")
}

/// Whether a listener on `theirs` keeps the engine from binding the same port; no address of ours means all of them.
fn clashes(ours: Option<IpAddr>, theirs: IpAddr) -> bool {
    ours.is_none_or(|ip| ip.is_unspecified() || theirs.is_unspecified() || ip == theirs)
}

fn op(action: Action, cause: Cause) -> Operation {
    Operation { action, cause }
}

/// A layer that two images share is sent, and `counted`, once.
fn push_action(image: &DesiredImage, held: &BTreeSet<ChainId>, counted: &mut BTreeSet<DiffId>) -> Action {
    let layers = &image.facts.layers;
    let held_layers = held_prefix(layers, held);
    let new = layers[held_layers..].iter().filter(|l| counted.insert(**l));
    let sizes: Option<Vec<u64>> = new.map(|l| image.layer_sizes.get(l).copied()).collect();
    Action::PushImage {
        reference: image.reference.clone(),
        held_layers,
        layers: layers.len(),
        bytes: sizes.map(|s| s.iter().sum()),
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
