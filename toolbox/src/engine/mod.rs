//! Ring 3: a container engine, behind one trait. All of bollard is here.
//!
//! Contract: an engine is spoken to over any byte stream that a [`Dialer`] opens; every answer becomes a plain value of
//! `state`; every failure says which object it is about. Absent on purpose: how the stream reaches the engine (`ssh`),
//! and every decision (`plan`).

mod client;
mod create;
#[cfg(test)]
pub(crate) mod fake;
mod observe;
mod resources;
mod transport;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::compose::{Project, Service};
use crate::state::{EngineState, ImageFacts};

pub use client::Docker;
pub use transport::{Dialer, EngineStream, unix_dialer};

/// A tarball on its way into an engine.
pub type ArchiveStream = BoxStream<'static, std::io::Result<Bytes>>;

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be spoken to.
    #[error("the container engine cannot be reached: {reason}")]
    Unreachable {
        /// What the stream or the HTTP exchange said.
        reason: String,
    },
    /// The engine answered with an error.
    #[error("{what}: {message}")]
    Refused {
        /// What was asked, with its object.
        what: String,
        /// The engine's own words.
        message: String,
        /// The HTTP status; 0 where the answer was an error inside a stream.
        status: u16,
    },
    /// The load ended without an error and the image is not what was sent.
    #[error("image {reference}: {problem} after loading")]
    NotLoaded {
        /// The image.
        reference: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl EngineError {
    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        let message = match self {
            Self::Refused { message, .. } => message,
            Self::Unreachable { reason } if reason.contains("refused the socket") => {
                return Some(
                    "let the host's sshd forward it (AllowStreamLocalForwarding yes), or install the docker command line there"
                        .into(),
                );
            }
            _ => return None,
        };
        if message.contains("no space left on device") {
            return Some("make room on the host (docker image prune, docker system df) and deploy again".into());
        }
        let taken = message.contains("port is already allocated") || message.contains("address already in use");
        taken.then(|| "free the port on the host, or publish another one in the compose file".into())
    }
}

/// What a container is made from.
#[derive(Debug, Clone, Copy)]
pub struct ContainerSpec<'a> {
    /// The project, for networks, volumes and labels.
    pub project: &'a Project,
    /// The service.
    pub service: &'a Service,
    /// The container's name.
    pub name: &'a str,
    /// Full name of the image.
    pub image: &'a str,
    /// The engine's id of the container that it follows, whose anonymous volumes it takes over, as Compose does.
    pub successor_of: Option<&'a str>,
}

/// How a container does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerStatus {
    /// `created`, `running`, `restarting`, `exited` …
    pub state: String,
    /// `None` without a health check; else `starting`, `healthy` or `unhealthy`.
    pub health: Option<String>,
    /// The exit status of its last end.
    pub exit_code: i64,
    /// How often the engine restarted it.
    pub restarts: i64,
    /// The engine's own error, such as a port that could not be bound.
    pub error: String,
    /// Output of the last health check.
    pub health_output: String,
}

/// A container engine. Errors are [`EngineError`] and name their object.
pub trait Engine: Send + Sync + 'static {
    /// One snapshot of everything.
    fn observe(&self) -> impl Future<Output = Result<EngineState, EngineError>> + Send;
    /// The facts of an image, `None` where the engine does not hold it.
    fn image_facts(&self, reference: &str) -> impl Future<Output = Result<Option<ImageFacts>, EngineError>> + Send;
    /// Loads a saved tarball. What it answers is not proof: inspect afterwards.
    fn load(&self, archive: ArchiveStream) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Creates the project's network with this key.
    fn create_network(&self, project: &Project, key: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes a network.
    fn remove_network(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Creates the project's volume with this key.
    fn create_volume(&self, project: &Project, key: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes a volume and what it holds.
    fn remove_volume(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Creates a container without starting it; returns its id.
    fn create_container(&self, spec: ContainerSpec<'_>) -> impl Future<Output = Result<String, EngineError>> + Send;
    /// Starts a container.
    fn start(&self, id: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Stops a container; `grace` replaces its own stop timeout.
    fn stop(&self, id: &str, grace: Option<Duration>) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes a container, running or not; with `volumes` its anonymous volumes too.
    fn remove(&self, id: &str, volumes: bool) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Gives a container another name.
    fn rename(&self, id: &str, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// How a container does.
    fn status(&self, id: &str) -> impl Future<Output = Result<ContainerStatus, EngineError>> + Send;
    /// The last lines that a container wrote.
    fn logs(&self, id: &str, lines: usize) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;
}
