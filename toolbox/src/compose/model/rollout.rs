//! How a service is replaced: `deploy.update_config`, and `x-toolbox`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What toolbox understands under `x-toolbox` of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceExtension {
    /// A valid `http://host[:port]/path` URL, as seen from the host, that must answer after a deploy.
    pub verify: Option<String>,
    /// Hosts and groups of the inventory where it runs; empty is every host.
    pub hosts: Vec<String>,
    /// The relay tells the service its clients' addresses by this version of the PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How long connections to a container that was replaced may take to end before it is stopped; 30 s.
    pub drain: Option<Duration>,
    /// Commands run in a container of the new image, around the swap.
    pub hooks: Hooks,
}

impl ServiceExtension {
    /// Keys that stand there and that only a relay carries out.
    pub fn of_relay(&self) -> impl Iterator<Item = &'static str> {
        let proxy_protocol = self.proxy_protocol.map(|_| "proxy_protocol");
        proxy_protocol.into_iter().chain(self.drain.map(|_| "drain"))
    }
}

/// Versions of HAProxy's PROXY protocol (proxy-protocol.txt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

/// `x-toolbox.hooks` of a service: each command runs to its end in a container of the new image, with the service's
/// environment, networks, volumes, configs and secrets. A command that fails ends the deploy and brings the old back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before the service's first container is replaced, such as a migration.
    pub before: Vec<Vec<String>>,
    /// After its last new container is healthy.
    pub after: Vec<Vec<String>>,
}

/// What toolbox understands under `x-toolbox` of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectExtension {
    /// How many hosts are flipped at once; one where it is not given.
    pub batch: Option<Batch>,
    /// How many releases a host keeps, with their images; 5 where it is not given.
    pub keep_releases: Option<u32>,
}

/// A number of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batch {
    /// This many, at least 1.
    Count(u32),
    /// This part of all hosts, from 1 to 100, rounded up.
    Percent(u32),
}

/// `deploy.update_config` and `deploy.rollback_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateConfig {
    /// What the file asks for; `None` lets the plan choose.
    pub order: Option<UpdateOrder>,
    /// Containers replaced at once; 0 is all.
    pub parallelism: u32,
    /// Time between two batches.
    pub delay: Duration,
    /// What happens when a new container fails.
    pub failure_action: FailureAction,
    /// How long a container without a health check must run without a restart; `None` is 2 s.
    pub monitor: Option<Duration>,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            order: None,
            parallelism: 1,
            delay: Duration::ZERO,
            failure_action: FailureAction::Rollback,
            monitor: None,
        }
    }
}

/// What goes first when a container is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// The new one starts and is healthy before the old one stops.
    StartFirst,
    /// The old one stops first.
    StopFirst,
}

/// What happens when a new container fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureAction {
    /// Everything of this deploy is taken back: the default, unlike Swarm's `pause`.
    Rollback,
    /// The deploy stops where it is; what was replaced stays replaced.
    Pause,
    /// The deploy goes on with the next container.
    Continue,
}
