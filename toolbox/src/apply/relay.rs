//! What a relay is asked and told while it runs.
//!
//! Contract: a relay answers when what it was told is in force, by one JSON value on the standard output of a command in
//! its container (`toolbox-relay control`). Absent on purpose: who leads (`containers`, and whoever restarts).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::compose::Service;
use crate::engine::{Engine, EngineError, ExecOutput};
use crate::state::short_id;

/// How long connections to a container may take to end, where the file does not say.
const DRAIN: Duration = Duration::from_secs(30);

/// How long connections to a container of this service may take to end.
pub fn drain_limit(service: Option<&Service>) -> Duration {
    service.and_then(|s| s.toolbox.drain).unwrap_or(DRAIN)
}

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

/// A relay that runs.
#[derive(Debug, Clone, Copy)]
pub struct Relay<'a, E> {
    engine: &'a E,
    /// Its container's name or id.
    container: &'a str,
}

impl<'a, E: Engine> Relay<'a, E> {
    /// The relay in this container.
    pub fn new(engine: &'a E, container: &'a str) -> Self {
        Self { engine, container }
    }

    /// Sends new connections elsewhere than to a container, where one of `others` is well, and waits up to `limit` until
    /// those to it have ended. False where nobody else could take them: then nothing is changed. Containers are named by
    /// the engine's ids.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn set_aside(&self, id: &str, others: &[&str], limit: Duration) -> Result<bool, EngineError> {
        let mut routes = self.routes().await?;
        routes.targets.clear();
        for other in others {
            if *other != id && self.is_well(other).await {
                routes.targets.insert(short_id(other).to_owned());
            }
        }
        if routes.targets.is_empty() {
            return Ok(false);
        }
        self.switch(&routes).await?;
        self.drain(&BTreeSet::from([short_id(id).to_owned()]), limit).await?;
        Ok(true)
    }

    /// Sends new connections to this container too.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn take_in(&self, id: &str) -> Result<(), EngineError> {
        let mut routes = self.routes().await?;
        if routes.targets.insert(short_id(id).to_owned()) { self.switch(&routes).await.map(drop) } else { Ok(()) }
    }

    /// The container runs, and its health check has nothing against it. One that cannot be asked is not well.
    pub async fn is_well(&self, id: &str) -> bool {
        let status = self.engine.status(id).await;
        status.is_ok_and(|s| s.state == "running" && s.health.is_none_or(|health| health == "healthy"))
    }

    pub(super) async fn routes(&self) -> Result<Routes, EngineError> {
        self.control(&json!({"do": "status"})).await
    }

    /// Returns the targets that get no new connections any more.
    pub(super) async fn switch(&self, routes: &Routes) -> Result<BTreeSet<String>, EngineError> {
        let before = self.routes().await?;
        let request = json!({"do": "switch", "targets": routes.targets, "listen": routes.listen});
        self.control::<serde_json::Value>(&request).await?;
        Ok(before.targets.into_iter().filter(|t| !routes.targets.contains(t)).collect())
    }

    /// Returns how many connections are left.
    pub(super) async fn drain(&self, targets: &BTreeSet<String>, limit: Duration) -> Result<u64, EngineError> {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let request = json!({"do": "drain", "targets": targets, "limit_ms": limit});
        self.control::<Drained>(&request).await.map(|d| d.left)
    }

    async fn control<T: DeserializeOwned>(&self, request: &serde_json::Value) -> Result<T, EngineError> {
        let what = || format!("asking relay {}", self.container);
        let failed = |message| EngineError::Refused { what: what(), message, status: 0 };
        let command = ["/toolbox-relay", "control"].map(str::to_owned);
        let answer = self.engine.exec(self.container, &command, request.to_string().as_bytes()).await?;
        if answer.status != 0 {
            return Err(failed(complaint(&answer)));
        }
        serde_json::from_slice(&answer.stdout).map_err(|e| failed(format!("its answer cannot be read: {e}")))
    }
}

/// Why it did not do what it was asked: `{"error": …}`, or whatever it wrote.
fn complaint(answer: &ExecOutput) -> String {
    let said = serde_json::from_slice::<serde_json::Value>(&answer.stdout).unwrap_or_default();
    let written = || String::from_utf8_lossy(&[answer.stderr.as_slice(), &answer.stdout].concat()).trim().to_owned();
    said["error"].as_str().map_or_else(written, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeEngine;

    const RELAY: &str = "toolbox.shop.web";
    const LIMIT: Duration = Duration::from_secs(1);

    fn engine(second: &str) -> FakeEngine {
        FakeEngine::default()
            .with_container_behind("one", "shop-web-1", "running")
            .with_container_behind("two", "shop-web-2", second)
            .with_relay("relay", RELAY, &["one", "two"], &[80])
            .watching(&["web"])
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_is_restarted_while_the_other_serves() {
        let engine = engine("running");
        let relay = Relay::new(&engine, RELAY);
        assert!(relay.set_aside("one", &["one", "two"], LIMIT).await.unwrap());
        assert_eq!(engine.targets(RELAY), BTreeSet::from(["two".to_owned()]));
        assert!(engine.calls().contains(&format!("drain {RELAY} [\"one\"]")));
        engine.stop("one", None).await.unwrap();
        engine.start("one").await.unwrap();
        relay.take_in("one").await.unwrap();
        assert_eq!(engine.targets(RELAY), BTreeSet::from(["one".to_owned(), "two".to_owned()]));
        assert_eq!(engine.gaps(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_that_is_well_is_not_set_aside() {
        let engine = engine("exited");
        let relay = Relay::new(&engine, RELAY);
        assert!(!relay.set_aside("one", &["one", "two"], LIMIT).await.unwrap());
        assert_eq!(engine.targets(RELAY), BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    }
}
