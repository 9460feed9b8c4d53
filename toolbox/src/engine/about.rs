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
}

impl Docker {
    /// Asks the engine what it is.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn about(&self) -> Result<About, EngineError> {
        let info = self.quick.info().await.map_err(|e| refused("asking the engine for its state".into(), e))?;
        let store = store(&info);
        let (version, data_root) = (info.server_version.unwrap_or_default(), info.docker_root_dir.unwrap_or_default());
        Ok(About { version, api: self.api_version(), store, data_root })
    }
}
