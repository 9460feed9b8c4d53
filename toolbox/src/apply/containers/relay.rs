//! Relays: the containers that own a service's ports and names, and send connections where they are told.
//!
//! Contract: a relay answers a request when it is in force. What it was told last is asked of the relay itself before
//! it is told something else, so that the way back leads where it came from.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::{Engine, EngineError, HelperSpec};
use crate::plan::{RelaySpec, parked_name, relay_name};
use crate::state::short_id;

use super::super::event::What;
use super::super::relay::{Listen, Relay, Routes, drain_limit};
use super::undo::Undo;
use super::{ApplyError, Containers, refused};

/// Pause between two questions to a relay that has just been started.
const PAUSE: Duration = Duration::from_millis(100);
/// What a relay that goes leaves its connections; for that long nobody can connect.
const GRACE: Duration = Duration::from_secs(1);

/// A container's name in Docker's own DNS.
fn target(id: &str) -> String {
    short_id(id).to_owned()
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
        let before = refused(&label, Relay::new(self.engine, &relay).routes().await)?;
        if self.relay_follows(service) {
            // What it publishes stays so until its successor takes over.
            routes.listen.extend(&before.listen);
        }
        if before != routes {
            self.note(service, Undo::Switch { relay: relay.clone(), routes: before });
            self.step(&label, Relay::new(self.engine, &relay).switch(&routes)).await?;
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

    /// Waits until the connections to these containers have ended.
    pub(super) async fn drain(&self, service: &str, ids: impl Iterator<Item = &str>) -> Result<(), ApplyError> {
        let relay = relay_name(self.project, service);
        let targets = ids.map(target).collect();
        let limit = self.drain_limit(service);
        let label = format!("wait until connections to the earlier {service} have ended");
        let handle = Relay::new(self.engine, &relay);
        let drained = self.or_interrupted(handle.drain(&targets, limit));
        let drained = async { refused(&label, drained.await?) };
        let left = self.events.step(&label, drained).await?;
        if left > 0 {
            let seconds = limit.as_secs();
            self.events.send(What::Note(format!("{service}: {left} connections were still open after {seconds} s")));
        }
        Ok(())
    }

    pub(super) fn drain_limit(&self, service: &str) -> Duration {
        drain_limit(self.project.services.get(service))
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
            ..HelperSpec::default()
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
        while let Err(error) = Relay::new(self.engine, relay).routes().await {
            if Instant::now() >= deadline || matches!(error, EngineError::Unreachable { .. }) {
                let log = self.last_lines(relay).await;
                return Err(ApplyError::Relay { relay: relay.to_owned(), reason: error.to_string(), log });
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}
