//! Relays: the containers that own a service's ports and names, and send connections where they are told.
//!
//! Contract: a relay answers a request when it is in force. What it was told last is asked of the relay itself before
//! it is told something else, so that the way back leads where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::engine::{Engine, EngineError, ExecOutput, HelperSpec};
use crate::plan::{RelaySpec, parked_name, relay_name};

use super::super::event::What;
use super::undo::Undo;
use super::{ApplyError, Containers, refused};

/// How long connections to a container that was replaced may take to end, where the file does not say.
const DRAIN: Duration = Duration::from_secs(30);
/// Pause between two questions to a relay that has just been started.
const PAUSE: Duration = Duration::from_millis(100);
/// What a relay that goes leaves its connections; for that long nobody can connect.
const GRACE: Duration = Duration::from_secs(1);

/// A port of a relay and the port of its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Listen {
    pub(super) port: u16,
    pub(super) to: u16,
}

/// Where a relay sends new connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Routes {
    pub(super) listen: BTreeSet<Listen>,
    /// The first 12 digits of the containers' ids.
    pub(super) targets: BTreeSet<String>,
}

/// Connections that have not ended.
#[derive(Debug, Deserialize)]
struct Drained {
    left: u64,
}

/// A container's name in Docker's own DNS.
fn target(id: &str) -> String {
    id.get(..12).unwrap_or(id).to_owned()
}

/// Why it did not do what it was asked: `{"error": …}`, or whatever it wrote.
fn complaint(answer: &ExecOutput) -> String {
    let said = serde_json::from_slice::<serde_json::Value>(&answer.stdout).unwrap_or_default();
    let written = || String::from_utf8_lossy(&[answer.stderr.as_slice(), &answer.stdout].concat()).trim().to_owned();
    said["error"].as_str().map_or_else(written, str::to_owned)
}

