//! What services share: the engine, networks, volumes, the keeper and its files; and what belongs to no service.

use std::collections::BTreeSet;

use crate::compose::Service;
use crate::plan::cause::Cause;
use crate::plan::names::keeper_name;
use crate::plan::operation::{Action, Operation};
use crate::plan::relay::keeper_hash;
use crate::state::{ObservedContainer, Role};

use super::relays::retire;
use super::{Run, op, remove};

impl Run<'_> {
    pub(super) fn engine_operations(&self) -> Vec<Operation> {
        match &self.facts.engine {
            Ok(_) => Vec::new(),
            Err(cause @ Cause::EngineStopped) => vec![op(Action::StartEngine, cause.clone())],
            Err(cause) => vec![op(Action::InstallEngine, cause.clone())],
        }
    }

    pub(super) fn network_operations(&self) -> Vec<Operation> {
        let needed = self.needed_networks();
        let all = self.desired.project.networks.iter().filter(|(key, _)| needed.contains(key.as_str()));
        let missing = all.filter(|(_, n)| !n.external && !self.engine.networks.contains_key(&n.name));
        missing
            .map(|(key, n)| op(Action::CreateNetwork { key: key.clone(), name: n.name.clone() }, Cause::Missing))
            .collect()
    }

    pub(super) fn volume_operations(&self) -> Vec<Operation> {
        let needed = self.needed_volumes();
        let all = self.desired.project.volumes.iter().filter(|(key, _)| needed.contains(key.as_str()));
        let missing = all.filter(|(_, v)| !v.external && !self.engine.volumes.contains_key(&v.name));
        missing
            .map(|(key, v)| op(Action::CreateVolume { key: key.clone(), name: v.name.clone() }, Cause::Missing))
            .collect()
    }

    /// The keeper holds the lock and the releases of every project that runs something here.
    pub(super) fn keeper_operations(&self) -> Vec<Operation> {
        if self.selected.is_empty() {
            return Vec::new();
        }
        let name = keeper_name(&self.desired.project.name);
        let keeper = self.of_role(Role::Keeper).find(|keeper| keeper.name == name);
        let create = |cause| op(Action::CreateKeeper { name: name.clone() }, cause);
        let Some(keeper) = keeper else {
            return vec![create(Cause::Missing)];
        };
        let stopped = Cause::NotRunning { state: keeper.state.clone() };
        if keeper.own_hash != Some(keeper_hash()) {
            let cause = Cause::ConfigChanged { fields: Vec::new() };
            return vec![remove(None, keeper, cause.clone()), create(cause)];
        }
        match keeper.state.as_str() {
            "running" if self.engine.volumes.contains_key(&name) => Vec::new(),
            "running" => vec![create(Cause::Missing)],
            "created" | "exited" => vec![create(stopped)],
            _ => vec![remove(None, keeper, stopped.clone()), create(stopped)],
        }
    }

    /// The files of services of which a container is made.
    pub(super) fn file_operations(&self, operations: &[Operation]) -> Vec<Operation> {
        let made: BTreeSet<&str> = operations.iter().filter_map(makes).collect();
        let keeper = keeper_name(&self.desired.project.name);
        let lost = !self.engine.volumes.contains_key(&keeper);
        let services = self.selected.iter().filter(|s| lost || made.contains(s.name.as_str()));
        let (mut configs, mut secrets) = (BTreeSet::new(), BTreeSet::new());
        for service in services {
            configs.extend(service.configs.iter().map(|file| file.key.clone()));
            secrets.extend(service.secrets.iter().map(|file| file.key.clone()));
        }
        if configs.is_empty() && secrets.is_empty() {
            return Vec::new();
        }
        let (configs, secrets) = (configs.into_iter().collect(), secrets.into_iter().collect());
        vec![op(Action::StoreFiles { configs, secrets }, Cause::Needed)]
    }

    /// Containers that outlived the run that made them and never served: those of hooks, and staged ones, which hold
    /// the names that this run stages under.
    pub(super) fn never_in_charge(&self) -> Vec<Operation> {
        let staged = self.containers.values().flat_map(|c| c.staged.iter().copied());
        self.of_role(Role::Hook).chain(staged).map(|c| remove(None, c, Cause::NeverInCharge)).collect()
    }

    /// Ahead of the services: one may take an orphan's port.
    pub(super) fn orphan_operations(&self) -> Vec<Operation> {
        if !self.desired.remove_orphans {
            return Vec::new();
        }
        let relays = self.orphan_relays();
        let relays = relays.iter().map(|r| retire(r.relay_of.as_deref().unwrap_or_default(), r, Cause::Orphan));
        let containers = self.orphans();
        relays.chain(containers.iter().map(|c| remove(None, c, Cause::Orphan))).collect()
    }

    fn orphans(&self) -> Vec<&ObservedContainer> {
        self.of_role(Role::Service).filter(|c| !self.has_service(c.service.as_ref())).collect()
    }

    fn orphan_relays(&self) -> Vec<&ObservedContainer> {
        self.of_role(Role::Relay).filter(|c| !self.has_service(c.relay_of.as_ref())).collect()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let orphans: Vec<String> = match self.desired.remove_orphans {
            true => Vec::new(),
            false => self.orphans().into_iter().chain(self.orphan_relays()).map(orphan_note).collect(),
        };
        let all = orphans.into_iter().chain(self.unhealthy()).chain(self.never_drained());
        all.chain(self.dropped()).collect()
    }

    /// An earlier release may say so too, and it can be brought back.
    fn never_drained(&self) -> Vec<String> {
        let relay = |service: &Service| self.rollouts[service.name.as_str()].relay.is_some() || service.replicas == 0;
        let without = self.selected.iter().filter(|service| service.toolbox.drain.is_some() && !relay(service));
        let note = |name: &String| format!("x-toolbox.drain of {name} has no effect: no relay stands before it");
        without.map(|service| note(&service.name)).collect()
    }

    /// Keys that an engine of this version drops in silence, and that a service runs without.
    fn dropped(&self) -> Vec<String> {
        let Some(api) = self.engine.api else { return Vec::new() };
        let newer = self.selected.iter().flat_map(|service| {
            let start_interval = service.healthcheck.as_ref().is_some_and(|check| check.start_interval.is_some());
            let keys = [
                ("annotations", !service.annotations.is_empty(), (1, 43)),
                ("healthcheck.start_interval", start_interval, (1, 44)),
            ];
            keys.into_iter().filter(move |(_, given, since)| *given && api < *since).map(move |(key, _, since)| {
                let (name, (major, minor)) = (&service.name, api);
                let since = format!("{}.{}", since.0, since.1);
                format!("{key} of {name} has no effect: it needs API {since}, and the engine speaks {major}.{minor}")
            })
        });
        newer.collect()
    }

    /// Reported and left alone: a change to another service may be what mends it.
    fn unhealthy(&self) -> Vec<String> {
        self.of_role(Role::Service)
            .filter(|c| c.health() == Some("unhealthy"))
            .map(|c| format!("container {} is unhealthy; see docker logs {} on the host", c.name, c.name))
            .collect()
    }
}

fn orphan_note(container: &ObservedContainer) -> String {
    let name = &container.name;
    format!("container {name} belongs to the project and to no service of the file; --remove-orphans removes it")
}

/// The service of which the operation makes a container.
fn makes(operation: &Operation) -> Option<&str> {
    match &operation.action {
        Action::CreateContainer { service, .. } | Action::ReplaceContainers { service, .. } => Some(service),
        _ => None,
    }
}
