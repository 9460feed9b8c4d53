//! The keys that the inventory names for its hosts (`ansible_ssh_private_key_file`).
//!
//! Contract: a named key is offered to its hosts first. It need not be read where an agent has it already: then its
//! public half is enough, `FILE.pub` or the named file itself, as with ssh. A file that several hosts name is read once.
//! A key that is nowhere is a problem of configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ssh_key::PublicKey;

use crate::agent::{KeySource, LoadError, Passphrases, SecretFileError, SourceError, load};
use crate::inventory::Host;

use super::super::failure::Failure;
use super::reading::Reading;

/// Keys to offer first, by the host's name.
pub(in crate::cli) type Named = BTreeMap<String, Vec<PublicKey>>;

/// A file and the hosts that it is named for.
pub(super) struct NamedFile {
    path: PathBuf,
    hosts: Vec<String>,
}

/// The files that these hosts name, each once.
///
/// # Errors
/// A path that cannot be expanded.
pub(super) fn files(hosts: &[Host]) -> Result<Vec<NamedFile>, Vec<Failure>> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut failures = Vec::new();
    for host in hosts {
        match host.private_key_file.as_deref().map(expanded) {
            Some(Ok(path)) => files.entry(path).or_default().push(host.name.clone()),
            Some(Err(failure)) => failures.push(failure.on(&host.name)),
            None => {}
        }
    }
    match failures.is_empty() {
        true => Ok(files.into_iter().map(|(path, hosts)| NamedFile { path, hosts }).collect()),
        false => Err(failures),
    }
}

fn expanded(path: &Path) -> Result<PathBuf, Failure> {
    let Ok(below_home) = path.strip_prefix("~") else {
        return Ok(path.to_owned());
    };
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let message = || format!("ansible_ssh_private_key_file {}: HOME is not set", path.display());
    home.map(|home| Path::new(&home).join(below_home)).ok_or_else(|| Failure::text(message(), None))
}

/// Finds the key of a file, and notes it for its hosts.
pub(super) fn find(file: &NamedFile, reading: &mut Reading, passphrases: &mut Passphrases<'_>) {
    match keys_of(file, reading, passphrases) {
        Ok(keys) => file.hosts.iter().for_each(|host| drop(reading.named.insert(host.clone(), keys.clone()))),
        Err(failures) => failures.into_iter().for_each(|failure| reading.fail(failure)),
    }
}

fn keys_of(
    file: &NamedFile,
    reading: &mut Reading,
    passphrases: &mut Passphrases<'_>,
) -> Result<Vec<PublicKey>, Vec<Failure>> {
    if let Some(known) = reading.known(&file.path) {
        return Ok(known);
    }
    let is_public = file.path.extension().is_some_and(|end| end == "pub");
    let public_path = if is_public { file.path.clone() } else { with_pub(&file.path) };
    let public = read_public(&public_path);
    if let Ok(public) = &public
        && reading.holds(public)
    {
        return Ok(vec![public.clone()]);
    }
    if is_public {
        return Err(vec![file.not_held(public.err())]);
    }
    match load(&KeySource::File(file.path.clone()), passphrases) {
        Ok(loaded) => Ok(reading.take(loaded, Some(&file.path))),
        Err(errors) => Err(errors.iter().map(|error| file.failure(error, public.is_ok())).collect()),
    }
}

fn with_pub(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

fn read_public(path: &Path) -> Result<PublicKey, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    PublicKey::from_openssh(text.trim()).map_err(|_| "it is no public key".to_owned())
}

impl NamedFile {
    fn failure(&self, error: &LoadError, has_public: bool) -> Failure {
        let missing = matches!(error, LoadError::Source(SourceError::Unreadable(SecretFileError::Missing(_))));
        match (missing, has_public) {
            (true, true) => self.not_held(None),
            (true, false) => Failure::text(format!("{error} {}", self.named_by()), Some(self.where_to_put_it())),
            (false, _) => Failure::text(format!("{error} {}", self.named_by()), error.hint()),
        }
    }

    /// Only the public half is there, and no agent has the other.
    fn not_held(&self, unreadable: Option<String>) -> Failure {
        let path = self.path.display();
        let what =
            unreadable.unwrap_or_else(|| "only the public half is there, and no agent has the private one".into());
        Failure::text(format!("{path}: {what} {}", self.named_by()), Some(self.where_to_put_it()))
    }

    fn named_by(&self) -> String {
        format!("(ansible_ssh_private_key_file of {})", self.hosts.join(", "))
    }

    fn where_to_put_it(&self) -> String {
        let private = self.path.with_extension("");
        let is_public = self.path.extension().is_some_and(|end| end == "pub");
        let private = if is_public { &private } else { &self.path };
        format!(
            "put the private key there (in a container, mount it), or add it to your own agent: ssh-add {0}; \
             relative paths begin at the inventory's directory",
            private.display()
        )
    }
}
