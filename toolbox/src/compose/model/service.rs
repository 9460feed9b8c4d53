//! A service.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Attachment, Dependency, ExposedPort, FileMount, Healthcheck, Logging, Mount, PublishedPort, Resources,
    RestartPolicy, ServiceExtension, Ulimit, UpdateConfig,
};

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
    /// Annotations for the OCI runtime.
    pub annotations: BTreeMap<String, String>,
    /// The control group namespace: `host` or `private`.
    pub cgroup: Option<String>,
    /// The control group above the container's.
    pub cgroup_parent: Option<String>,
    /// Rules of the device control group, such as `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
    /// The OCI runtime, such as `runsc`.
    pub runtime: Option<String>,
    /// Options of the storage driver.
    pub storage_opt: BTreeMap<String, String>,
    /// The user namespace: `host`.
    pub userns_mode: Option<String>,
    /// The UTS namespace: `host`.
    pub uts: Option<String>,
    /// Limits and reservations beyond memory, CPUs and processes.
    pub resources: Resources,
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
