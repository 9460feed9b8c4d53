//! The agent's socket: where it lies, and who may speak over it.
//!
//! Contract: the socket has mode 0600 and lies in a directory of ours that nobody else may enter (made 0700 if it is
//! not there). A socket of a living agent is never taken over, a dead one is replaced, any other file refused. Peers of
//! another uid are cut off, root's excepted, as OpenSSH does. Running out of descriptors neither ends the loop nor
//! makes it spin. The socket is removed when its [`AgentSocket`] is dropped, if it is still ours.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

use super::session;
use crate::agent::Agent;

#[cfg(test)]
mod tests;

/// Longest path of a socket on Linux, in bytes.
const LONGEST_PATH: usize = 107;
/// How long the loop waits when the system has no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Why a socket could not be made.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another agent answers there.
    #[error("an agent is already listening on {}", .0.display())]
    Taken(PathBuf),
    /// Something that is no socket lies there.
    #[error("{} is not a socket, and is left alone", .0.display())]
    NotASocket(PathBuf),
    /// The system's limit.
    #[error("the path {} is longer than the {LONGEST_PATH} bytes that a socket's may have", .0.display())]
    TooLong(PathBuf),
    /// Others could reach the socket.
    #[error("the directory {} is not ours alone (uid {uid}, mode {mode:04o})", path.display())]
    OpenDirectory {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Anything else that the system says.
    #[error("cannot listen on {}: {error}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
}

/// A listening socket; dropping it removes the file.
#[derive(Debug)]
pub struct AgentSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is, so that a later one of the same name is not removed.
    file: FileIdentity,
}

impl AgentSocket {
    /// Makes the socket and listens. Inside a tokio runtime.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let system = |error| SocketError::System { path: path.to_owned(), error };
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        private_directory(path)?;
        clear(path)?;
        // Nobody else can enter the directory, so the moment before the mode is set is nobody's chance.
        let listener = UnixListener::bind(path).map_err(system)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(system)?;
        let file = file_identity(&fs::symlink_metadata(path).map_err(system)?);
        Ok(Self { listener, path: path.to_owned(), file })
    }

    /// Where it lies: the value for `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| file_identity(&now) == self.file) {
            // A socket that stays behind is replaced at the next start; there is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device, inode and time of making: an inode's number alone is soon given to another file.
type FileIdentity = (u64, u64, i64, i64);

fn file_identity(metadata: &fs::Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// The directory of `path`, made if it is not there, ours alone in any case.
fn private_directory(path: &Path) -> Result<(), SocketError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let system = |error| SocketError::System { path: path.to_owned(), error };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(system(error)),
        _ => {}
    }
    let metadata = fs::metadata(directory).map_err(system)?;
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    match uid == our_uid() && mode & 0o077 == 0 {
        true => Ok(()),
        false => Err(SocketError::OpenDirectory { path: directory.to_owned(), uid, mode }),
    }
}

/// Removes a dead agent's socket.
fn clear(path: &Path) -> Result<(), SocketError> {
    let system = |error| SocketError::System { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(system),
        Err(error) => Err(system(error)),
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
    }
}

fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Accepts for as long as it is polled.
pub(crate) async fn serve(agent: &Agent, socket: AgentSocket) {
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) if may_speak(peer_uid(&stream), our_uid()) => {
                tokio::spawn(session::serve(agent.clone(), stream));
            }
            Ok((stream, _)) => {
                tracing::warn!(uid = ?peer_uid(&stream), "a peer of another user was cut off");
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a client failed");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

fn peer_uid(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok().map(|peer| peer.uid())
}

/// Ourselves and root; nobody whom the kernel does not name.
fn may_speak(peer: Option<u32>, ours: u32) -> bool {
    peer.is_some_and(|peer| peer == ours || peer == 0)
}
