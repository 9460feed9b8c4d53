//! Ring 2: what was seen on a host, as plain values.
//!
//! Contract: a snapshot says only what the host and its engine said; it is compared, never acted on. Absent on purpose:
//! how it was asked for (`apply::observe`), and any engine's own types (`engine`).

mod image_facts;
mod scope;

pub use image_facts::ImageFacts;
pub use scope::{Expected, Needs, Scope};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::compose::PublishedPort;

/// How an engine keeps its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A graph driver: image ids are config digests.
    Classic,
    /// containerd's content store: image ids are manifest digests.
    Containerd,
    /// Nobody asked, since the host holds every image that it shall.
    Unknown,
}

/// One snapshot of a container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineState {
    /// The engine's architecture in Go's words: `amd64`, `arm64`. Empty where nobody asked, as with `store`.
    pub architecture: String,
    /// Its variant, such as `v7`; empty where there is none or it is not known.
    pub variant: String,
    /// How images are kept.
    pub store: Store,
    /// The version of the Docker Engine API that is spoken with it, major and minor; `None` where that is not known.
    pub api: Option<(usize, usize)>,
    /// The engine's data directory; the usual one where nobody asked.
    pub data_root: String,
    /// All images with their tags.
    pub images: Vec<ObservedImage>,
    /// Ids of images of a containerd store that we loaded: their layers are there under the names that we use.
    pub ours: BTreeSet<String>,
    /// All containers, those of other projects too.
    pub containers: Vec<ObservedContainer>,
    /// All networks by name.
    pub networks: BTreeMap<String, Owned>,
    /// All volumes by name.
    pub volumes: BTreeMap<String, Owned>,
}

/// Whose a network or volume is, by its labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// Label `com.docker.compose.project`.
    pub project: Option<String>,
    /// Label `io.toolbox.hash`: what it was made from.
    pub hash: Option<String>,
}

impl EngineState {
    /// What an engine looks like that was just installed.
    pub fn empty() -> Self {
        Self {
            architecture: String::new(),
            variant: String::new(),
            store: Store::Classic,
            api: None,
            data_root: "/var/lib/docker".into(),
            images: Vec::new(),
            ours: BTreeSet::new(),
            containers: Vec::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
        }
    }

    /// The image that carries `reference` (full form).
    pub fn image(&self, reference: &str) -> Option<&ObservedImage> {
        self.images.iter().find(|i| i.references.contains(reference))
    }

    /// The project's containers.
    pub fn of_project<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a ObservedContainer> {
        self.containers.iter().filter(move |c| c.project.as_deref() == Some(project))
    }
}

/// An image that a host holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedImage {
    /// What it contains.
    pub facts: ImageFacts,
    /// Its tags in full form (`docker.io/library/clock-backend:latest`).
    pub references: BTreeSet<String>,
}

/// A container that a host holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: String,
    /// The name without the leading slash.
    pub name: String,
    /// Label `com.docker.compose.project`.
    pub project: Option<String>,
    /// Label `com.docker.compose.service`.
    pub service: Option<String>,
    /// Label `com.docker.compose.config-hash`.
    pub config_hash: Option<String>,
    /// Label `com.docker.compose.container-number`; 0 where there is none.
    pub number: u32,
    /// Label `com.docker.compose.oneoff` is `True`: made by `docker compose run`.
    pub oneoff: bool,
    /// Label `io.toolbox.role`.
    pub role: Role,
    /// Label `io.toolbox.service`: the service that a relay stands before.
    pub relay_of: Option<String>,
    /// Label `io.toolbox.hash`: what a relay or keeper was made from.
    pub own_hash: Option<String>,
    /// Label `io.toolbox.release`: the deploy that made it.
    pub release: Option<String>,
    /// Label `io.toolbox.fields`: field of the definition to the first 8 hex digits of its value's SHA-256.
    pub fields: BTreeMap<String, String>,
    /// What may be changed on a container that exists; only for containers of projects that toolbox made.
    pub live: Option<Live>,
    /// Label `com.docker.compose.version`: who made it.
    pub made_by: Option<String>,
    /// Whom a relay sends to, by the first 12 digits of their ids; only for relays.
    pub relay_targets: Option<BTreeSet<String>>,
    /// TCP ports that a relay listens on; only for relays that say so.
    pub relay_listen: Option<BTreeSet<u16>>,
    /// When it was created, in seconds of the Unix epoch.
    pub created: i64,
    /// The engine's id of the image it was made from.
    pub image_id: String,
    /// `created`, `running`, `restarting`, `exited`, `paused`, `dead` …
    pub state: String,
    /// The engine's own words: `Up 2 minutes (healthy)`.
    pub status: String,
    /// Paths of the host that it sees as bind mounts.
    pub binds: BTreeSet<String>,
    /// Ports of the host that it holds.
    pub published: BTreeSet<PublishedPort>,
}

/// What a container of a project is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// A service's; also where there is no label.
    #[default]
    Service,
    /// It owns a service's ports and names.
    Relay,
    /// It holds the project's volume for files and releases.
    Keeper,
    /// It runs a hook's command.
    Hook,
    /// It runs a command for a person.
    OneOff,
}

/// Settings that can be changed while a container exists (`docker update`, `docker network connect`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The restart policy in the engine's words: `unless-stopped`, `on-failure:3`; `no`.
    pub restart: String,
    /// Memory limit in bytes; 0 is none.
    pub memory: i64,
    /// CPU limit in billionths of a CPU; 0 is none.
    pub nano_cpus: i64,
    /// Limit of processes; 0 or -1 is none.
    pub pids_limit: i64,
    /// Other limits that are set, by their names in compose files; none of Podman, which has some of its own.
    pub limits: BTreeMap<&'static str, String>,
    /// The networks that it is connected to, or its network mode alone.
    pub networks: BTreeMap<String, Place>,
    /// `None` without a health check; else `starting`, `healthy` or `unhealthy`.
    pub health: Option<String>,
    /// When it was started last, RFC 3339.
    pub started: String,
}

/// A container's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// All names that it goes by there, those that the engine gives too.
    pub names: BTreeSet<String>,
    /// Its addresses; one that does not run may have none.
    pub addresses: BTreeSet<IpAddr>,
}

impl ObservedContainer {
    /// It holds a port of the host that this one would need too.
    pub fn holds(&self, port: &PublishedPort) -> bool {
        self.published.iter().any(|held| held.clashes_with(port))
    }

    /// It runs and is not on its way down.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// The beginning of its id, by which relays and parked names call it.
    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }

    /// `None` without a health check; else `starting`, `healthy` or `unhealthy`.
    pub fn health(&self) -> Option<&str> {
        if let Some(live) = &self.live {
            return live.health.as_deref();
        }
        let words = [("(healthy)", "healthy"), ("(unhealthy)", "unhealthy"), ("(health: starting)", "starting")];
        words.into_iter().find(|(end, _)| self.status.ends_with(end)).map(|(_, word)| word)
    }

    /// It runs, and its health check has nothing against it.
    pub fn is_well(&self) -> bool {
        self.is_running() && self.health().is_none_or(|health| health == "healthy")
    }
}

/// The first 12 digits of an engine's id.
pub fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
