//! How the agent is reached: a factory of streams that speak the agent protocol.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to an agent: a Unix socket, or one end of an in-memory pipe.
pub trait AgentStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AgentStream for S {}

type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn AgentStream>>> + Send>>;

/// Opens a stream to the agent; called twice for each login. Cheap to clone.
#[derive(Clone)]
pub struct AgentDialer(Arc<dyn Fn() -> Dialing + Send + Sync>);

impl AgentDialer {
    /// A dialer from a closure that opens a stream, for example one end of `tokio::io::duplex` whose
    /// other end an agent in this process serves.
    pub fn new<F, Fut, S>(dial: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AgentStream + 'static,
    {
        Self(Arc::new(move || {
            let dialing = dial();
            Box::pin(async move { Ok(Box::new(dialing.await?) as Box<dyn AgentStream>) })
        }))
    }

    /// A dialer to an agent that listens on a Unix socket, as in `$SSH_AUTH_SOCK`.
    #[must_use]
    pub fn unix_socket(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::new(move || tokio::net::UnixStream::connect(path.clone()))
    }

    /// No agent, for what logs in nowhere.
    #[must_use]
    pub fn nobody() -> Self {
        Self::new(|| async { Err::<tokio::io::DuplexStream, _>(io::ErrorKind::NotFound.into()) })
    }

    pub(super) async fn dial(&self) -> io::Result<Box<dyn AgentStream>> {
        (self.0)().await
    }
}

impl fmt::Debug for AgentDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentDialer")
    }
}
