//! From a source to keys that are ready to use: reads, splits, asks for passphrases, finds certificates.
//!
//! Contract: all keys of a source, or an error for each that is wrong, naming the source. A passphrase that was given
//! (after the key on standard input, or in the file that `TOOLBOX_SSH_PASSPHRASE_FILE` names) is tried once for each
//! key; where none was given and there is somebody to ask, three times. The answer that opened one key is tried on the
//! next before anybody is asked again, also across sources, as by ssh-add. The asking is the caller's: this module knows
//! no terminal.

use std::fmt;
use std::io;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use ssh_key::PrivateKey;
use thiserror::Error;

use super::certificate::{self, CertificateFileError};
use super::pem::{self, Block};
use super::secret_file::{self, SecretFileError};
use super::source::{KEY_VARIABLE, KeySource, KeyText, STDIN, SourceError};
use super::{KeyError, PrivateKeys};
use crate::agent::Certificate;
use crate::agent::memory::scrub::scrubbed_deep;

#[cfg(test)]
mod tests;

/// The variable that names a file holding a passphrase.
pub const PASSPHRASE_FILE_VARIABLE: &str = "TOOLBOX_SSH_PASSPHRASE_FILE";
/// How often a person is asked, as by ssh-add.
const TRIES: usize = 3;

/// A private key that can be added to an agent. The private part of a FIDO key is a handle, in SSH's wire form.
#[derive(Debug)]
pub struct LoadedKey {
    /// The key; its comment is never empty.
    pub key: Box<PrivateKey>,
    /// The certificate beside its file, which certifies this key.
    pub certificate: Option<Certificate>,
    /// The file or stream that it came from.
    pub origin: String,
}

/// What came of a source.
#[derive(Debug)]
pub struct Loaded {
    /// The keys, in their order.
    pub keys: Vec<LoadedKey>,
    /// The certificate beside them, where it is of no use.
    pub warning: Option<CertificateFileError>,
}

/// Why no keys came of a source.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The source gave no text.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The text gave no key.
    #[error("{origin}{which}: {error}")]
    Key {
        /// The file or stream.
        origin: String,
        /// Which of the keys in it.
        which: Which,
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

/// A key's place among the keys of one source: nothing where it is the only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which(Option<(usize, usize)>);

impl Which {
    /// The key at `index`, from 0, of `count`.
    fn of(index: usize, count: usize) -> Self {
        Self((count > 1).then_some((index + 1, count)))
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((number, count)) => write!(f, " (key {number} of {count})"),
            None => Ok(()),
        }
    }
}

impl LoadError {
    /// The next thing to type, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Key { origin, error, .. } => error.hint(file_of(origin)),
            Self::PassphraseFile(error @ SecretFileError::TooOpen { .. }) => error.hint(),
            Self::PassphraseFile(_) => None,
            Self::NoPassphrase(_) | Self::Ask { .. } => None,
        }
    }
}

/// What to call it in a command to type.
fn file_of(origin: &str) -> &str {
    match origin {
        STDIN | KEY_VARIABLE => "FILE",
        file => file,
    }
}

/// Somebody to ask: shows the prompt without echo and gives the answer; an empty answer gives up.
pub type Ask<'a> = dyn FnMut(&str) -> io::Result<SecretString> + 'a;

/// Where passphrases come from. One value serves all sources of a run.
#[derive(Default)]
pub struct Passphrases<'a> {
    /// One that was given: it is tried once for each key, and nobody is asked.
    pub given: Option<SecretString>,
    /// Somebody to ask, where there is somebody.
    pub ask: Option<&'a mut Ask<'a>>,
    /// The answer that opened a key before; begins as `None`.
    pub answered: Option<SecretString>,
}

/// Reads a passphrase file: its text without one newline at the end.
///
/// # Errors
/// [`LoadError::PassphraseFile`], with the same rules for its mode as for a key's file; [`LoadError::NoPassphrase`].
pub fn passphrase_file(path: &Path) -> Result<SecretString, LoadError> {
    let found = password_file(path).map_err(LoadError::PassphraseFile)?;
    found.ok_or_else(|| LoadError::NoPassphrase(path.display().to_string()))
}

/// The same for any password; `None` where the file is empty or not UTF-8.
///
/// # Errors
/// [`SecretFileError`].
pub fn password_file(path: &Path) -> Result<Option<SecretString>, SecretFileError> {
    let bytes = secret_file::read(path, false)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok((!text.is_empty()).then(|| text.into()))
}

