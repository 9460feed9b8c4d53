//! `-h`: destinations in words, with the host keys that known_hosts files have for them.
//!
//! `[user@]host` is a login from the agent's own machine, `host>[user@]host` one from a host that the agent is forwarded
//! to; the rules are ssh-add(1)'s. A name is looked up as it is typed, so that a port other than 22 is `[host]:port`.

use std::path::PathBuf;

use ssh_key::PublicKey;
use thiserror::Error;

use crate::agent::client::{Hop, HopHost};
use crate::cli::failure::{Failure, Failures};
use crate::ssh::known_hosts::{KnownHosts, Marker};

/// Why a constraint means nothing.
#[derive(Debug, Error, PartialEq, Eq)]
enum HopError {
    /// It has not the form.
    #[error("the destination constraint `{0}` is not of the form [user@]host or host>[user@]host")]
    Form(String),
    /// Nothing is on file about a host.
    #[error("no host key is known for `{0}`, so that no agent could tell it from another host")]
    UnknownHost(String),
}

/// Looks the constraints up; `files` are read instead of OpenSSH's own where there are some.
///
/// # Errors
/// What is wrong with them, all of it.
pub(super) fn resolve(constraints: &[String], files: &[PathBuf]) -> Result<Vec<Hop>, Failures> {
    if constraints.is_empty() {
        return Ok(Vec::new());
    }
    let files = if files.is_empty() { default_files() } else { files.to_vec() };
    let known = KnownHosts::load(&files).map_err(|error| Failures::configuration(vec![Failure::of(&error, None)]))?;
    let (hops, errors): (Vec<_>, Vec<_>) = constraints.iter().map(|c| resolved(c, &known)).partition(Result::is_ok);
    let hint = || {
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        Some(format!("looked into {}; name others with -H", names.join(", ")))
    };
    let failures: Vec<_> = errors.into_iter().filter_map(Result::err).map(|e| Failure::of(&e, hint())).collect();
    match failures.is_empty() {
        true => Ok(hops.into_iter().filter_map(Result::ok).collect()),
        false => Err(Failures::configuration(failures)),
    }
}

fn default_files() -> Vec<PathBuf> {
    let own = super::dot_ssh().map(|directory| ["known_hosts", "known_hosts2"].map(|name| directory.join(name)));
    let all = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from);
    own.into_iter().flatten().chain(all).collect()
}

fn resolved(constraint: &str, known: &KnownHosts) -> Result<Hop, HopError> {
    let form = || HopError::Form(constraint.to_owned());
    let (from, to) = match constraint.split_once('>') {
        Some((from, to)) if from.is_empty() || from.contains('@') || to.contains('>') => return Err(form()),
        Some((from, to)) => (Some(host(from, known)?), to),
        None => (None, constraint),
    };
    let (user, name) = match to.split_once('@') {
        Some(("", _)) => return Err(form()),
        Some((user, name)) => (Some(user.to_owned()), name),
        None => (None, to),
    };
    if name.is_empty() {
        return Err(form());
    }
    Ok(Hop { from, to: host(name, known)?, user })
}

fn host(name: &str, known: &KnownHosts) -> Result<HopHost, HopError> {
    let lower = name.to_ascii_lowercase();
    let about = known.about(&lower).filter(|entry| entry.marker() != Some(Marker::Revoked));
    let keys: Vec<_> = about
        .filter_map(|entry| {
            let blob = PublicKey::from(entry.key().clone()).to_bytes().ok()?;
            Some((blob, entry.marker() == Some(Marker::CertAuthority)))
        })
        .collect();
    match keys.is_empty() {
        true => Err(HopError::UnknownHost(name.to_owned())),
        false => Ok(HopHost { name: name.to_owned(), keys }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn known() -> (tempfile::TempDir, KnownHosts) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        let text = format!("jump,[web]:2222 {KEY}\n@cert-authority *.example.com {KEY}\n@revoked old {KEY}\n");
        std::fs::write(&file, text).unwrap();
        let known = KnownHosts::load(&[file]).unwrap();
        (directory, known)
    }

    #[test]
    fn constraints_are_read_as_ssh_add_reads_them() {
        let (_directory, known) = known();
        let hop = |text: &str| resolved(text, &known).unwrap();
        assert_eq!((hop("jump").from, hop("jump").user), (None, None));
        assert_eq!(hop("u@Jump").user.as_deref(), Some("u"));
        let chained = hop("jump>me@[web]:2222");
        assert_eq!((chained.from.unwrap().name, chained.to.name), ("jump".into(), "[web]:2222".into()));
        assert!(hop("a.example.com").to.keys[0].1, "an authority's key is marked as one");
        assert!(!hop("jump").to.keys[0].1);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let (_directory, known) = known();
        for form in ["", "@jump", "u@", ">jump", "u@jump>jump", "jump>jump>jump", "jump>"] {
            assert_eq!(resolved(form, &known), Err(HopError::Form(form.into())), "{form}");
        }
        for host in ["web", "old", "other"] {
            assert_eq!(resolved(host, &known), Err(HopError::UnknownHost(host.into())), "{host}");
        }
    }
}
