//! Compares what a project wants with what a host holds.
//!
//! Contract: the plan leads from any state that an interrupted run or a person's hand left to what the file says, and
//! takes no container down that serves before a good one is in its place, where the service is start-first.

mod cause;
mod containers;
mod error;
mod images;
mod ports;
mod problems;
mod relays;
mod scope;
mod selection;
mod send;
mod services;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::compose::{Project, Service};
use crate::image::{DiffId, Reference};
use crate::state::{EngineState, ImageFacts, ObservedContainer, Role};

use super::cause::Cause;
use super::operation::{Action, Operation, Plan};
use super::order::Rollout;
use containers::Containers;
pub use error::PlanError;
pub use send::send;

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
    /// The project, with the services that belong on this host and no others.
    pub project: &'a Project,
    /// Images at hand, by the name that the compose file uses. What is missing here must be on the host already.
    pub images: &'a BTreeMap<String, DesiredImage>,
    /// The image of relays and the keeper.
    pub helper: &'a DesiredImage,
    /// Only these services, and what they depend on, are changed; `None` is all.
    pub services: Option<&'a BTreeSet<String>>,
    /// Containers of services that the file does not name any more are removed.
    pub remove_orphans: bool,
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

/// What must happen on the host so that it runs the project.
///
/// # Errors
/// Everything that stands in the way, at once; but the helper's architecture only where a plan could be made.
pub fn reconcile(desired: Desired<'_>, facts: &HostFacts) -> Result<Plan, Vec<PlanError>> {
    let empty = EngineState::empty();
    let engine = facts.engine.as_ref().unwrap_or(&empty);
    let selected = selection::select(desired.project, desired.services, &facts.host)?;
    let (rollouts, containers, retired_early) = Default::default();
    let mut run = Run { desired, facts, engine, selected, rollouts, containers, retired_early };
    let mut errors = run.problems();
    errors.extend(run.decide_rollouts());
    if !errors.is_empty() {
        return Err(errors);
    }
    run.order_by_ports();
    run.sort_containers();
    let plan = run.plan();
    run.helper_problem(&plan).map_or(Ok(plan), |error| Err(vec![error]))
}

struct Run<'a> {
    desired: Desired<'a>,
    facts: &'a HostFacts,
    engine: &'a EngineState,
    /// The services that may be changed, in the order in which they are.
    selected: Vec<&'a Service>,
    rollouts: BTreeMap<&'a str, Rollout>,
    containers: BTreeMap<&'a str, Containers<'a>>,
    /// Services that give up their ports ahead of all, since another one takes one of them first: their relay is
    /// retired, and containers that publish by themselves are stopped.
    retired_early: BTreeSet<&'a str>,
}

impl<'a> Run<'a> {
    /// An error for each service whose order cannot be what the file asks for.
    fn decide_rollouts(&mut self) -> Vec<PlanError> {
        let mut errors = Vec::new();
        for service in self.selected.clone() {
            match Rollout::of(self.desired.project, service, self.image_facts(service)) {
                Ok(rollout) => {
                    errors.extend(self.without_relay(service, &rollout));
                    self.rollouts.insert(&service.name, rollout);
                }
                Err(reason) => errors.push(PlanError::OrderImpossible {
                    host: self.facts.host.clone(),
                    service: service.name.clone(),
                    reason,
                }),
            }
        }
        errors
    }

    fn sort_containers(&mut self) {
        for service in self.selected.clone() {
            let own = self.of_role(Role::Service).filter(|c| c.service.as_ref() == Some(&service.name));
            let relay = self.relay(&service.name).and_then(|relay| relay.relay_targets.as_ref());
            let order = self.rollouts[service.name.as_str()].order;
            let sorted = Containers::sort(self.desired.project, service, order, own.collect(), relay);
            self.containers.insert(&service.name, sorted);
        }
    }

    fn plan(&self) -> Plan {
        let causes = self.causes();
        let mut unchanged = Vec::new();
        let mut services = Vec::new();
        for service in &self.selected {
            let operations = self.service_operations(service, &causes[service.name.as_str()]);
            if operations.is_empty() {
                unchanged.push(service.name.clone());
            }
            services.extend(operations);
        }
        let keeper = self.keeper_operations();
        let (files, strays) = (self.file_operations(&services), self.never_in_charge());
        let (orphans, early, stops) = (self.orphan_operations(), self.early_retirements(), self.early_stops());
        let mut operations = self.engine_operations();
        operations.extend(self.image_operations());
        operations.extend(self.helper_operations(keeper.iter().chain(&services)));
        operations.extend(self.network_operations());
        operations.extend(self.volume_operations());
        let notes = self.first_relays(&services).into_iter().chain(self.notes()).collect();
        operations.extend([strays, keeper, files, orphans, early, stops, services].into_iter().flatten());
        Plan {
            host: self.facts.host.clone(),
            operations,
            running: self.containers.iter().map(|(name, c)| ((*name).to_owned(), c.serving())).collect(),
            relays: self.relay_ports(),
            helper: self.desired.helper.reference.familiar(),
            unchanged,
            notes,
        }
    }

    fn relay_ports(&self) -> BTreeMap<String, Vec<u16>> {
        let relays = self.rollouts.iter().filter_map(|(name, rollout)| Some((name, rollout.relay.as_ref()?)));
        relays.map(|(name, ports)| ((*name).to_owned(), ports.iter().copied().collect())).collect()
    }

    /// The project's containers for this purpose.
    fn of_role(&self, role: Role) -> impl Iterator<Item = &'a ObservedContainer> {
        let (engine, project) = (self.engine, &self.desired.project.name);
        // One that a person ran with `docker compose run` is no service's.
        engine.of_project(project).filter(move |c| c.role == role && (role != Role::Service || !c.oneoff))
    }

    /// The file defines the service, be it under a profile that was not asked for.
    fn has_service(&self, name: Option<&String>) -> bool {
        let project = self.desired.project;
        name.is_some_and(|name| project.services.contains_key(name) || project.inactive.contains(name))
    }
}

fn op(action: Action, cause: Cause) -> Operation {
    Operation { action, cause }
}

fn remove(service: Option<&Service>, container: &ObservedContainer, cause: Cause) -> Operation {
    let action = Action::RemoveContainer {
        service: service.map(|s| s.name.clone()),
        container: container.name.clone(),
        id: container.id.clone(),
        volumes: false,
    };
    op(action, cause)
}
