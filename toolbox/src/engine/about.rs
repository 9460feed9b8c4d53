//! What an engine is, for people.

use super::client::{Docker, refused};
use super::observe::store;
use super::{Engine as _, EngineError};
use crate::state::Store;

/// An engine's own words about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its version, such as `28.5.1`.
    pub version: String,
    /// Major and minor number of the API version that is spoken with it.
    pub api: (usize, usize),
    /// How it keeps images.
    pub store: Store,
    /// Where it keeps its data, on the host.
    pub data_root: String,
    /// It is Podman, behind Docker's API.
    pub podman: bool,
    /// Containers outlive it.
    pub live_restore: bool,
    /// Containers that run.
    pub running: usize,
}

impl About {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        if self.podman { "Podman" } else { "Docker" }
    }

    /// What it cannot do that Docker can, where that is something.
    pub fn limits(&self) -> Option<&'static str> {
        self.podman.then_some(
            "Podman: images go in one stream; health checks need systemd on the host; after a reboot containers start \
             only with podman-restart.service; limits that were changed by hand are seen of memory and CPUs only",
        )
    }
}

impl Docker {
    /// Asks the engine what it is.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn about(&self) -> Result<About, EngineError> {
        let info = self.quick.info().await.map_err(|e| refused("asking the engine for its state".into(), e))?;
        let store = store(&info);
        Ok(About {
            version: info.server_version.unwrap_or_default(),
            api: self.api_version(),
            store,
            data_root: info.docker_root_dir.unwrap_or_default(),
            podman: self.questions.podman,
            live_restore: info.live_restore_enabled.unwrap_or_default(),
            running: info.containers_running.and_then(|count| count.try_into().ok()).unwrap_or_default(),
        })
    }
}
