//! Ring 3: a container engine, behind one trait. All of bollard is here.
//!
//! Contract: an engine is spoken to over any byte stream that a [`Dialer`] opens; every answer becomes a plain value of
//! `state`; every failure says which object it is about. Absent on purpose: how the stream reaches the engine (`ssh`),
//! and every decision (`plan`).

mod about;
mod client;
mod create;
mod exec;
#[cfg(test)]
pub(crate) mod fake;
mod files;
mod helper;
mod hijack;
mod logs;
mod observe;
mod questions;
mod resources;
mod terminal;
mod transport;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use crate::compose::{Attachment, Project, PublishedPort, Service};
use crate::image::Reference;
use crate::state::{EngineState, ImageFacts};

pub use about::About;
pub use client::Docker;
pub use hijack::Output;
pub use logs::{ContainerEvent, LogRequest};
pub use terminal::{Attached, ExecRequest};
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
    /// A disk of the host is full.
    pub fn says_full(message: &str) -> bool {
        message.contains("no space left on device")
    }

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
                    "see that the engine runs, and that the host's sshd forwards its socket (AllowStreamLocalForwarding yes) \
                     or has the docker command line; then run it again"
                        .into(),
                );
            }
            Self::Unreachable { .. } => {
                return Some("see that the host and its engine run (systemctl status docker), and run it again".into());
            }
            Self::NotLoaded { .. } => return None,
        };
        if Self::says_full(message) {
            return Some("make room on the host (docker image prune, docker system df) and deploy again".into());
        }
        let taken = message.contains("port is already allocated") || message.contains("address already in use");
        taken.then(|| "free the port on the host, or publish another one in the compose file".into())
    }
}

/// Before the name of an image that could not be unpacked.
const NOT_UNPACKED: &str = "Error unpacking image ";

/// An engine says so after a load, as if it were no error: Docker 28 where it could not unpack an image.
pub fn says_not_unpacked(message: &str) -> bool {
    message.contains(NOT_UNPACKED)
}

/// The images that could not be unpacked, as far as it is said.
pub fn not_unpacked(messages: &str) -> impl Iterator<Item = &str> {
    messages.split(NOT_UNPACKED).skip(1).filter_map(|rest| rest.split_once(": ")).map(|(name, _)| name)
}

/// What a container is made from.
#[derive(Debug, Clone, Copy)]
pub struct ContainerSpec<'a> {
    /// The project, for networks, volumes and labels.
    pub project: &'a Project,
    /// The service.
    pub service: &'a Service,
    /// The container's name at its creation.
    pub name: &'a str,
    /// The name that it will have once it is in charge: an alias in its networks.
    pub final_name: &'a str,
    /// Its number among the service's containers, from 1.
    pub number: u32,
    /// Full name of the image.
    pub image: &'a str,
    /// The engine's id of the container that it follows, whose anonymous volumes it takes over, as Compose does.
    pub successor_of: Option<&'a str>,
    /// A relay owns the service's ports, aliases and fixed addresses: it gets none of them.
    pub behind_relay: bool,
    /// Configs and secrets, as files of the host.
    pub files: &'a [FileBind],
    /// The deploy that makes it.
    pub release: Option<&'a str>,
    /// What it is for.
    pub purpose: Purpose<'a>,
}

/// What a container of a service's image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// It is one of the service's containers.
    Service,
    /// It runs one command and ends: no ports, no aliases, no restart, no health check; label `oneoff`.
    OneOff {
        /// `hook` or `run`.
        role: &'static str,
        /// Replaces the service's command; empty leaves it.
        command: &'a [String],
        /// With a terminal and an open standard input.
        terminal: bool,
        /// Replaces the service's entrypoint.
        entrypoint: Option<&'a [String]>,
        /// Added to the service's environment.
        environment: &'a BTreeMap<String, String>,
    },
}

/// A file of the host that a container sees, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBind {
    /// Absolute path on the host.
    pub source: String,
    /// Absolute path inside the container.
    pub target: String,
}

