//! From a source to keys that are ready to use: reads, splits, asks for passphrases.
//!
//! Contract: all keys of a source or an error that names the source. A passphrase that was given (after the key on
//! standard input, or in the file that `TOOLBOX_SSH_PASSPHRASE_FILE` names) is tried once for each key; where none was
//! given and there is somebody to ask, three times. The asking is the caller's: this module knows no terminal.

use std::io;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use ssh_key::PrivateKey;
use thiserror::Error;

use super::KeyError;
use super::pem::{self, Block};
use super::secret_file::{self, SecretFileError};
use super::source::{KeySource, KeyText, SourceError};

#[cfg(test)]
mod tests;

/// The variable that names a file holding a passphrase.
pub const PASSPHRASE_FILE_VARIABLE: &str = "TOOLBOX_SSH_PASSPHRASE_FILE";
/// How often a person is asked, as by ssh-add.
const TRIES: usize = 3;

/// Why no keys came of a source.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The source gave no text.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The text gave no key.
    #[error("{origin}: {error}")]
    Key {
        /// The file or stream.
        origin: String,
        /// What is wrong with it.
        #[source]
        error: KeyError,
    },
    /// The passphrase file could not be read.
    #[error("passphrase file: {0}")]
    PassphraseFile(#[source] SecretFileError),
    /// The passphrase file holds nothing that could be one.
    #[error("passphrase file {0} is empty or not UTF-8 text")]
    NoPassphrase(String),
    /// The prompt failed.
    #[error("cannot ask for the passphrase of {origin}: {error}")]
    Ask {
        /// The file or stream.
        origin: String,
        /// The terminal's reason.
        error: io::Error,
    },
}

impl LoadError {
    /// The next thing to type, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Key { origin, error } => error.hint(origin),
            Self::PassphraseFile(error) => match error {
                SecretFileError::TooOpen { .. } => error.hint(),
                _ => None,
            },
            Self::NoPassphrase(_) | Self::Ask { .. } => None,
        }
    }
}

/// Somebody to ask: shows the prompt without echo and gives the answer; an empty answer gives up.
pub type Ask<'a> = dyn FnMut(&str) -> io::Result<SecretString> + 'a;

/// Where passphrases come from.
#[derive(Default)]
pub struct Passphrases<'a> {
    /// One that was given: it is tried once, and nobody is asked.
    pub given: Option<SecretString>,
    /// Somebody to ask, where there is a terminal.
    pub ask: Option<&'a mut Ask<'a>>,
}

/// Reads a passphrase file: its text without one newline at the end.
///
/// # Errors
/// [`LoadError::PassphraseFile`], with the same rules for its mode as for a key's file; [`LoadError::NoPassphrase`].
pub fn passphrase_file(path: &Path) -> Result<SecretString, LoadError> {
    let bytes = secret_file::read(path, false).map_err(LoadError::PassphraseFile)?;
    let empty = || LoadError::NoPassphrase(path.display().to_string());
    let text = std::str::from_utf8(&bytes).map_err(|_| empty())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.is_empty() {
        true => Err(empty()),
        false => Ok(text.into()),
    }
}

/// All keys of `source`. A key without a comment gets the source's name as its comment, as ssh-add does.
///
/// # Errors
/// [`LoadError`]; one key that cannot be read fails the whole.
pub fn load(source: &KeySource, passphrases: Passphrases<'_>) -> Result<Vec<PrivateKey>, LoadError> {
    keys_in(&source.read()?, passphrases)
}

fn keys_in(text: &KeyText, passphrases: Passphrases<'_>) -> Result<Vec<PrivateKey>, LoadError> {
    let found =
        pem::private_keys(&text.bytes).map_err(|error| LoadError::Key { origin: text.origin.clone(), error })?;
    let line = following_line(found.after).filter(|_| text.passphrase_follows);
    let mut opener =
        Opener { origin: &text.origin, given: line.or(passphrases.given), ask: passphrases.ask, answered: None };
    found.blocks.iter().map(|block| opener.open_with_comment(block)).collect()
}

/// The line right after the last key, if there is something in it.
fn following_line(after: &str) -> Option<SecretString> {
    let line = after.lines().next()?;
    (!line.trim().is_empty()).then(|| line.into())
}

/// Opens the keys of one source.
struct Opener<'o, 'a> {
    origin: &'o str,
    given: Option<SecretString>,
    ask: Option<&'a mut Ask<'a>>,
    /// The answer that opened the key before: the next is likely to have the same, and ssh-add tries it too.
    answered: Option<SecretString>,
}

impl Opener<'_, '_> {
    fn open_with_comment(&mut self, block: &Block) -> Result<PrivateKey, LoadError> {
        let mut key = self.open(block)?;
        if key.comment().is_empty() {
            key.set_comment(self.origin);
        }
        Ok(key)
    }

    fn open(&mut self, block: &Block) -> Result<PrivateKey, LoadError> {
        let ready = self.given.as_ref().or(self.answered.as_ref());
        match super::decode(block, ready) {
            Ok(key) => Ok(key),
            Err(error) if error.wants_passphrase() && self.given.is_none() && self.ask.is_some() => {
                self.open_asking(block)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn open_asking(&mut self, block: &Block) -> Result<PrivateKey, LoadError> {
        let mut prompt = format!("Enter passphrase for {}: ", self.origin);
        let mut last = KeyError::Encrypted;
        for _ in 0..TRIES {
            let Some(passphrase) = self.answer(&prompt)? else {
                break;
            };
            match super::decode(block, Some(&passphrase)) {
                Ok(key) => {
                    self.answered = Some(passphrase);
                    return Ok(key);
                }
                Err(error) if error.wants_passphrase() => last = error,
                Err(error) => return Err(self.failed(error)),
            }
            prompt = format!("Bad passphrase, try again for {}: ", self.origin);
        }
        Err(self.failed(last))
    }

    /// What the person types; `None` for an empty line, which gives up.
    fn answer(&mut self, prompt: &str) -> Result<Option<SecretString>, LoadError> {
        let Some(ask) = self.ask.as_mut() else {
            return Ok(None);
        };
        let answer = ask(prompt).map_err(|error| LoadError::Ask { origin: self.origin.to_owned(), error })?;
        Ok(Some(answer).filter(|answer| !answer.expose_secret().is_empty()))
    }

    fn failed(&self, error: KeyError) -> LoadError {
        LoadError::Key { origin: self.origin.to_owned(), error }
    }
}
