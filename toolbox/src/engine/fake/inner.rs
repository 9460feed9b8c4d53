//! What the engine in memory knows, and its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::state::{ObservedContainer, Role};

use super::super::{ContainerStatus, EngineError};

/// Looks at a started container until it is healthy.
const LOOKS: u32 = 2;

/// What a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A service's; `named` where it can be reached by the service's name.
    Service { service: String, named: bool },
    /// A hook's.
    OneOff { service: String },
    /// A relay.
    Relay { service: String, targets: BTreeSet<String>, listen: Value },
    /// The keeper.
    Keeper,
}

/// A container of the fake engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeContainer {
    pub(super) name: String,
    pub(super) status: ContainerStatus,
    pub(super) kind: Kind,
    /// Ports of the host that it holds while it runs.
    pub(super) ports: BTreeSet<u16>,
    pub(super) files: Vec<(String, String)>,
    /// What it was made from, where it was made here.
    pub(super) hash: Option<String>,
    /// Looks until it is healthy.
    looks: u32,
}

impl FakeContainer {
    pub(super) fn new(name: &str, state: &str, kind: Kind) -> Self {
        let health = matches!(kind, Kind::Service { .. }).then(|| "healthy".to_owned());
        let status = ContainerStatus { state: state.into(), health, ..Default::default() };
        Self { name: name.into(), status, kind, ports: BTreeSet::new(), files: Vec::new(), hash: None, looks: 0 }
    }

    fn runs(&self) -> bool {
        self.status.state == "running"
    }

    fn observed(&self, id: &str, project: &str) -> ObservedContainer {
        let (role, service, relay_of) = match &self.kind {
            Kind::Service { service, .. } => (Role::Service, Some(service.clone()), None),
            Kind::OneOff { service } => (Role::Hook, Some(service.clone()), None),
            Kind::Relay { service, .. } => (Role::Relay, None, Some(service.clone())),
            Kind::Keeper => (Role::Keeper, None, None),
        };
        let health = self.status.health.as_ref().map(|h| if h == "starting" { "health: starting" } else { h });
        let number = self.name.trim_end_matches(".next").rsplit('-').next();
        ObservedContainer {
            id: id.to_owned(),
            name: self.name.clone(),
            project: Some(project.to_owned()),
            number: number.and_then(|n| n.parse().ok()).unwrap_or_default(),
            config_hash: self.hash.clone(),
            created: id.strip_prefix("new").and_then(|n| n.parse().ok()).unwrap_or_default(),
            state: self.status.state.clone(),
            status: health.map(|h| format!("Up 2 minutes ({h})")).unwrap_or_default(),
            role,
            service,
            relay_of,
            ..ObservedContainer::default()
        }
    }

    /// It does its work, whether somebody has looked or not.
    fn is_healthy(&self) -> bool {
        self.runs() && self.status.health.as_deref().is_none_or(|h| h == "healthy")
    }
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) calls: Vec<String>,
    pub(super) fail_at: BTreeSet<usize>,
    pub(super) cut_at: Option<usize>,
    pub(super) blind_at: Option<usize>,
    pub(super) looks: usize,
    pub(super) containers: BTreeMap<String, FakeContainer>,
    /// Health that a started container of this service shows.
    pub(super) health: BTreeMap<String, String>,
    /// Status with which a hook of this service exits.
    pub(super) hooks: BTreeMap<String, i64>,
    /// What a hook of this service writes.
    pub(super) output: BTreeMap<String, Vec<&'static str>>,
    pub(super) lock_after: Option<Duration>,
    pub(super) watched: BTreeSet<String>,
    pub(super) gaps: Vec<String>,
    pub(super) tarballs: Vec<Vec<u8>>,
    pub(super) made: usize,
}

pub(super) fn refuse(what: &str, message: &str, status: u16) -> EngineError {
    EngineError::Refused { what: what.into(), message: message.into(), status }
}

impl Inner {
    /// Counts, acts or refuses, and looks for gaps; true where the answer is cut off.
    pub(super) fn call<T>(
        &mut self,
        what: &str,
        act: impl FnOnce(&mut Self) -> Result<T, EngineError>,
        interrupt: Option<&(usize, watch::Sender<bool>)>,
    ) -> (Result<T, EngineError>, bool) {
        let number = self.calls.len();
        self.calls.push(what.to_owned());
        if let Some((at, sender)) = interrupt
            && *at == number
        {
            let _ = sender.send(true);
        }
        if self.fail_at.contains(&number) {
            return (Err(refuse(what, "injected fault", 500)), false);
        }
        let done = act(self);
        let unserved = self.watched.iter().filter(|s| !self.serves(s)).map(|s| format!("{s} after {number}: {what}"));
        let unserved: Vec<String> = unserved.collect();
        self.gaps.extend(unserved);
        (done, self.cut_at == Some(number))
    }

