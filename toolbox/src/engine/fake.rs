//! An engine in memory, with a fault at any call: for tests of whoever walks plans.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::compose::Project;
use crate::state::{EngineState, ImageFacts};

use super::{ArchiveStream, ContainerSpec, ContainerStatus, Engine, EngineError};

/// A container of the fake engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeContainer {
    pub(crate) name: String,
    pub(crate) status: ContainerStatus,
}

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<String>,
    fail_at: Option<usize>,
    containers: BTreeMap<String, FakeContainer>,
    /// Health that a started container of this service shows.
    health: BTreeMap<String, String>,
    made: usize,
}

/// The engine. Every call is counted and written down; the one numbered `fail_at` is refused and does nothing.
#[derive(Debug, Default)]
pub(crate) struct FakeEngine(Mutex<Inner>);

impl FakeEngine {
    /// A container that was there before.
    pub(crate) fn with_container(self, id: &str, name: &str, state: &str) -> Self {
        let status = ContainerStatus { state: state.into(), ..Default::default() };
        let container = FakeContainer { name: name.into(), status };
        self.0.lock().unwrap().containers.insert(id.into(), container);
        self
    }

    /// What health containers of this service show once they run.
    pub(crate) fn with_health(self, service: &str, health: &str) -> Self {
        self.0.lock().unwrap().health.insert(service.into(), health.into());
        self
    }

    /// Refuses the call with this number, counted from 0.
    pub(crate) fn failing_at(self, call: usize) -> Self {
        self.0.lock().unwrap().fail_at = Some(call);
        self
    }

    /// The changing calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// Name and state of every container, sorted.
    pub(crate) fn containers(&self) -> Vec<(String, String)> {
        let inner = self.0.lock().unwrap();
        let mut all: Vec<_> = inner.containers.values().map(|c| (c.name.clone(), c.status.state.clone())).collect();
        all.sort();
        all
    }

    fn call<T>(&self, what: String, act: impl FnOnce(&mut Inner) -> T) -> Result<T, EngineError> {
        let mut inner = self.0.lock().unwrap();
        let number = inner.calls.len();
        inner.calls.push(what.clone());
        if inner.fail_at == Some(number) {
            return Err(EngineError::Refused { what, message: "injected fault".into(), status: 500 });
        }
        Ok(act(&mut inner))
    }

    fn set_state(&self, what: &str, id: &str, state: &str) -> Result<(), EngineError> {
        let state = state.to_owned();
        self.call(format!("{what} {id}"), |inner| {
            if let Some(container) = inner.containers.get_mut(id) {
                container.status.state = state;
            }
        })
    }
}

impl Engine for FakeEngine {
    async fn observe(&self) -> Result<EngineState, EngineError> {
        Ok(EngineState::empty())
    }

    async fn image_facts(&self, _: &str) -> Result<Option<ImageFacts>, EngineError> {
        Ok(None)
    }

    async fn load(&self, mut archive: ArchiveStream) -> Result<(), EngineError> {
        while archive.next().await.is_some() {}
        self.call("load".into(), |_| ())
    }

    async fn create_network(&self, _: &Project, key: &str) -> Result<(), EngineError> {
        self.call(format!("create network {key}"), |_| ())
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.call(format!("remove network {name}"), |_| ())
    }

    async fn create_volume(&self, _: &Project, key: &str) -> Result<(), EngineError> {
        self.call(format!("create volume {key}"), |_| ())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.call(format!("remove volume {name}"), |_| ())
    }

    async fn create_container(&self, spec: ContainerSpec<'_>) -> Result<String, EngineError> {
        self.call(format!("create {}", spec.name), |inner| {
            inner.made += 1;
            let id = format!("new{}", inner.made);
            let health = inner.health.get(&spec.service.name).cloned().or_else(|| Some("healthy".into()));
            let status = ContainerStatus { state: "created".into(), health, ..Default::default() };
            inner.containers.insert(id.clone(), FakeContainer { name: spec.name.to_owned(), status });
            id
        })
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.set_state("start", id, "running")
    }

    async fn stop(&self, id: &str, _: Option<Duration>) -> Result<(), EngineError> {
        self.set_state("stop", id, "exited")
    }

    async fn remove(&self, id: &str, _: bool) -> Result<(), EngineError> {
        self.call(format!("remove {id}"), |inner| {
            inner.containers.remove(id);
        })
    }

    async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        if self.0.lock().unwrap().containers.get(id).is_some_and(|c| c.name == name) {
            let message = "renaming a container with the same name as its current name".into();
            return Err(EngineError::Refused { what: "rename".into(), message, status: 400 });
        }
        self.call(format!("rename {id} {name}"), |inner| {
            if let Some(container) = inner.containers.get_mut(id) {
                container.name = name.to_owned();
            }
        })
    }

    async fn status(&self, id: &str) -> Result<ContainerStatus, EngineError> {
        let inner = self.0.lock().unwrap();
        let by_name = || inner.containers.values().find(|c| c.name == id);
        Ok(inner.containers.get(id).or_else(by_name).map(|c| c.status.clone()).unwrap_or_default())
    }

    async fn logs(&self, _: &str, _: usize) -> Result<Vec<String>, EngineError> {
        Ok(vec!["the last line of the log".into()])
    }
}
