//! Deciding about the key that a host presents. Strict: what is not on file is refused.

use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::known_hosts::{Entry, KnownHosts, Marker};
use super::refusal::{ChangedHostKey, RefusedHostKey, UnknownHostKey};
use super::{SshError, Target};
use crate::ssh_config::{AlgorithmList, glob};

mod standing;
#[cfg(test)]
mod tests;

pub use standing::Standing;

/// What is on file for one host.
#[derive(Debug, Clone)]
pub(super) struct HostKeyPolicy {
    /// As known_hosts names it, with the port where it is not 22.
    host: String,
    /// Without the port: what a certificate names, and what counts too when `host` has no line.
    bare: String,
    known: KnownHosts,
    pinned: bool,
    /// Algorithms for plain keys, most preferred first.
    plain: Vec<Algorithm>,
    /// For certificates.
    certificates: Vec<Algorithm>,
    /// Whether `HostKeyAlgorithms` gives the order.
    own_order: bool,
}

impl HostKeyPolicy {
    /// Reads what the inventory pins or, where it pins nothing, the known_hosts files.
    pub(super) fn of(target: &Target) -> Result<Self, SshError> {
        let pinned = !target.pinned.is_empty();
        let known = if pinned {
            KnownHosts::pinned(&target.name, &target.pinned)?
        } else {
            KnownHosts::load(&target.known_hosts)?
        };
        for skipped in known.skipped() {
            tracing::warn!("{}: line skipped: {}", skipped.place, skipped.reason);
        }
        let bare = target.host_key_alias.as_deref().unwrap_or(target.bare_address()).to_ascii_lowercase();
        let (plain, certificates) = wanted_algorithms(target)?;
        let own_order = target.algorithms.host_key.as_ref().is_some_and(AlgorithmList::has_own_order);
        Ok(Self { host: target.known_hosts_name(), bare, known, pinned, plain, certificates, own_order })
    }

    /// Host key algorithms in the order to ask for, the types on file first: a server picks the
    /// first that it has, and one that is not on file would be refused.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let on_file: Vec<_> = self.with_marker(None).map(|entry| entry.key().algorithm()).collect();
        let mut algorithms = self.plain.clone();
        if !self.own_order {
            algorithms.sort_by_key(|algorithm| !on_file.iter().any(|known| same_type(known, algorithm)));
        }
        algorithms
    }

    /// Algorithms to ask a certificate for: none unless an authority for this host is on file.
    pub(super) fn certificate_algorithms(&self) -> Vec<Algorithm> {
        match self.with_marker(Some(Marker::CertAuthority)).next() {
            Some(_) => self.certificates.clone(),
            None => Vec::new(),
        }
    }

    /// Accepts or refuses what the host presents, at the present time.
    pub(super) fn check(&self, presented: &PublicKeyOrCertificate) -> Result<(), SshError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.check_at(presented, now)
    }

    fn check_at(&self, presented: &PublicKeyOrCertificate, now: u64) -> Result<(), SshError> {
        let key = presented.public_key();
        self.refuse_revoked(key.key_data(), "the key is marked @revoked")?;
        if let Some(certificate) = presented.certificate() {
            self.refuse_revoked(certificate.signature_key(), "its authority is marked @revoked")?;
            if let Some(authority) = self.authority_of(certificate) {
                return self.check_certificate(certificate, authority, now);
            }
        }
        // A certificate by nobody we know still holds a key, which may be on file by itself.
        self.check_key(&key)
    }

    /// Lines about the host with or without its port that carry `marker`.
    fn with_marker(&self, marker: Option<Marker>) -> impl Iterator<Item = &Entry> {
        let bare = (self.bare != self.host).then(|| self.known.about(&self.bare));
        self.known.about(&self.host).chain(bare.into_iter().flatten()).filter(move |entry| entry.marker() == marker)
    }

    fn refuse_revoked(&self, key: &KeyData, reason: &str) -> Result<(), SshError> {
        match self.with_marker(Some(Marker::Revoked)).find(|entry| entry.key() == key) {
            Some(entry) => Err(SshError::HostKeyRevoked(self.refusal(key, reason, entry))),
            None => Ok(()),
        }
    }

    fn authority_of(&self, certificate: &Certificate) -> Option<&Entry> {
        self.with_marker(Some(Marker::CertAuthority)).find(|entry| entry.key() == certificate.signature_key())
    }

    fn check_certificate(&self, certificate: &Certificate, authority: &Entry, now: u64) -> Result<(), SshError> {
        match certificate_fault(certificate, &self.bare, now) {
            None => Ok(()),
            Some(fault) => {
                Err(SshError::HostCertificateRefused(self.refusal(certificate.public_key(), &fault, authority)))
            }
        }
    }

    fn check_key(&self, presented: &PublicKey) -> Result<(), SshError> {
        let is_presented = |entry: &&Entry| entry.key() == presented.key_data();
        let plain: Vec<&Entry> = self.known.about(&self.host).filter(|entry| entry.marker().is_none()).collect();
        if plain.iter().any(is_presented) {
            return Ok(());
        }
        let (same, others): (Vec<&Entry>, Vec<&Entry>) =
            plain.into_iter().partition(|entry| self.pinned || entry.key().algorithm() == presented.algorithm());
        if !same.is_empty() {
            return Err(self.changed(presented, &same));
        }
        // As ssh does: nothing for this port, so a line without a port counts.
        if self.with_marker(None).any(|entry| is_presented(&entry)) {
            Ok(())
        } else {
            Err(self.unknown(presented, &others))
        }
    }

    fn unknown(&self, presented: &PublicKey, others: &[&Entry]) -> SshError {
        let public_key = public_key_line(presented);
        SshError::HostKeyUnknown(Box::new(UnknownHostKey {
            host: self.host.clone(),
            algorithm: presented.algorithm().to_string(),
            fingerprint: presented.fingerprint(HashAlg::Sha256).to_string(),
            line: format!("{} {public_key}", self.host),
            public_key,
            files: self.known.files().to_vec(),
            other_types: others.iter().map(|entry| entry.place().clone()).collect(),
            skipped: self.known.skipped().iter().map(|skipped| skipped.place.clone()).collect(),
        }))
    }

    fn changed(&self, presented: &PublicKey, on_file: &[&Entry]) -> SshError {
        SshError::HostKeyChanged(Box::new(ChangedHostKey {
            host: self.host.clone(),
            algorithm: presented.algorithm().to_string(),
            fingerprint: presented.fingerprint(HashAlg::Sha256).to_string(),
            on_file: on_file.iter().map(|entry| (entry.fingerprint(), entry.place().clone())).collect(),
        }))
    }

    fn refusal(&self, key: &KeyData, reason: &str, entry: &Entry) -> Box<RefusedHostKey> {
        Box::new(RefusedHostKey {
            host: self.host.clone(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            reason: reason.to_owned(),
            place: entry.place().clone(),
        })
    }
}

