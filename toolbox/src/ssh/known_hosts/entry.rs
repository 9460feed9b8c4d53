//! One line of a known_hosts file.

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};

use super::Place;
use super::pattern::Hosts;

/// What a line says about its key beyond "this is the host's".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// `@cert-authority`: signs the certificates of the hosts named.
    CertAuthority,
    /// `@revoked`: never to be accepted, whatever else is on file.
    Revoked,
}

/// A line about the key of one or more hosts.
#[derive(Debug, Clone)]
pub struct Entry {
    marker: Option<Marker>,
    hosts: Hosts,
    key: KeyData,
    place: Place,
}

impl Entry {
    /// Reads a line; `None` for blank lines and comments.
    pub(super) fn from_line(line: &str, place: Place) -> Result<Option<Self>, String> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (marker, rest) = split_marker(line)?;
        let (hosts, key) = split_word(rest);
        let (hosts, key) = (Hosts::parse(hosts)?, parse_key(key)?);
        Ok(Some(Self { marker, hosts, key, place }))
    }

    /// Reads a public key line from the inventory, which may start with a marker too.
    pub(super) fn from_pin(line: &str, place: Place) -> Result<Self, String> {
        let (marker, key) = split_marker(line.trim())?;
        Ok(Self { marker, hosts: Hosts::Any, key: parse_key(key)?, place })
    }

    pub(super) fn is_about(&self, host: &str) -> bool {
        self.hosts.include(host)
    }

    /// The line's marker, if it has one.
    #[must_use]
    pub fn marker(&self) -> Option<Marker> {
        self.marker
    }

    /// The key, without its comment: two lines with one key and two comments are equal here.
    #[must_use]
    pub fn key(&self) -> &KeyData {
        &self.key
    }

    /// `SHA256:…`
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Where the line stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }
}

fn split_marker(line: &str) -> Result<(Option<Marker>, &str), String> {
    if !line.starts_with('@') {
        return Ok((None, line));
    }
    match split_word(line) {
        ("@cert-authority", rest) => Ok((Some(Marker::CertAuthority), rest)),
        ("@revoked", rest) => Ok((Some(Marker::Revoked), rest)),
        (marker, _) => Err(format!("unknown marker {marker}")),
    }
}

/// The first word and what follows it, between blanks and tabs.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_start_matches([' ', '\t'])),
        None => (text, ""),
    }
}

/// Reads `type base64 [comment]`. The comment is dropped here: it may hold anything.
fn parse_key(text: &str) -> Result<KeyData, String> {
    let (algorithm, rest) = split_word(text);
    let (base64, _comment) = split_word(rest);
    if base64.is_empty() {
        return Err("no key after the host names".to_owned());
    }
    PublicKey::from_openssh(&format!("{algorithm} {base64}"))
        .map(|key| key.key_data().clone())
        .map_err(|error| format!("not a public key of a known type: {error}"))
}
