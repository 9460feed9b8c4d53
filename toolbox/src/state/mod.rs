//! Ring 2: what was seen on a host, as plain values.
//!
//! Contract: a snapshot says only what the host and its engine said; it is compared, never acted on. Absent on purpose:
//! how it was asked for (`apply::observe`), and any engine's own types (`engine`).

mod image_facts;

pub use image_facts::ImageFacts;

use std::collections::{BTreeMap, BTreeSet};

/// How an engine keeps its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A graph driver: image ids are config digests.
    Classic,
    /// containerd's content store: image ids are manifest digests.
    Containerd,
}

/// One snapshot of a container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineState {
    /// The engine's version, such as `26.1.5+dfsg1`.
    pub version: String,
    /// The Engine API version spoken, such as `1.45`.
    pub api_version: String,
    /// The engine's architecture in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// How images are kept.
    pub store: Store,
    /// The engine's data directory.
    pub data_root: String,
    /// All images with their tags.
    pub images: Vec<ObservedImage>,
    /// All containers, those of other projects too.
    pub containers: Vec<ObservedContainer>,
    /// Names of all networks.
    pub networks: BTreeSet<String>,
    /// Names of all volumes.
    pub volumes: BTreeSet<String>,
}

impl EngineState {
    /// What an engine looks like that was just installed.
    pub fn empty() -> Self {
        Self {
            version: String::new(),
            api_version: String::new(),
            architecture: String::new(),
            store: Store::Classic,
            data_root: "/var/lib/docker".into(),
            images: Vec::new(),
            containers: Vec::new(),
            networks: BTreeSet::new(),
            volumes: BTreeSet::new(),
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
    /// Label `com.docker.compose.oneoff` is `True`: made by `docker compose run`.
    pub oneoff: bool,
    /// The engine's id of the image it was made from.
    pub image_id: String,
    /// `created`, `running`, `restarting`, `exited`, `paused`, `dead` …
    pub state: String,
    /// The engine's own words: `Up 2 minutes (healthy)`.
    pub status: String,
    /// TCP ports of the host that it publishes.
    pub published: BTreeMap<u16, u16>,
}

impl ObservedContainer {
    /// It runs and is not on its way down.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}