/// What is wrong with a certificate for `host`, whose authority is known to be trusted.
fn certificate_fault(certificate: &Certificate, host: &str, now: u64) -> Option<String> {
    let principals = certificate.valid_principals();
    if certificate.verify_signature().is_err() {
        return Some("the certificate's signature is wrong".to_owned());
    }
    if certificate.signature().algorithm() == (Algorithm::Rsa { hash: None }) {
        return Some("the certificate is signed with SHA-1".to_owned());
    }
    if certificate.cert_type() != CertType::Host {
        return Some("the certificate is a user's, not a host's".to_owned());
    }
    if certificate.critical_options().iter().next().is_some() {
        return Some("the certificate has critical options, which no host certificate may have".to_owned());
    }
    if now < certificate.valid_after() {
        return Some("the certificate is not valid yet".to_owned());
    }
    if now >= certificate.valid_before() {
        return Some("the certificate has expired".to_owned());
    }
    // A certificate without principals would be good for every host: no authority means that.
    if !principals.iter().any(|principal| glob(&principal.to_ascii_lowercase(), host)) {
        return Some(format!("the certificate is for {:?}, not for {host}", principals.join(",")));
    }
    None
}

/// `type base64`, without a comment.
pub(super) fn public_key_line(key: &PublicKey) -> String {
    PublicKey::new(key.key_data().clone(), "").to_openssh().unwrap_or_default().trim_end().to_owned()
}

/// Whether a key of type `known` can be proven with `algorithm` (RSA keys have two).
fn same_type(known: &Algorithm, algorithm: &Algorithm) -> bool {
    match (known, algorithm) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        (known, algorithm) => known == algorithm,
    }
}

/// Those for plain keys and those for certificates that `HostKeyAlgorithms` leaves.
fn wanted_algorithms(target: &Target) -> Result<(Vec<Algorithm>, Vec<Algorithm>), SshError> {
    let acceptable = acceptable_algorithms();
    let Some(list) = &target.algorithms.host_key else {
        return Ok((acceptable.clone(), acceptable));
    };
    let plain: Vec<String> = acceptable.iter().map(ToString::to_string).collect();
    let certificates: Vec<String> = plain.iter().map(|name| format!("{name}-cert-v01@openssh.com")).collect();
    let all: Vec<&str> = certificates.iter().chain(&plain).map(String::as_str).collect();
    let left = list.apply(&all, &all);
    if left.is_empty() {
        return Err(super::config::none_left("HostKeyAlgorithms", list, target));
    }
    let of = |names: &[String]| -> Vec<Algorithm> {
        let place = |name: &&str| names.iter().position(|known| known == *name);
        left.iter().filter_map(place).map(|index| acceptable[index].clone()).collect()
    };
    Ok((of(&plain), of(&certificates)))
}

/// Everything but SHA-1 and DSA, most preferred first.
fn acceptable_algorithms() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}
