//! The validated compose file: what the rest of toolbox sees of it.
//!
//! Contract: a `Project` holds only services that are enabled (no profile, or one that was asked for) and only the
//! networks and volumes that those use; every reference between them resolves, every value is in its final unit, and
//! nothing in it depends on the order of keys in the file. Absent on purpose: raw YAML shapes, build instructions,
//! profiles, anything that toolbox cannot carry out (such keys are refused while loading).

mod files;
mod rollout;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use files::*;
pub use rollout::*;

/// A validated compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The project's name, valid by Compose's rule `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// The directory that relative paths were resolved against.
    pub working_dir: PathBuf,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Enabled services by name.
    pub services: BTreeMap<String, Service>,
    /// Networks used by enabled services, by their key in the file (`default` when implicit).
    pub networks: BTreeMap<String, Network>,
    /// Named volumes used by enabled services, by their key in the file.
    pub volumes: BTreeMap<String, Volume>,
    /// Configs used by enabled services, by their key in the file.
    pub configs: BTreeMap<String, FileObject>,
    /// Secrets used by enabled services, by their key in the file.
    pub secrets: BTreeMap<String, FileObject>,
    /// What stands under `x-toolbox` of the file.
    pub toolbox: ProjectExtension,
    /// What a person should know although it is no error (a variable that is not set), one line each.
    pub warnings: Vec<String>,
}

/// A network of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The engine's name for it: `<project>_<key>`, or the explicit `name:`.
    pub name: String,
    /// It is made by somebody else and must exist already.
    pub external: bool,
    /// The network driver; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The user's labels (not Compose's own).
    pub labels: BTreeMap<String, String>,
    /// No way out of this network.
    pub internal: bool,
    /// Containers outside the project may attach to it.
    pub attachable: bool,
    /// IPv6 addresses; `None` leaves it to the engine.
    pub enable_ipv6: Option<bool>,
    /// Address management.
    pub ipam: Ipam,
}

/// Address management of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    /// The address management driver; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// The address pools, in the file's order.
    pub pools: Vec<IpamPool>,
}

/// One address pool of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamPool {
    /// The subnet in CIDR notation.
    pub subnet: Option<String>,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// The part of the subnet that containers get addresses from, in CIDR notation.
    pub ip_range: Option<String>,
    /// Addresses that are taken by something else, by host name.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A named volume of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The engine's name for it: `<project>_<key>`, or the explicit `name:`.
    pub name: String,
    /// It is made by somebody else and must exist already.
    pub external: bool,
    /// The volume driver; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The user's labels (not Compose's own).
    pub labels: BTreeMap<String, String>,
}

/// An enabled service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The service's name, its key in the file.
    pub name: String,
    /// The image reference, as written; `<project>-<service>` where there is only `build:`.
    pub image: String,
    /// The service has `build:` (the image is expected to be built locally).
    pub has_build: bool,
    /// Replaces the image's command; `Some(vec![])` clears it.
    pub command: Option<Vec<String>>,
    /// Replaces the image's entrypoint; `Some(vec![])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Environment of the container: `env_file` below `environment`, values resolved.
    pub environment: BTreeMap<String, String>,
    /// The user's labels (not Compose's own).
    pub labels: BTreeMap<String, String>,
    /// Ports published on the host, ranges expanded, sorted by the file's order.
    pub ports: Vec<PublishedPort>,
    /// Ports exposed to other containers only.
    pub expose: Vec<ExposedPort>,
    /// Bind mounts, volumes and tmpfs mounts of `volumes:`, in the file's order.
    pub mounts: Vec<Mount>,
    /// `tmpfs:` mounts: target to options (`size=64m,mode=1777`; empty for none).
    pub tmpfs: BTreeMap<String, String>,
    /// Networks by key of [`Project::networks`]; empty when `network_mode` is set.
    pub networks: BTreeMap<String, Attachment>,
    /// `host`, `none`, `bridge`, `service:NAME` or `container:NAME`.
    pub network_mode: Option<String>,
    /// Replaces the image's health check.
    pub healthcheck: Option<Healthcheck>,
    /// What must run before this service, by service name.
    pub depends_on: BTreeMap<String, Dependency>,
    /// The restart policy.
    pub restart: RestartPolicy,
    /// `user[:group]` inside the container.
    pub user: Option<String>,
    /// Working directory inside the container.
    pub working_dir: Option<String>,
    /// The container's host name.
    pub hostname: Option<String>,
    /// The container's domain name.
    pub domainname: Option<String>,
    /// An explicit container name.
    pub container_name: Option<String>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// An init process reaps children; `None` leaves it to the engine.
    pub init: Option<bool>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// A terminal is allocated.
    pub tty: bool,
    /// Standard input stays open.
    pub stdin_open: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Security options, such as `no-new-privileges:true`.
    pub security_opt: Vec<String>,
    /// Supplementary groups, names or ids.
    pub group_add: Vec<String>,
    /// Devices as `HOST[:CONTAINER[:rwm]]`.
    pub devices: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// DNS search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_opt: Vec<String>,
    /// Additional hosts in the engine's form `name:address`.
    pub extra_hosts: Vec<String>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits by name (`nofile`).
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Size of /dev/shm in bytes.
    pub shm_size: Option<u64>,
    /// Memory limit in bytes.
    pub mem_limit: Option<u64>,
    /// Memory reservation in bytes.
    pub mem_reservation: Option<u64>,
    /// CPU limit in billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// Limit of processes; -1 for none.
    pub pids_limit: Option<i64>,
    /// Process namespace (`host`, `service:NAME`, `container:NAME`).
    pub pid: Option<String>,
    /// IPC namespace (`host`, `private`, `shareable`, `none`, `service:NAME`, `container:NAME`).
    pub ipc: Option<String>,
    /// The signal that stops the container.
    pub stop_signal: Option<String>,
    /// How long the container may take to stop.
    pub stop_grace_period: Option<Duration>,
    /// Where the container's output goes.
    pub logging: Option<Logging>,
    /// The platform, such as `linux/amd64`.
    pub platform: Option<String>,
    /// Configs shown to the container as files.
    pub configs: Vec<FileMount>,
    /// Secrets shown to the container as files.
    pub secrets: Vec<FileMount>,
    /// How many containers run: `deploy.replicas`, `scale`, else 1.
    pub replicas: u32,
    /// How containers are replaced: `deploy.update_config`.
    pub update: UpdateConfig,
    /// How a rollback replaces them: `deploy.rollback_config`; `None` is as an update does.
    pub rollback: Option<UpdateConfig>,
    /// What stands under `x-toolbox`.
    pub toolbox: ServiceExtension,
}

/// A port published on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
