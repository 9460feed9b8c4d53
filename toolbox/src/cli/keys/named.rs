//! The keys that the inventory (`ansible_ssh_private_key_file`) and ssh_config (`IdentityFile`) name for hosts.
//!
//! Contract: a named key is offered to its hosts first. It need not be read where an agent has it already: then its
//! public half is enough, `FILE.pub` or the named file itself, as with ssh. A file that several hosts name is read once.
//! A key of the inventory that is nowhere is a problem of configuration; one of ssh_config is passed over, as by ssh.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ssh_key::PublicKey;

use crate::agent::{KeySource, LoadError, Passphrases, SecretFileError, SourceError, load};
use crate::inventory::Host;

use super::super::failure::Failure;
use super::super::ways::Ways;
use super::reading::Reading;

/// Keys to offer first.
#[derive(Debug, Default)]
pub(in crate::cli) struct Named {
    /// By the host's name in the inventory.
    hosts: BTreeMap<String, Vec<PublicKey>>,
    /// By the file that ssh_config names.
    files: BTreeMap<PathBuf, Vec<PublicKey>>,
}

impl Named {
    /// Those that the inventory names for a host.
    pub(in crate::cli) fn of_host(&self, host: &str) -> &[PublicKey] {
        self.hosts.get(host).map_or(&[], Vec::as_slice)
    }

    /// Those of a file that ssh_config names.
    pub(in crate::cli) fn of_file(&self, file: &Path) -> &[PublicKey] {
        self.files.get(file).map_or(&[], Vec::as_slice)
    }
}

/// A file and the hosts that it is named for.
pub(super) struct NamedFile {
    path: PathBuf,
    hosts: Vec<String>,
    by: By,
}

/// Who names a file.
#[derive(PartialEq, Eq)]
enum By {
    Inventory,
    SshConfig,
}

/// The files that are named for these hosts, each once.
///
/// # Errors
/// A path that cannot be expanded.
pub(super) fn files(hosts: &[Host], ways: &Ways) -> Result<Vec<NamedFile>, Vec<Failure>> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut failures = Vec::new();
    for host in hosts {
        match host.private_key_file.as_deref().map(expanded) {
            Some(Ok(path)) => files.entry(path).or_default().push(host.name.clone()),
            Some(Err(failure)) => failures.push(failure.on(&host.name)),
            None => {}
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    let of_inventory = files.into_iter().map(|(path, hosts)| NamedFile { path, hosts, by: By::Inventory });
    let configured = ways.key_files().into_iter().filter(|(path, _)| path.exists() || with_pub(path).exists());
    let of_config = configured.map(|(path, hosts)| NamedFile { path, hosts, by: By::SshConfig });
    Ok(of_inventory.chain(of_config).collect())
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
        Ok(keys) if file.by == By::SshConfig => drop(reading.named.files.insert(file.path.clone(), keys)),
        Ok(keys) => file.hosts.iter().for_each(|host| drop(reading.named.hosts.insert(host.clone(), keys.clone()))),
        Err(failures) if file.by == By::SshConfig => {
            reading.warnings.extend(failures.iter().map(|failure| format!("{}; it is passed over", failure.message())));
        }
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
        let variable = if self.by == By::Inventory { "ansible_ssh_private_key_file" } else { "IdentityFile" };
        format!("({variable} of {})", self.hosts.join(", "))
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