impl<E: Engine> Containers<'_, E> {
    /// A relay stands before the service and can be told something.
    pub(super) async fn relay_runs(&self, service: &str) -> Result<bool, ApplyError> {
        if !self.plan.relays.contains_key(service) {
            return Ok(false);
        }
        let relay = relay_name(self.project, service);
        match self.engine.status(&relay).await {
            Err(error) if error.is_not_found() => Ok(false),
            status => refused(&format!("looking at relay {relay}"), status).map(|s| s.state == "running"),
        }
    }

    /// Sends new connections to the containers of the service as they are now, once they are well.
    pub(super) async fn switch(&mut self, service: &str) -> Result<(), ApplyError> {
        self.started_are_well(service).await?;
        let relay = relay_name(self.project, service);
        let mut routes = self.routes(service);
        if routes.targets.is_empty() {
            return Ok(());
        }
        let label = format!("switch relay {relay}");
        let before = refused(&label, self.ask_routes(&relay).await)?;
        if self.relay_follows(service) {
            // What it publishes stays so until its successor takes over.
            routes.listen.extend(&before.listen);
        }
        if before != routes {
            self.note(service, Undo::Switch { relay: relay.clone(), routes: before });
            self.step(&label, self.set_routes(&relay, &routes)).await?;
        }
        Ok(())
    }

    fn routes(&self, service: &str) -> Routes {
        let ports = self.plan.relays.get(service).into_iter().flatten();
        let targets = self.ledger.live.get(service).into_iter().flatten();
        Routes {
            listen: ports.map(|port| Listen { port: *port, to: *port }).collect(),
            targets: targets.map(|id| target(id)).collect(),
        }
    }

    /// Returns the targets that get no new connections any more.
    pub(super) async fn set_routes(&self, relay: &str, routes: &Routes) -> Result<BTreeSet<String>, EngineError> {
        let before = self.ask_routes(relay).await?;
        let request = json!({"do": "switch", "targets": routes.targets, "listen": routes.listen});
        self.control::<serde_json::Value>(relay, &request).await?;
        Ok(before.targets.into_iter().filter(|t| !routes.targets.contains(t)).collect())
    }

    async fn ask_routes(&self, relay: &str) -> Result<Routes, EngineError> {
        self.control(relay, &json!({"do": "status"})).await
    }

    /// Waits until the connections to these containers have ended.
    pub(super) async fn drain(&self, service: &str, ids: impl Iterator<Item = &str>) -> Result<(), ApplyError> {
        let relay = relay_name(self.project, service);
        let targets = ids.map(target).collect();
        let limit = self.drain_limit(service);
        let label = format!("wait until connections to the earlier {service} have ended");
        let drained = self.or_interrupted(self.drain_from(&relay, &targets, limit));
        let drained = async { refused(&label, drained.await?) };
        let left = self.events.step(&label, drained).await?;
        if left > 0 {
            let seconds = limit.as_secs();
            self.events.send(What::Note(format!("{service}: {left} connections were still open after {seconds} s")));
        }
        Ok(())
    }

    /// Returns how many connections are left.
    pub(super) async fn drain_from(
        &self,
        relay: &str,
        targets: &BTreeSet<String>,
        limit: Duration,
    ) -> Result<u64, EngineError> {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let request = json!({"do": "drain", "targets": targets, "limit_ms": limit});
        self.control::<Drained>(relay, &request).await.map(|d| d.left)
    }

    pub(super) fn drain_limit(&self, service: &str) -> Duration {
        self.project.services.get(service).and_then(|s| s.toolbox.drain).unwrap_or(DRAIN)
    }

    async fn control<T: DeserializeOwned>(&self, relay: &str, request: &serde_json::Value) -> Result<T, EngineError> {
        let failed = |message| EngineError::Refused { what: format!("asking relay {relay}"), message, status: 0 };
        let command = ["/toolbox-relay", "control"].map(str::to_owned);
        let answer = self.engine.exec(relay, &command, request.to_string().as_bytes()).await?;
        if answer.status != 0 {
            return Err(failed(complaint(&answer)));
        }
        serde_json::from_slice(&answer.stdout).map_err(|e| failed(format!("its answer cannot be read: {e}")))
    }

    /// The service's new relay. Who is served by something else is served by it until the relay can take over.
    pub(super) async fn create_relay(
        &mut self,
        service: &str,
        relay: &str,
        replaces: Option<&str>,
    ) -> Result<(), ApplyError> {
        // On a first deploy nobody is served yet, and containers may need each other through their relays to be well.
        if replaces.is_some() || self.plan.running.get(service).is_some_and(|ids| !ids.is_empty()) {
            self.started_are_well(service).await?;
        }
        if let Some(old) = replaces {
            self.park(service, old, relay, relay).await?;
        }
        let label = format!("create relay {relay}");
        let spec = self.relay_spec(service);
        let id = self.step(&label, self.engine.create_helper(&spec)).await?;
        self.note(service, Undo::Remove { id: id.clone() });
        match replaces {
            Some(old) => self.stop_relay(service, relay, old).await?,
            // They hold the ports.
            None => self.let_go(service).await?,
        }
        self.start_relay(service, relay, &id).await?;
        self.let_go(service).await
    }

    fn relay_spec(&self, service: &str) -> HelperSpec {
        let ports = self.plan.relays.get(service).into_iter().flatten().copied().collect();
        let relay = RelaySpec::of(self.project, &self.project.services[service], &ports);
        let targets = self.ledger.live.get(service).into_iter().flatten().map(String::as_str);
        HelperSpec {
            environment: BTreeMap::from([("RELAY_CONFIG".to_owned(), relay.config(targets))]),
            name: relay.name,
            image: self.plan.helper.clone(),
            command: vec!["serve".to_owned()],
            labels: relay.labels,
            networks: relay.networks,
            ports: relay.ports,
            state_volume: None,
        }
    }

    /// Stops a relay and moves it out of the way.
    pub(super) async fn retire_relay(&mut self, service: &str, relay: &str, id: &str) -> Result<(), ApplyError> {
        self.park(service, id, relay, relay).await?;
        self.stop_relay(service, relay, id).await
    }

    async fn stop_relay(&mut self, service: &str, relay: &str, id: &str) -> Result<(), ApplyError> {
        if self.ran(id).await.is_some() {
            self.note(service, Undo::Start { id: id.to_owned(), name: relay.to_owned(), well: false });
        }
        self.step(&format!("stop relay {relay}"), self.engine.stop(id, Some(GRACE))).await?;
        self.goes(&parked_name(id, relay), id, false);
        Ok(())
    }

    /// Starts a relay and waits until it answers.
    pub(super) async fn start_relay(&mut self, service: &str, relay: &str, id: &str) -> Result<(), ApplyError> {
        self.note(service, Undo::Stop { id: id.to_owned(), grace: Some(GRACE) });
        let label = format!("start relay {relay}");
        self.step(&label, self.engine.start(id)).await?;
        let answered = async { self.or_interrupted(self.until_it_answers(relay)).await? };
        self.events.step(&format!("wait until relay {relay} answers"), answered).await
    }

    async fn until_it_answers(&self, relay: &str) -> Result<(), ApplyError> {
        let deadline = Instant::now() + self.options.timeout;
        while let Err(error) = self.ask_routes(relay).await {
            if Instant::now() >= deadline || matches!(error, EngineError::Unreachable { .. }) {
                let log = self.last_lines(relay).await;
                return Err(ApplyError::Relay { relay: relay.to_owned(), reason: error.to_string(), log });
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}
