//! Which hosts a line is about: a list of patterns, or one hashed name.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use sha1::Sha1;

use crate::ssh_config::any_matches;

/// The host field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Lower-case patterns with `*`, `?` and a leading `!`.
    Patterns(Vec<String>),
    /// `|1|salt|HMAC-SHA1(salt, name)`
    Hashed { salt: Vec<u8>, hash: [u8; 20] },
    /// A pin of the inventory, which is about its host whatever that is called.
    Any,
}

impl Hosts {
    pub(super) fn parse(field: &str) -> Result<Self, String> {
        if !field.starts_with('|') {
            return Ok(Self::Patterns(field.split(',').map(str::to_ascii_lowercase).collect()));
        }
        match field.parse() {
            Ok(HostPatterns::HashedName { salt, hash }) => Ok(Self::Hashed { salt, hash }),
            _ => Err("malformed hashed host name".to_owned()),
        }
    }

    /// Whether the line is about `host`, written in lower case.
    pub(super) fn include(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Hashed { salt, hash } => hash_of(salt, host).is_some_and(|found| found == *hash),
            // A negated pattern that matches rules the host out, wherever it stands in the list.
            Self::Patterns(patterns) => any_matches(patterns.iter().map(String::as_str), host),
        }
    }
}

fn hash_of(salt: &[u8], host: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(host.as_bytes());
    Some(mac.finalize().into_bytes().into())
}
