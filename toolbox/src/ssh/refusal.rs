//! The details of errors that have many: refused host keys and refused logins.

use std::fmt;
use std::path::PathBuf;

#[cfg(doc)]
use super::SshError;
use super::known_hosts::Place;

/// The details of [`SshError::HostKeyUnknown`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownHostKey {
    /// The host as known_hosts names it: `address` or `[address]:port`.
    pub host: String,
    /// The presented key's type, such as `ssh-ed25519`.
    pub algorithm: String,
    /// The presented key's fingerprint: `SHA256:…`.
    pub fingerprint: String,
    /// The presented key as a public key line.
    pub public_key: String,
    /// The exact known_hosts line that would trust it.
    pub line: String,
    /// The files looked at, missing ones included.
    pub files: Vec<PathBuf>,
    /// Keys of other types that are on file for this host.
    pub other_types: Vec<Place>,
    /// Lines that could not be understood and were skipped.
    pub skipped: Vec<Place>,
}

/// The details of [`SshError::HostKeyChanged`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedHostKey {
    /// The host as known_hosts names it: `address` or `[address]:port`.
    pub host: String,
    /// The presented key's type, such as `ssh-ed25519`.
    pub algorithm: String,
    /// The presented key's fingerprint: `SHA256:…`.
    pub fingerprint: String,
    /// The keys on file: fingerprint, and where it stands.
    pub on_file: Vec<(String, Place)>,
}

/// The details of [`SshError::HostKeyRevoked`] and [`SshError::HostCertificateRefused`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedHostKey {
    /// The host as known_hosts names it: `address` or `[address]:port`.
    pub host: String,
    /// The fingerprint of the presented key or certificate's key: `SHA256:…`.
    pub fingerprint: String,
    /// Why it is refused.
    pub reason: String,
    /// The line that decides.
    pub place: Place,
}

/// The details of [`SshError::AuthRefused`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRefusal {
    /// The login user.
    pub user: String,
    /// The address as given.
    pub address: String,
    /// The agent's identities in the order in which they were offered.
    pub tried: Vec<TriedIdentity>,
    /// How many more the agent has, which were not offered.
    pub left: usize,
    /// Whether the inventory names a key for this host.
    pub named: bool,
    /// The methods that the server would still accept, such as `publickey` or `password`.
    pub methods: Vec<String>,
    /// The server's last words when it hung up, as it does after `MaxAuthTries` keys.
    pub hung_up: Option<String>,
    /// What the server showed before the login.
    pub banner: Option<String>,
}

/// An identity of the agent and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedIdentity {
    /// `SHA256:…`
    pub fingerprint: String,
    /// The key's type, such as `ssh-rsa` or `ssh-ed25519-cert-v01@openssh.com`.
    pub algorithm: String,
    /// The comment that the agent has for it.
    pub comment: String,
    /// `refused by the server`, `the agent did not sign`, …
    pub outcome: String,
}

impl fmt::Display for TriedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint, algorithm, comment, outcome } = self;
        write!(f, "{} {fingerprint}", algorithm.escape_debug())?;
        if !comment.is_empty() {
            // The agent's words: not necessarily ours.
            write!(f, " {}", comment.escape_debug())?;
        }
        write!(f, ": {outcome}")
    }
}

impl fmt::Display for UnknownHostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, algorithm, fingerprint, .. } = self;
        write!(f, "the host key of {host} is not known ({algorithm} {fingerprint})")?;
        if let Some(place) = self.other_types.first() {
            write!(f, "; {place} has a key of another type for it")?;
        }
        Ok(())
    }
}

impl fmt::Display for ChangedHostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, algorithm, fingerprint, on_file } = self;
        write!(f, "the host key of {host} is not the one on file: it presents {algorithm} {fingerprint}")?;
        for (fingerprint, place) in on_file {
            write!(f, ", {place} has {fingerprint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RefusedHostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, fingerprint, reason, place } = self;
        write!(f, "the host key of {host} ({fingerprint}) is refused: {reason} ({place})")
    }
}

impl fmt::Display for AuthRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, address, tried, left, methods, hung_up, .. } = self;
        write!(f, "{address} does not let {user} in with any identity of the agent (")?;
        for (i, identity) in tried.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{identity}")?;
        }
        write!(f, ")")?;
        if let Some(words) = hung_up {
            write!(f, "; it hung up after {} of {}: {words}", tried.len(), tried.len() + left)?;
        } else if !methods.is_empty() {
            write!(f, "; it accepts {}", methods.join(", "))?;
        }
        Ok(())
    }
}