/// A container of the helper image: a relay, the keeper or a receiver. It runs as the image's user, without
/// capabilities; a relay or keeper under `unless-stopped`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HelperSpec {
    /// The container's name.
    pub name: String,
    /// Full name of the image.
    pub image: String,
    /// `serve` or `keep`.
    pub command: Vec<String>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// All of its labels.
    pub labels: BTreeMap<String, String>,
    /// Networks by the engine's name, with aliases and fixed addresses; empty is none at all.
    pub networks: BTreeMap<String, Attachment>,
    /// Published ports.
    pub ports: Vec<PublishedPort>,
    /// A volume to be mounted at `/state`.
    pub state_volume: Option<String>,
    /// What a receiver gets; it is removed when it ends.
    pub receives: Option<Receives>,
}

/// What a receiver sees of its host: a volume at `/spool`, and the engine's own socket at `/run/engine.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receives {
    /// The volume.
    pub volume: String,
    /// Path of the socket on the host.
    pub socket: String,
    /// The group that may open it.
    pub group: u32,
    /// It is in the host's network; otherwise in none.
    pub network: bool,
}

/// How a command ended inside of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit status.
    pub status: i64,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Both directions of a command that runs inside of a container.
pub struct ExecStream {
    /// Its standard input; dropping it closes it.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its output, lines and parts of lines as they come: `true` is standard error.
    pub output: BoxStream<'static, Result<(bool, Bytes), EngineError>>,
    /// The engine's id of it, for its exit status.
    pub id: String,
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
    /// Major and minor number of the API version that is spoken.
    fn api_version(&self) -> (usize, usize);
    /// How long the shortest of a few questions takes that the engine answers at once.
    fn round_trip(&self) -> impl Future<Output = Result<Duration, EngineError>> + Send;
    /// Bytes per second that the engine is reached with, by questions that are longer and so take longer than this; how
    /// many beyond `enough` is of no weight. `None` where that cannot be told.
    fn rate(&self, round_trip: Duration, enough: u64) -> impl Future<Output = Option<u64>> + Send;
    /// One snapshot of everything; containers of this project in detail.
    fn observe(&self, project: &str) -> impl Future<Output = Result<EngineState, EngineError>> + Send;
    /// The facts of an image, `None` where the engine does not hold it.
    fn image_facts(&self, reference: &str) -> impl Future<Output = Result<Option<ImageFacts>, EngineError>> + Send;
    /// An image of this name and id is among those that the engine lists.
    fn is_listed(&self, reference: &Reference, id: &str) -> impl Future<Output = Result<bool, EngineError>> + Send;
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
    /// Creates a relay or the keeper without starting it; returns its id.
    fn create_helper(&self, spec: &HelperSpec) -> impl Future<Output = Result<String, EngineError>> + Send;
    /// Creates a volume with these labels; one that exists stays.
    fn create_plain_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// The directory of the host where a volume is.
    fn mountpoint(&self, volume: &str) -> impl Future<Output = Result<String, EngineError>> + Send;
    /// Runs a command in a running container, with this standard input, to its end.
    fn exec(
        &self,
        id: &str,
        command: &[String],
        input: &[u8],
    ) -> impl Future<Output = Result<ExecOutput, EngineError>> + Send;
    /// Begins a command in a running container.
    fn exec_stream(&self, id: &str, command: &[String])
    -> impl Future<Output = Result<ExecStream, EngineError>> + Send;
    /// Unpacks a tarball in a directory of a container, running or not (`PUT /containers/{id}/archive`).
    fn put_files(
        &self,
        id: &str,
        directory: &str,
        tarball: Vec<u8>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// A path of a container as a tarball; `None` where it is not there.
    fn get_files(&self, id: &str, path: &str) -> impl Future<Output = Result<Option<Vec<u8>>, EngineError>> + Send;
    /// Gives an image a name.
    fn tag(&self, image: &str, reference: &Reference) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Takes a name from an image, and removes the image where it was the last and nothing uses it.
    fn untag(&self, reference: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Everything that a container writes until it ends, from its first byte, as fast as it is read.
    fn follow(&self, id: &str) -> impl Future<Output = Result<self::Output, EngineError>> + Send;
    /// The last lines that a container wrote.
    fn logs(&self, id: &str, lines: usize) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;
}
