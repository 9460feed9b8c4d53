//! The way to a host's sshd before a word is said: a TCP connection, a channel of a hop, or a command.

use tokio::io::{AsyncRead, AsyncWrite};

use super::channel::Overflow;
use super::program::{self, End};
use super::prompt::Goodbye;
use super::{AgentDialer, Connection, SshError, Target, Way, dial};

/// A byte stream to an sshd.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open way.
pub(super) struct Road {
    /// Leads to the target's sshd.
    pub(super) stream: Box<dyn Stream>,
    /// The connection that carries it, to be kept as long.
    pub(super) hop: Option<Connection>,
    /// What becomes of its command.
    pub(super) command: Option<End>,
    /// Hears before the last words are said.
    pub(super) goodbye: Goodbye,
}

impl Road {
    /// One that is open already.
    pub(super) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), hop: None, command: None, goodbye: Goodbye::default() }
    }

    /// Opens it; at hops the agent logs in.
    ///
    /// # Errors
    /// Those of the way alone.
    pub(super) async fn open(target: &Target, agent: &AgentDialer, overflow: Overflow) -> Result<Self, SshError> {
        Ok(match &target.way {
            Way::Direct => {
                let stream = dial::dial(target).await?;
                Self { goodbye: stream.goodbye(), ..Self::over(stream) }
            }
            Way::Hop(hop) => {
                let hop = hop.connection(agent, overflow).await?;
                Self { hop: Some(hop.clone()), ..Self::over(hop.next(target).await?) }
            }
            Way::Command(command) => {
                let (program, end) = program::start(command, &target.address)?;
                Self { command: Some(end), ..Self::over(program) }
            }
        })
    }
}

/// A command that ended knows better than what was to be said over it why that failed.
pub(super) async fn instead_of(command: Option<End>, error: SshError) -> SshError {
    match command {
        Some(end) => end.instead_of(error).await,
        None => error,
    }
}
