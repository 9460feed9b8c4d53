//! The agent behind ours: the person's own, which `SSH_AUTH_SOCK` names.
//!
//! Contract: three messages are passed on and nothing else: list, sign and `session-bind@openssh.com`, so that keys that
//! are restricted to destinations stay so. Each client's conversation has one connection upstream, made when it is first
//! needed. Upstream is not trusted to be well: its answers are bounded in length (256 KiB), in number and, but for
//! signatures, in time. A signature has no limit of time, as a person may have to confirm it; only the client that asked
//! waits for it. What goes wrong is a failure answer or an omitted part of a list.
//!
//! A connection that was bound to a session and breaks is not replaced: a new one would not be bound, and could then show
//! and use keys that the old one kept back.
//!
//! Absent on purpose: adding, removing and locking upstream, and every other extension.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::keyring::Identity;
use super::private_wire::{put_string, take_string};
use super::protocol::LONGEST_FRAME;

mod error;
mod place;
mod relay;
#[cfg(test)]
mod tests;

pub use error::UpstreamError;
pub(crate) use relay::{Relay, following};

/// The variable that names its socket.
pub const SOCKET_VARIABLE: &str = "SSH_AUTH_SOCK";
/// How long it may take to connect, to list and to bind.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most identities that are taken from it, as in OpenSSH's clients.
const MOST_IDENTITIES: usize = 2048;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const LIST: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN: u8 = 13;
const SIGNATURE: u8 = 14;

/// Where another agent listens. Cheap to clone; nothing is touched until it is asked.
#[derive(Clone, Debug)]
pub struct Upstream {
    path: PathBuf,
    patience: Duration,
}

impl Upstream {
    /// The agent that listens on this socket.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), patience: PATIENCE }
    }

    /// The person's own agent; `None` where `SSH_AUTH_SOCK` is not set or empty.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()).map(Self::at)
    }

    /// Its socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it lists, asked over a connection of its own: to see whether it is there and of use.
    ///
    /// # Errors
    /// [`UpstreamError`], with the reason and the fix.
    pub async fn identities(&self) -> Result<Vec<Identity>, UpstreamError> {
        let mut conversation = self.connect().await?;
        conversation.list().await.map_err(|error| error.on(&self.path))
    }

    async fn connect(&self) -> Result<Conversation, UpstreamError> {
        match timeout(self.patience, UnixStream::connect(&self.path)).await {
            Ok(Ok(stream)) => Ok(Conversation { stream, patience: self.patience }),
            Ok(Err(error)) => Err(place::why_not(&self.path, error)),
            Err(_) => Err(UpstreamError::Silent { path: self.path.clone(), patience: self.patience }),
        }
    }
}

/// Why a question had no good answer.
#[derive(Debug)]
enum Fault {
    /// It said no; the conversation goes on.
    Declined,
    /// It closed the connection.
    HungUp,
    /// It did not answer in time.
    Silent(Duration),
    /// What it answered is no answer.
    Nonsense,
    /// The connection failed.
    Broken(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::HungUp,
            _ => Self::Broken(error),
        }
    }
}

impl Fault {
    fn on(self, path: &Path) -> UpstreamError {
        let path = path.to_owned();
        match self {
            Self::Declined => UpstreamError::Declined { path },
            Self::HungUp => place::hung_up(&path),
            Self::Silent(patience) => UpstreamError::Silent { path, patience },
            Self::Nonsense => UpstreamError::Nonsense { path },
            Self::Broken(error) => UpstreamError::System { path, error },
        }
    }

    /// Whether the next question may be asked over the same connection.
    fn is_an_answer(&self) -> bool {
        matches!(self, Self::Declined)
    }
}

/// One connection upstream. After a fault that is no answer it is of no more use.
struct Conversation {
    stream: UnixStream,
    patience: Duration,
}

impl Conversation {
    async fn list(&mut self) -> Result<Vec<Identity>, Fault> {
        let answer = self.ask_in_time(&[LIST]).await?;
        match answer.split_first() {
            Some((&IDENTITIES, rest)) => identities(rest).ok_or(Fault::Nonsense),
            _ => Err(refusal(&answer)),
        }
    }

    /// The signature blob, however long a person takes to allow it.
    async fn sign(&mut self, blob: &[u8], data: &[u8], flags: u32) -> Result<Vec<u8>, Fault> {
        let mut body = vec![SIGN];
        put_string(&mut body, blob);
        put_string(&mut body, data);
        body.extend(flags.to_be_bytes());
        let answer = self.ask(&body).await?;
        match answer.split_first() {
            Some((&SIGNATURE, rest)) => signature(rest).ok_or(Fault::Nonsense),
            _ => Err(refusal(&answer)),
        }
    }

    /// Passes a session binding on, as the client sent it.
    async fn bind(&mut self, request: &[u8]) -> Result<(), Fault> {
        match self.ask_in_time(request).await?.as_slice() {
            [SUCCESS] => Ok(()),
            answer => Err(refusal(answer)),
        }
    }

    async fn ask_in_time(&mut self, body: &[u8]) -> Result<Vec<u8>, Fault> {
        let patience = self.patience;
        timeout(patience, self.ask(body)).await.map_err(|_| Fault::Silent(patience))?
    }

    async fn ask(&mut self, body: &[u8]) -> Result<Vec<u8>, Fault> {
        let length = u32::try_from(body.len()).map_err(|_| Fault::Nonsense)?;
        let mut frame = Vec::with_capacity(4 + body.len());
        frame.extend(length.to_be_bytes());
        frame.extend(body);
        self.stream.write_all(&frame).await?;
        let length = self.stream.read_u32().await? as usize;
        if length > LONGEST_FRAME {
            return Err(Fault::Nonsense);
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

/// What an answer other than the wanted one is. Failures of extensions have a number of their own.
fn refusal(answer: &[u8]) -> Fault {
    const EXTENSION_FAILURE: u8 = 28;
    match answer {
        [FAILURE | EXTENSION_FAILURE, ..] => Fault::Declined,
        _ => Fault::Nonsense,
    }
}

/// The identities of a list; `None` for one that is cut off, too long, or holds what cannot be a key.
fn identities(rest: &[u8]) -> Option<Vec<Identity>> {
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok().filter(|count| *count <= MOST_IDENTITIES)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let blob = take_string(&mut rest).filter(|blob| !blob.is_empty())?.to_vec();
        let comment = String::from_utf8_lossy(take_string(&mut rest)?).into_owned();
        found.push(Identity { blob, comment });
    }
    rest.is_empty().then_some(found)
}

fn signature(mut rest: &[u8]) -> Option<Vec<u8>> {
    let blob = take_string(&mut rest).filter(|blob| !blob.is_empty())?;
    rest.is_empty().then(|| blob.to_vec())
}
