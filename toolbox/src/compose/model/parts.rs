//! What a service is made of: ports, mounts, networks, checks, dependencies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A port published on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The host's address to bind; `None` is every address.
    pub host_ip: Option<IpAddr>,
    /// The host's port; `None` lets the engine choose.
    pub published: Option<u16>,
    /// The container's port.
    pub target: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A port that other containers may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExposedPort {
    /// The container's port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The engine's word for it: `tcp`, `udp`, `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// One entry of `volumes:` in a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path inside the container.
    pub target: String,
    /// The container may not write to it.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute path on the host; relative ones were resolved against the project's directory.
        path: String,
        /// Make the path a directory where it does not exist (Compose's default).
        create_host_path: bool,
        /// Mount propagation, such as `rslave`.
        propagation: Option<String>,
        /// SELinux relabelling: `z` or `Z`.
        selinux: Option<String>,
    },
    /// A named volume.
    Volume {
        /// Its key in [`Project::volumes`], where the engine's name stands.
        key: String,
        /// Do not copy the image's content into a new volume.
        nocopy: bool,
    },
    /// A volume without a name, made anew for each container.
    Anonymous,
    /// A file system in memory.
    Tmpfs {
        /// Size limit in bytes.
        size: Option<u64>,
        /// Mode bits, such as 0o1777.
        mode: Option<u32>,
    },
}

/// How a service stands in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Further names in this network (the service's own name is not among them).
    pub aliases: Vec<String>,
    /// A fixed IPv4 address.
    pub ipv4_address: Option<String>,
    /// A fixed IPv6 address.
    pub ipv6_address: Option<String>,
    /// Link-local addresses.
    pub link_local_ips: Vec<String>,
    /// Options of the network's driver for this endpoint.
    pub driver_opts: BTreeMap<String, String>,
}

/// A health check; what is `None` comes from the image, else from the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// The engine's form: `["CMD", …]`, `["CMD-SHELL", "…"]`, `["NONE"]`; empty inherits the image's test.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time that one check may take.
    pub timeout: Option<Duration>,
    /// Time at the start during which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two checks during the start period.
    pub start_interval: Option<Duration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
}

/// What a service waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The state to wait for.
    pub condition: Condition,
    /// Starting fails without it; false only warns.
    pub required: bool,
    /// Restart the dependent service when this one is recreated.
    pub restart: bool,
}

/// The state of a dependency that lets a service start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// `service_started`.
    Started,
    /// `service_healthy`.
    Healthy,
    /// `service_completed_successfully`.
    CompletedSuccessfully,
}

/// When the engine starts a container again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Always, also after the engine's own restart.
    Always,
    /// When it exits with a failure.
    OnFailure {
        /// At most this often; `None` without limit.
        max: Option<u32>,
    },
    /// Always, unless a person stopped it.
    UnlessStopped,
}

/// A resource limit; -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The limit in force.
    pub soft: i64,
    /// How far the process may raise it.
    pub hard: i64,
}

/// Where a container's output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The log driver; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}
