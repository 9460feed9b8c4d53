//! Which hosts a line is about: a list of patterns, or one hashed name.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use sha1::Sha1;

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
            Self::Patterns(patterns) => list_includes(patterns, host),
        }
    }
}

/// A negated pattern that matches rules the host out, wherever it stands in the list.
fn list_includes(patterns: &[String], host: &str) -> bool {
    let mut included = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if glob(negated, host) => return false,
            Some(_) => {}
            None => included |= glob(pattern, host),
        }
    }
    included
}

fn hash_of(salt: &[u8], host: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(host.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

/// Whether `text` matches `pattern`, in which `*` is any run of characters and `?` any one.
///
/// Walks both once and goes back to the last `*` on a mismatch, so that no pattern takes exponential
/// time.
pub(in crate::ssh) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|&c| c == '?' || c == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}
