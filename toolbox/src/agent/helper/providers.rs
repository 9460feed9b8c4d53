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
use crate::agent::pattern;

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
        match is_internal(name) {
            true => Ok(Self::Internal),
            false => Library::allowed(name, list).map(Self::Library),
        }
    }

    /// What the agent's own person names: no list is asked.
    ///
    /// # Errors
    /// The library does not exist.
    pub(crate) fn trusted(name: &[u8]) -> Result<Self, HelperError> {
        match is_internal(name) {
            true => Ok(Self::Internal),
            false => Library::named(name).map(Self::Library),
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

/// Whether a provider's name stands for the helper itself, so that no library is loaded.
pub(crate) fn is_internal(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"internal")
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
        if pattern::matches(text, pattern.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}