/// All keys of `source`, with the certificate beside its file. A key without a comment gets the source's name as its
/// comment, as ssh-add does.
///
/// # Errors
/// A [`LoadError`] for each key that cannot be read; one fails the whole.
pub fn load(source: &KeySource, passphrases: &mut Passphrases<'_>) -> Result<Loaded, Vec<LoadError>> {
    let (keys, origin) = scrubbed_deep(|| {
        let text = source.read().map_err(|error| vec![error.into()])?;
        keys_in(&text, passphrases).map(|keys| (keys, text.origin))
    })?;
    let mut keys: Vec<LoadedKey> =
        keys.into_iter().map(|key| LoadedKey { key, certificate: None, origin: origin.clone() }).collect();
    let warning = source.path().and_then(|path| certify(&mut keys, path).err());
    Ok(Loaded { keys, warning })
}

/// Gives the certificate beside `path` to the key that it certifies.
fn certify(keys: &mut [LoadedKey], path: &Path) -> Result<(), CertificateFileError> {
    let beside = certificate::certificate_beside(path);
    let Some(found) = certificate::read(&beside) else {
        return Ok(());
    };
    let found = found?;
    let mismatch = || CertificateFileError::Mismatch { path: beside, key: path.display().to_string() };
    let key = keys.iter_mut().find(|loaded| certificate::fits(&found, &loaded.key)).ok_or_else(mismatch)?;
    key.certificate = Some(found);
    Ok(())
}

fn keys_in(text: &KeyText, passphrases: &mut Passphrases<'_>) -> Result<PrivateKeys, Vec<LoadError>> {
    let origin = text.origin.as_str();
    let failed = |which| move |error| LoadError::Key { origin: origin.to_owned(), which, error };
    let found = pem::private_keys(&text.bytes).map_err(|error| vec![failed(Which::default())(error)])?;
    let line = following_line(found.after).filter(|_| text.passphrase_follows);
    let count = found.blocks.len();
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for (index, block) in found.blocks.into_iter().enumerate() {
        let which = Which::of(index, count);
        let mut opener = Opener { origin, which, given: line.as_ref(), passphrases: &mut *passphrases };
        match block.map_err(failed(which)).and_then(|block| opener.open_with_comment(&block)) {
            Ok(key) => keys.push(key),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(keys) } else { Err(errors) }
}

/// The line right after the last key, if there is something in it.
fn following_line(after: &str) -> Option<SecretString> {
    let line = after.lines().next()?;
    (!line.trim().is_empty()).then(|| line.into())
}

/// Opens one key of a source.
struct Opener<'o, 'p, 'a> {
    origin: &'o str,
    which: Which,
    /// What followed the keys of this source.
    given: Option<&'o SecretString>,
    passphrases: &'p mut Passphrases<'a>,
}

impl Opener<'_, '_, '_> {
    fn open_with_comment(&mut self, block: &Block) -> Result<Box<PrivateKey>, LoadError> {
        let mut key = self.open(block)?;
        if key.comment().is_empty() {
            key.set_comment(self.origin);
        }
        Ok(key)
    }

    fn open(&mut self, block: &Block) -> Result<Box<PrivateKey>, LoadError> {
        let given = self.given.or(self.passphrases.given.as_ref());
        let may_ask = given.is_none() && self.passphrases.ask.is_some();
        match super::decode(block, given.or(self.passphrases.answered.as_ref())) {
            Ok(key) => Ok(key),
            Err(error) if error.wants_passphrase() && may_ask => self.open_asking(block),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn open_asking(&mut self, block: &Block) -> Result<Box<PrivateKey>, LoadError> {
        let mut prompt = format!("Enter passphrase for {}{}: ", self.origin, self.which);
        let mut last = KeyError::Encrypted;
        for _ in 0..TRIES {
            let Some(passphrase) = self.answer(&prompt)? else {
                break;
            };
            match super::decode(block, Some(&passphrase)) {
                Ok(key) => {
                    self.passphrases.answered = Some(passphrase);
                    return Ok(key);
                }
                Err(error) if error.wants_passphrase() => last = error,
                Err(error) => return Err(self.failed(error)),
            }
            prompt = format!("Bad passphrase, try again for {}{}: ", self.origin, self.which);
        }
        Err(self.failed(last))
    }

    /// What the person types; `None` for an empty line, which gives up.
    fn answer(&mut self, prompt: &str) -> Result<Option<SecretString>, LoadError> {
        let Some(ask) = self.passphrases.ask.as_mut() else {
            return Ok(None);
        };
        let answer = ask(prompt).map_err(|error| LoadError::Ask { origin: self.origin.to_owned(), error })?;
        Ok(Some(answer).filter(|answer| !answer.expose_secret().is_empty()))
    }

    fn failed(&self, error: KeyError) -> LoadError {
        LoadError::Key { origin: self.origin.to_owned(), which: self.which, error }
    }
}
