//! Files that hold a secret: opened once, judged by what was opened, read into a buffer that zeroes itself.
//!
//! Contract: a regular file of this process's user that others can read is refused, as OpenSSH refuses it
//! (`sshkey_perm_ok` in authfile.c), unless it is a secret mount: there the engine sets the mode, and other users of the
//! container are kept out by the container. The mode of another user's file, such as one that is bind-mounted, is not
//! for this user to judge or to mend.
//! Pipes and terminals have no mode worth judging and are just read.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::SecretBytes;

/// Where Compose, Swarm and Podman mount secrets.
pub(super) const SECRETS: &str = "/run/secrets";
/// Longest text that is read, in bytes: an RSA key of 16384 bits takes 13 KiB.
pub(super) const LIMIT: usize = 1 << 20;

/// Why a secret could not be read.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// No such file.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// A directory.
    #[error("{} is a directory", .0.display())]
    Directory(PathBuf),
    /// The file is there, and this process may not read it.
    #[error("uid {our_uid} may not read {}{}", path.display(), owner.map(|(uid, mode)| format!(" (owner uid {uid}, mode {mode:04o})")).unwrap_or_default())]
    Denied {
        /// The file.
        path: PathBuf,
        /// Owner and permission bits, where the directory lets us see them.
        owner: Option<(u32, u32)>,
        /// The effective uid of this process.
        our_uid: u32,
    },
    /// It is this user's, and others can read it.
    #[error("permissions {mode:04o} for {} are too open: others can read it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// More than a secret can be.
    #[error("{0} is larger than 1 MiB, which no key is")]
    TooLarge(String),
    /// Anything else that the system says.
    #[error("cannot read {origin}: {error}")]
    Read {
        /// The file or stream.
        origin: String,
        /// The system's reason.
        error: io::Error,
    },
}

impl SecretFileError {
    /// The next thing to type, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            // Nearly always the public half, which is meant to be readable.
            Self::TooOpen { path, .. } if path.extension().is_some_and(|end| end == "pub") => {
                let private = path.with_extension("");
                format!("this looks like the public key; give the private one: {}", private.display())
            }
            Self::TooOpen { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Denied { .. } => format!("pipe it instead: {PIPE}"),
            Self::Directory(path) => {
                format!("name the key in it, such as {}/id_ed25519", path.display())
            }
            Self::Missing(_) | Self::TooLarge(_) | Self::Read { .. } => return None,
        })
    }
}

/// How a key that the container's user may not read gets in.
pub(super) const PIPE: &str = "docker compose run --rm -T toolbox deploy --key - < FILE";

/// Reads a secret from `path`; `secret_mount` says that its mode is not ours to judge.
///
/// # Errors
/// [`SecretFileError`].
pub(super) fn read(path: &Path, secret_mount: bool) -> Result<SecretBytes, SecretFileError> {
    let mut file = File::open(path).map_err(|error| open_error(path, error))?;
    let metadata = file.metadata().map_err(|error| read_error(path.display().to_string(), error))?;
    if metadata.is_dir() {
        return Err(SecretFileError::Directory(path.to_owned()));
    }
    if !secret_mount && !below_secrets(path) {
        refuse_open_mode(path, &metadata, rustix::process::getuid().as_raw())?;
    }
    read_all(&mut file, &path.display().to_string())
}

/// Reads a stream to its end.
pub(super) fn read_all(stream: &mut impl Read, origin: &str) -> Result<SecretBytes, SecretFileError> {
    // Room for all of it at once: a buffer that grows would leave copies behind that nobody zeroes.
    let mut bytes = SecretBytes::new(Vec::with_capacity(LIMIT + 2));
    let limit = u64::try_from(LIMIT + 1).unwrap_or(u64::MAX);
    stream.take(limit).read_to_end(&mut bytes).map_err(|error| read_error(origin.to_owned(), error))?;
    match bytes.len() > LIMIT {
        true => Err(SecretFileError::TooLarge(origin.to_owned())),
        false => Ok(bytes),
    }
}

/// Judged by where the file really is: a link from the secrets to somewhere else is no secret mount.
fn below_secrets(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| real.starts_with(SECRETS))
}

pub(super) fn refuse_open_mode(path: &Path, metadata: &Metadata, our_uid: u32) -> Result<(), SecretFileError> {
    let mode = metadata.mode() & 0o7777;
    match metadata.file_type().is_file() && metadata.uid() == our_uid && mode & 0o077 != 0 {
        true => Err(SecretFileError::TooOpen { path: path.to_owned(), mode }),
        false => Ok(()),
    }
}

fn open_error(path: &Path, error: io::Error) -> SecretFileError {
    match error.kind() {
        io::ErrorKind::NotFound => SecretFileError::Missing(path.to_owned()),
        io::ErrorKind::PermissionDenied => denied(path),
        _ => read_error(path.display().to_string(), error),
    }
}

fn denied(path: &Path) -> SecretFileError {
    let seen = std::fs::metadata(path).ok();
    SecretFileError::Denied {
        path: path.to_owned(),
        owner: seen.filter(|seen| !seen.file_type().is_socket()).map(|seen| (seen.uid(), seen.mode() & 0o7777)),
        our_uid: rustix::process::geteuid().as_raw(),
    }
}

fn read_error(origin: String, error: io::Error) -> SecretFileError {
    SecretFileError::Read { origin, error }
}
