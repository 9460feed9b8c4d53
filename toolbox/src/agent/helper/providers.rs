//! Which libraries FIDO keys and tokens may name.
//!
//! Contract: a library is judged by its canonical path, as `realpath` gives it, against the list of `-P`; only what
//! passed is a [`Library`]. Lists are OpenSSH's pattern lists (`ssh_config(5)`, PATTERNS): commas between patterns, `*`
//! and `?`, a match behind `!` refuses whatever else matches, and a list of only such patterns matches nothing.
//!
//! Absent on purpose: who may ask. A client of a forwarded agent may load libraries only where
//! [`allow_remote_providers`](crate::agent::Settings::allow_remote_providers) says so; who knows the connection checks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::HelperError;

#[cfg(test)]
mod tests;

/// Longest pattern, in bytes: a list with a longer one matches nothing, as in OpenSSH.
const LONGEST_PATTERN: usize = 1022;

/// A library by its canonical path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Library(PathBuf);

impl Library {
    /// A library that may be loaded: `path` as a client sent it, `list` is the list of `-P`.
    ///
    /// # Errors
    /// It does not exist, or its canonical path is not on the list.
    pub(crate) fn allowed(path: &[u8], list: &str) -> Result<Self, HelperError> {
        let library = Self::named(path)?;
        match matches(library.bytes(), list) {
            true => Ok(library),
            false => Err(HelperError::NotAllowed { path: library.to_string(), list: list.to_owned() }),
        }
    }

    /// A library that is only named, to remove its keys.
    ///
    /// # Errors
    /// It does not exist.
    pub(crate) fn named(path: &[u8]) -> Result<Self, HelperError> {
        let path = Path::new(OsStr::from_bytes(path));
        let missing = |source| HelperError::NoLibrary { path: path.display().to_string(), source };
        path.canonicalize().map(Self).map_err(missing)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }
}

impl std::fmt::Display for Library {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(formatter)
    }
}

/// Who speaks to a FIDO device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FidoProvider {
    /// The helper itself, for devices on USB.
    Internal,
    /// A library of the person's.
    Library(Library),
}

impl FidoProvider {
    /// What the constraint `sk-provider@openssh.com` names: `internal`, in any case, or an allowed library.
    ///
    /// # Errors
    /// As [`Library::allowed`].
    pub(crate) fn allowed(name: &[u8], list: &str) -> Result<Self, HelperError> {
        match name.eq_ignore_ascii_case(b"internal") {
            true => Ok(Self::Internal),
            false => Library::allowed(name, list).map(Self::Library),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Internal => b"internal",
            Self::Library(library) => library.bytes(),
        }
    }
}

impl std::fmt::Display for FidoProvider {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Internal => formatter.write_str("internal"),
            Self::Library(library) => library.fmt(formatter),
        }
    }
}

/// Whether a pattern list matches.
pub(crate) fn matches(text: &[u8], list: &str) -> bool {
    let mut found = false;
    for pattern in list.split_terminator(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        if pattern.len() > LONGEST_PATTERN {
            return false;
        }
        if matches_one(text, pattern.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Goes back to the last star only: the time is bounded by both lengths multiplied, whatever the stars.
fn matches_one(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where the last star stands, and how much of the text it has eaten up to.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(place) {
            Some(b'*') => {
                star = Some((place, at));
                place += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[at] => (at, place) = (at + 1, place + 1),
            _ => {
                let Some((behind, eaten)) = star else { return false };
                star = Some((behind, eaten + 1));
                (at, place) = (eaten + 1, behind + 1);
            }
        }
    }
    pattern[place..].iter().all(|rest| *rest == b'*')
}
