//! Reads keys from where they are, on a thread of its own, since that may wait for a person.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use crate::agent::{
    Certificate, Identity, KeySource, LoadError, Loaded, LoadedKey, PASSPHRASE_FILE_VARIABLE, Passphrases, SourceError,
    load, passphrase_file,
};

use super::super::failure::{Failure, Failures, configuration};
use super::ask;
use super::named::{self, Named, NamedFile};

/// What was asked for.
pub(super) struct Wanted {
    /// Where keys are.
    pub(super) sources: Vec<KeySource>,
    /// Whether they come from variables, whose emptiness means "no key".
    pub(super) implied: bool,
    /// Whether there may be none at all.
    pub(super) may_lack: bool,
}

/// What was read.
#[derive(Default)]
pub(super) struct Reading {
    /// Every key once.
    pub(super) keys: Vec<LoadedKey>,
    /// What is right and may not be meant.
    pub(super) warnings: Vec<String>,
    /// The keys that the inventory and ssh_config name.
    pub(super) named: Named,
    /// The public halves that need not be read: those of the person's own agent.
    elsewhere: Vec<KeyData>,
    /// The files that were read, with their keys.
    files: Vec<(PathBuf, Vec<PublicKey>)>,
    failures: Vec<Failure>,
}

/// Reads all; `held` is what the person's own agent lists.
///
/// # Errors
/// Everything that is wrong.
pub(super) async fn read(
    wanted: Wanted,
    files: Vec<NamedFile>,
    certificates: BTreeSet<PathBuf>,
    held: Vec<Identity>,
) -> Result<Reading, Failures> {
    let reading = tokio::task::spawn_blocking(move || read_all(&wanted, &files, &certificates, &held));
    reading.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}

fn read_all(
    wanted: &Wanted,
    files: &[NamedFile],
    certificates: &BTreeSet<PathBuf>,
    held: &[Identity],
) -> Result<Reading, Failures> {
    let file = std::env::var_os(PASSPHRASE_FILE_VARIABLE).filter(|f| !f.is_empty());
    let given = file.map(|f| passphrase_file(Path::new(&f))).transpose();
    let given = given.map_err(|error| configuration(&error, error.hint()))?;
    let mut asker = ask::somebody();
    let ask = asker.as_mut().map(|asker| &mut **asker as _);
    let mut passphrases = Passphrases { given, ask, answered: None };
    let mut reading = Reading { elsewhere: held.iter().filter_map(public_half).collect(), ..Reading::default() };
    for source in &wanted.sources {
        reading.read_source(source, wanted, &mut passphrases);
    }
    for file in files {
        named::find(file, &mut reading, &mut passphrases);
    }
    certificates.iter().for_each(|file| reading.certify(file));
    match reading.failures.is_empty() {
        true => Ok(reading),
        false => Err(Failures::configuration(reading.failures)),
    }
}

impl Reading {
    fn read_source(&mut self, source: &KeySource, wanted: &Wanted, passphrases: &mut Passphrases<'_>) {
        let nothing = |error: &LoadError| matches!(error, LoadError::Source(SourceError::Nothing(_)));
        match load(source, passphrases) {
            Ok(loaded) => {
                let file = match source {
                    KeySource::File(path) => Some(path.as_path()),
                    _ => None,
                };
                self.take(loaded, file);
            }
            Err(errors) if wanted.implied && wanted.may_lack && errors.iter().any(nothing) => {}
            Err(errors) => errors.iter().for_each(|error| self.fail(Failure::of(error, error.hint()))),
        }
    }

    /// Takes keys in, each once; gives their public halves.
    pub(super) fn take(&mut self, loaded: Loaded, file: Option<&Path>) -> Vec<PublicKey> {
        self.warnings.extend(loaded.warning.map(|warning| warning.to_string()));
        let public: Vec<PublicKey> = loaded.keys.iter().map(|loaded| loaded.key.public_key().clone()).collect();
        for loaded in loaded.keys {
            match self.keys.iter().find(|known| same(known, &loaded)) {
                Some(known) => self.warnings.push(format!("{} holds the same key as {}", loaded.origin, known.origin)),
                None => self.keys.push(loaded),
            }
        }
        self.files.extend(file.and_then(|file| Some((file.canonicalize().ok()?, public.clone()))));
        public
    }

    /// Puts a certificate of a file to its key, where that was read; one that does not exist is passed over, as by ssh.
    fn certify(&mut self, file: &Path) {
        let Ok(text) = std::fs::read_to_string(file) else { return };
        let certificate = match Certificate::from_openssh(&text) {
            Ok(certificate) => certificate,
            Err(error) => return self.warnings.push(format!("CertificateFile {}: {error}", file.display())),
        };
        let certified = PublicKey::from_bytes(certificate.plain_key()).ok();
        let is_its = |loaded: &&mut LoadedKey| {
            certified.as_ref().is_some_and(|key| key.key_data() == loaded.key.public_key().key_data())
        };
        match self.keys.iter_mut().find(is_its) {
            Some(loaded) if loaded.certificate.is_none() => loaded.certificate = Some(certificate),
            Some(loaded) => {
                let (key, origin) = (loaded.key.clone(), file.display().to_string());
                self.keys.push(LoadedKey { key, certificate: Some(certificate), origin });
            }
            None => {}
        }
    }

    /// Whether an agent has the private half of a public key.
    pub(super) fn holds(&self, key: &PublicKey) -> bool {
        let ours = self.keys.iter().map(|loaded| loaded.key.public_key().key_data());
        ours.chain(&self.elsewhere).any(|held| held == key.key_data())
    }

    /// The keys of a file that was read before.
    pub(super) fn known(&self, file: &Path) -> Option<Vec<PublicKey>> {
        let file = file.canonicalize().ok()?;
        self.files.iter().find(|(known, _)| *known == file).map(|(_, keys)| keys.clone())
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failures.push(failure);
    }
}

/// The key of an identity; a certificate's is the one that it certifies.
fn public_half(identity: &Identity) -> Option<KeyData> {
    let certified = Certificate::from_blob(&identity.blob).ok();
    let plain = certified.as_ref().map_or(identity.blob.as_slice(), Certificate::plain_key);
    Some(PublicKey::from_bytes(plain).ok()?.key_data().clone())
}

/// A certificate that only one of them has is not lost: the other is added as well, and takes the first one's place.
fn same(known: &LoadedKey, new: &LoadedKey) -> bool {
    known.key.public_key().key_data() == new.key.public_key().key_data() && new.certificate.is_none()
}
