//! The agent's socket: where it lies, and who may speak over it.
//!
//! Contract: the socket has mode 0600 from its first moment. It lies where the person says, or in a fresh directory of
//! ours that nobody else may enter. A socket of a living agent is never taken over, a dead one is replaced, any other
//! file refused. Peers of another uid are cut off, root's excepted, as OpenSSH does. Running out of descriptors neither
//! ends the loop nor makes it spin. Socket and directory are removed when their [`AgentSocket`] is dropped, if the
//! socket is still ours.
//!
//! A socket can be handed to another process of the same program: [`AgentSocket::hand_over`] and
//! [`AgentSocket::inherited`].

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use thiserror::Error;

mod accept;
#[cfg(test)]
mod tests;

pub(crate) use accept::serve;

/// Longest path of a socket on Linux, in bytes.
const LONGEST_PATH: usize = 107;
/// Clients that may wait to be let in: the most that the kernel takes is its own limit (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// How often, and after which pause, others are waited for who make a socket in the same directory.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

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
    /// No directory of our own.
    #[error("cannot make a private directory in {}: {error}", path.display())]
    Directory {
        /// Where it was to be.
        path: PathBuf,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
    /// What was handed over is no listening socket with a path.
    #[error("the socket that was handed over does not listen")]
    NotListening,
    /// Anything else that the system says.
    #[error("cannot listen on {}: {error}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
}

/// A listening socket; dropping it removes the file.
#[derive(Debug)]
pub struct AgentSocket {
    listener: UnixListener,
    /// Dropped after the listener, and before that handed over.
    place: Place,
}

/// Where it lies, and what has to be removed.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Which file it is, so that a later one of the same name is not removed; `None` when it is another's by now.
    file: Option<FileIdentity>,
    /// The directory that was made for it.
    directory: Option<PathBuf>,
}

impl AgentSocket {
    /// Makes the socket and listens. Its directory must be there; whose it is is the person's business, as with
    /// `ssh-agent -a`.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let system = |error| SocketError::System { path: path.to_owned(), error };
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        let _turn = turn_in(path);
        clear(path)?;
        let listener = UnixListener::from(listening(path).map_err(system)?);
        let file = Some(file_identity(&fs::symlink_metadata(path).map_err(system)?));
        Ok(Self { listener, place: Place { path: path.to_owned(), file, directory: None } })
    }

    /// Makes a socket in a new directory `ssh-XXXXXXXXXXXX` in `parent`, mode 0700, as `ssh-agent` does without `-a`.
    ///
    /// # Errors
    /// [`SocketError`]; the directory is not left behind.
    pub fn in_private_directory(parent: &Path) -> Result<Self, SocketError> {
        let made = tempfile::Builder::new()
            .prefix("ssh-")
            .rand_bytes(12)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|error| SocketError::Directory { path: parent.to_owned(), error })?;
        let mut socket = Self::bind(&made.path().join(format!("agent.{}", std::process::id())))?;
        socket.place.directory = Some(made.keep());
        Ok(socket)
    }

    /// Takes a listening socket over from the process that made it. `private` says that its directory was made for it.
    ///
    /// # Errors
    /// [`SocketError::NotListening`], or the system's reason.
    pub fn inherited(socket: OwnedFd, private: bool) -> Result<Self, SocketError> {
        if !sockopt::socket_acceptconn(&socket).unwrap_or(false) {
            return Err(SocketError::NotListening);
        }
        let listener = UnixListener::from(socket);
        let address = listener.local_addr().ok();
        let named = address.as_ref().and_then(|a| a.as_pathname()).ok_or(SocketError::NotListening)?;
        let system = |error| SocketError::System { path: named.to_owned(), error };
        // The process may leave the directory that a relative name starts from.
        let path = std::path::absolute(named).map_err(system)?;
        let file = Some(file_identity(&fs::symlink_metadata(&path).map_err(system)?));
        let directory = path.parent().filter(|_| private).map(Path::to_owned);
        Ok(Self { listener, place: Place { path, file, directory } })
    }

    /// The same socket for another process.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.listener.try_clone()?.into())
    }

    /// Leaves the files to the process that has taken the socket over.
    pub fn hand_over(mut self) {
        self.place.file = None;
    }

    /// Where it lies: the value for `SSH_AUTH_SOCK`, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(file) = self.file else { return };
        if fs::symlink_metadata(&self.path).is_ok_and(|now| file_identity(&now) == file) {
            // What stays behind is replaced at the next start; there is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// A socket that listens on `path`, which nobody else can ever have opened: Linux gives the file the mode that the
/// socket itself had when it was bound, less the umask. That the umask is left alone lets this be called with threads
/// about.
fn listening(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    if fs::symlink_metadata(path)?.mode() & 0o177 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Device, inode and time of making: an inode's number alone is soon given to another file.
type FileIdentity = (u64, u64, i64, i64);

fn file_identity(metadata: &fs::Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// Keeps others who start here from taking a socket that does not listen yet for a dead one. Whoever may read the
/// directory may hold its lock for ever, so that nobody waits long for it.
fn turn_in(path: &Path) -> Option<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(parent).ok()?;
    for _ in 0..LOCK_TRIES {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(_) => std::thread::sleep(LOCK_PAUSE),
        }
    }
    None
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
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(system),
        Err(error) => Err(system(error)),
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
    }
}
