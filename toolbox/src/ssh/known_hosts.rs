//! Our own reader of known_hosts files, with OpenSSH's meaning.
//!
//! Understood: comments, tabs and indents, plain and hashed names, `[host]:port`, wildcards and
//! negation, several keys of one type, any case, `@revoked`, `@cert-authority`. A line that is
//! malformed is skipped and remembered; it never hides the others. [`append`] adds lines;
//! nothing else writes a file.
//!
//! Deciding about a presented key is `ssh/host_key.rs`; this module knows nothing of connections.

mod append;
mod entry;
mod pattern;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use append::append;
pub use entry::{Entry, Marker};

use super::SshError;

/// Where a line about a host key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of a known_hosts file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line's number.
        line: usize,
    },
    /// `toolbox_host_key` of a host in the inventory.
    Inventory {
        /// The host's name there.
        host: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Inventory { host } => write!(f, "toolbox_host_key of {host} in the inventory"),
        }
    }
}

/// A line that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it stands.
    pub place: Place,
    /// What is wrong with it.
    pub reason: String,
}

/// All that is on file about host keys.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    files: Vec<PathBuf>,
    skipped: Vec<Skipped>,
}

impl KnownHosts {
    /// Reads `files` in order. A missing file counts as empty.
    ///
    /// # Errors
    /// [`SshError::KnownHostsUnreadable`] for a file that exists and cannot be read.
    pub fn load(files: &[PathBuf]) -> Result<Self, SshError> {
        let mut known = Self::default();
        for file in files {
            let text = read_or_empty(file).map_err(|source| SshError::KnownHostsUnreadable {
                file: file.clone(),
                uid: own_uid(),
                source,
            })?;
            known.add_file(file, &text);
        }
        Ok(known)
    }

    /// Takes the keys that the inventory pins for host `name`.
    ///
    /// # Errors
    /// [`SshError::PinMalformed`] for a line that is not a public key, since a pin that is silently
    /// left out would look like an unknown host.
    pub fn pinned(name: &str, lines: &[String]) -> Result<Self, SshError> {
        let place = Place::Inventory { host: name.to_owned() };
        let malformed = |line: &String, reason: &str| SshError::PinMalformed {
            name: name.to_owned(),
            line: line.clone(),
            reason: reason.to_owned(),
        };
        let mut known = Self::default();
        for line in lines {
            let entry = Entry::from_pin(line, place.clone()).map_err(|reason| malformed(line, &reason))?;
            known.entries.push(entry);
        }
        Ok(known)
    }

    /// The lines about `host`, which is written as by [`host_name`], in the order of the files.
    pub fn about<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.is_about(host))
    }

    /// The files looked at, missing ones included.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The lines that could not be understood.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn add_file(&mut self, path: &Path, text: &str) {
        self.files.push(path.to_owned());
        for (index, line) in text.lines().enumerate() {
            let place = Place::File { path: path.to_owned(), line: index + 1 };
            match Entry::from_line(line, place.clone()) {
                Ok(Some(entry)) => self.entries.push(entry),
                Ok(None) => {}
                Err(reason) => self.skipped.push(Skipped { place, reason }),
            }
        }
    }
}

/// How known_hosts names a host: `address`, or `[address]:port` when the port is not 22; lower case.
#[must_use]
pub fn host_name(address: &str, port: u16) -> String {
    let address = address.to_ascii_lowercase();
    if port == 22 { address } else { format!("[{address}]:{port}") }
}

/// The text of a file, odd bytes replaced: a stray byte in one line must not hide the others.
fn read_or_empty(file: &Path) -> io::Result<String> {
    match fs::read(file) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// The user id of this process, from the owner of its directory in /proc (no system call of our own).
fn own_uid() -> u32 {
    fs::metadata("/proc/self").map_or(u32::MAX, |metadata| metadata.uid())
}