    pub(super) fn add(&mut self, id: &str, container: FakeContainer) {
        self.containers.insert(id.into(), container);
    }

    pub(super) fn find(&self, id_or_name: &str) -> Option<&FakeContainer> {
        self.containers.get(id_or_name).or_else(|| self.containers.values().find(|c| c.name == id_or_name))
    }

    pub(super) fn existing(&mut self, id_or_name: &str) -> Result<&mut FakeContainer, EngineError> {
        let name = |(id, c): (&String, &FakeContainer)| (id == id_or_name || c.name == id_or_name).then(|| id.clone());
        let id = self.containers.iter().find_map(name).ok_or_else(|| refuse(id_or_name, "no such container", 404))?;
        Ok(self.containers.get_mut(&id).unwrap())
    }

    pub(super) fn free_name(&self, name: &str) -> Result<(), EngineError> {
        let taken = self.containers.values().any(|c| c.name == name);
        if taken { Err(refuse(name, "the container name is already in use", 409)) } else { Ok(()) }
    }

    pub(super) fn start(&mut self, id: &str) -> Result<(), EngineError> {
        let ports = self.existing(id)?.ports.clone();
        let name = self.existing(id)?.name.clone();
        if self.existing(id)?.runs() {
            return Ok(());
        }
        let holder = self.containers.values().find(|c| c.runs() && c.name != name && !c.ports.is_disjoint(&ports));
        if holder.is_some() {
            return Err(refuse(id, "port is already allocated", 500));
        }
        let (health, hooks) = (self.health.clone(), self.hooks.clone());
        let writes: BTreeSet<String> = self.output.keys().cloned().collect();
        let is_new = id.starts_with("new");
        let container = self.existing(id)?;
        container.status.state = "running".into();
        match &container.kind {
            Kind::OneOff { service } => {
                // Until its output was read.
                container.status.state = if writes.contains(service) { "running".into() } else { "exited".into() };
                container.status.exit_code = hooks.get(service).copied().unwrap_or(0);
            }
            Kind::Service { service, .. } => match health.get(service).filter(|_| is_new) {
                Some(health) if health == "exits" => container.status.state = "exited".into(),
                Some(health) => container.status.health = Some(health.clone()),
                None => {
                    container.status.health = Some("starting".into());
                    container.looks = LOOKS;
                }
            },
            _ => {}
        }
        Ok(())
    }

    pub(super) fn observed(&self, project: &str) -> Vec<ObservedContainer> {
        self.containers.iter().map(|(id, container)| container.observed(id, project)).collect()
    }

    /// What a hook was told to write.
    pub(super) fn output_of(&self, id: &str) -> Option<Vec<&'static str>> {
        match &self.find(id)?.kind {
            Kind::OneOff { service } => self.output.get(service).cloned(),
            _ => None,
        }
    }

    /// Its command has ended.
    pub(super) fn ends(&mut self, id: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            container.status.state = "exited".into();
        }
    }

    /// A container is healthy after some looks.
    pub(super) fn look(&mut self, id: &str) -> Result<ContainerStatus, EngineError> {
        let number = self.looks;
        self.looks += 1;
        if self.blind_at == Some(number) {
            return Err(refuse(id, "injected fault", 500));
        }
        let container = self.existing(id)?;
        if container.looks > 0 {
            container.looks -= 1;
            if container.looks == 0 {
                container.status.health = Some("healthy".into());
            }
        }
        if container.status.health.as_deref() == Some("unhealthy") {
            container.status.health_output = "connection refused\n".into();
        }
        Ok(container.status.clone())
    }

    pub(super) fn control(&mut self, id: &str, request: &Value) -> Result<Value, EngineError> {
        let container = self.existing(id)?;
        if !container.runs() {
            return Err(refuse(id, "container is not running", 409));
        }
        let Kind::Relay { targets, listen, .. } = &mut container.kind else {
            return Err(refuse(id, "it is no relay", 500));
        };
        match request["do"].as_str().unwrap() {
            "switch" => {
                *targets = serde_json::from_value(request["targets"].clone()).unwrap();
                *listen = request["listen"].clone();
                Ok(json!({"ok": true}))
            }
            "status" => Ok(json!({"listen": listen, "targets": targets, "connections": {}})),
            "drain" => Ok(json!({"left": 0})),
            other => panic!("no such request: {other}"),
        }
    }

    pub(super) fn serves(&self, service: &str) -> bool {
        let by_name = |c: &&FakeContainer| c.kind == Kind::Service { service: service.to_owned(), named: true };
        if self.containers.values().filter(by_name).any(FakeContainer::is_healthy) {
            return true;
        }
        let healthy = |id: &String| self.containers.get(id).is_some_and(FakeContainer::is_healthy);
        self.containers.values().filter(|c| c.runs()).any(|c| match &c.kind {
            Kind::Relay { service: before, targets, .. } => before == service && targets.iter().any(healthy),
            _ => false,
        })
    }
}
