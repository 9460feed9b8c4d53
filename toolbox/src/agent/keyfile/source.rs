//! Where a key comes from, and the text that was there.
//!
//! Contract: one value per way in; [`KeySource::read`] gives the text or an error that a person can act on. What the
//! text means is [`keyfile`](super)'s business, passphrases are [`load`](super::load)'s.
//!
//! # Standard input
//! One or several private keys, one after the other. A line that is not empty right after the last key's END line is
//! the passphrase of those that are encrypted:
//!
//! ```text
//! -----BEGIN OPENSSH PRIVATE KEY-----
//! …
//! -----END OPENSSH PRIVATE KEY-----
//! the passphrase, to the end of the line
//! ```

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use super::SecretBytes;
use super::secret_file::{self, PIPE, SecretFileError};
use crate::agent::memory::environment;

#[cfg(test)]
mod tests;

/// The variable that may hold a private key's text.
pub const KEY_VARIABLE: &str = "TOOLBOX_SSH_KEY";
/// What standard input is called in messages.
pub(super) const STDIN: &str = "standard input";

/// One way in for a private key.
#[derive(Debug)]
pub enum KeySource {
    /// A file; refused when others can read it, unless it lies below `/run/secrets`.
    File(PathBuf),
    /// A file on a mount whose mode the person vouches for (Kubernetes, a bind mount in a container).
    SecretMount(PathBuf),
    /// Standard input, in the form that the module describes.
    Stdin,
    /// The text that stood in `TOOLBOX_SSH_KEY`.
    Environment(SecretString),
}

/// Why a source gave no text.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file or stream could not be read.
    #[error(transparent)]
    Unreadable(#[from] SecretFileError),
    /// There was nothing in it: `/dev/null` stands for "no key" in compose.yaml.
    #[error("no key: {0} is empty")]
    Nothing(String),
    /// Nobody is going to type a private key.
    #[error("no key: standard input is a terminal")]
    Terminal,
}

impl SourceError {
    /// The next thing to type, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable(error) => error.hint(),
            Self::Nothing(_) | Self::Terminal => Some(format!(
                "give one: TOOLBOX_KEY_FILE=FILE in .env, --key FILE, {KEY_VARIABLE} in the environment, or {PIPE}"
            )),
        }
    }
}

/// The text of a source.
pub(super) struct KeyText {
    /// What was there.
    pub(super) bytes: SecretBytes,
    /// For messages and as a comment for keys without one: the path, or a name for the stream.
    pub(super) origin: String,
    /// Whether the line after the last key is a passphrase.
    pub(super) passphrase_follows: bool,
}

impl KeySource {
    /// The source that `--key ARGUMENT` means: `-` is standard input, anything else a file.
    #[must_use]
    pub fn from_argument(argument: &str) -> Self {
        match argument {
            "-" => Self::Stdin,
            path => Self::File(PathBuf::from(path)),
        }
    }

    /// Takes the key out of `TOOLBOX_SSH_KEY`, if it is set, and the variable out of this process's environment.
    /// To be called first in `main`: with threads about, the variable stays where it is and a warning is logged.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        environment::take(KEY_VARIABLE).map(Self::Environment)
    }

    /// The path, or a name for what has none.
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::File(path) | Self::SecretMount(path) => path.display().to_string(),
            Self::Stdin => STDIN.to_owned(),
            Self::Environment(_) => KEY_VARIABLE.to_owned(),
        }
    }

    /// The file that it lies in, if it lies in one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::SecretMount(path) => Some(path),
            Self::Stdin | Self::Environment(_) => None,
        }
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`SourceError`]; an empty source is one, since it means that no key was given.
    pub(super) fn read(&self) -> Result<KeyText, SourceError> {
        let bytes = match self {
            Self::File(path) => secret_file::read(path, false)?,
            Self::SecretMount(path) => secret_file::read(path, true)?,
            Self::Stdin => stdin()?,
            Self::Environment(text) => text.expose_secret().as_bytes().to_vec().into(),
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(SourceError::Nothing(self.origin()));
        }
        Ok(KeyText { bytes, origin: self.origin(), passphrase_follows: matches!(self, Self::Stdin) })
    }
}

/// Reads standard input past `std::io::stdin()`, whose own buffer would keep a copy of the key.
fn stdin() -> Result<SecretBytes, SourceError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(SourceError::Terminal);
    }
    let unreadable = |error| SecretFileError::Read { origin: STDIN.to_owned(), error };
    let mut file = File::from(stdin.as_fd().try_clone_to_owned().map_err(unreadable)?);
    Ok(secret_file::read_all(&mut file, STDIN)?)
}
