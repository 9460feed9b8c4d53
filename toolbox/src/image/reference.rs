//! Names of images, read and normalised as Docker does (github.com/distribution/reference).
//!
//! Contract: what a person types (`clock-backend`) and what an engine stores
//! (`docker.io/library/clock-backend:latest`) are one value. Every rule of the grammar is checked here,
//! so that no engine has to. Deliberately absent: image IDs and their prefixes, digests other than
//! sha256.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{DigestError, ManifestDigest};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Begins a tag that stands for a digest, as registries' tools have it.
const PINNED: &str = "sha256-";
const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;

/// Why a text is not an image reference. Each names the whole text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("an image reference is empty")]
    Empty,
    /// 64 hex digits are an image ID to Docker, never a name.
    #[error("image reference {0:?} is an image ID, not a name")]
    ImageId(String),
    /// The part before the first slash is no host name with an optional port.
    #[error("image reference {reference:?}: {domain:?} is not a registry host with an optional port")]
    Domain {
        /// The whole text.
        reference: String,
        /// The part at fault.
        domain: String,
    },
    /// The repository has upper-case letters.
    #[error("image reference {reference:?}: repository {path:?} must be lower-case")]
    UpperCase {
        /// The whole text.
        reference: String,
        /// The part at fault.
        path: String,
    },
    /// The repository has a component that the grammar does not allow.
    #[error(
        "image reference {reference:?}: {component:?} is not a repository name \
         (a-z and 0-9, with single . or _ or __ or - between them)"
    )]
    Path {
        /// The whole text.
        reference: String,
        /// The part at fault.
        component: String,
    },
    /// The repository is longer than Docker allows.
    #[error("image reference {reference:?}: the repository is longer than {MAX_PATH} characters")]
    TooLong {
        /// The whole text.
        reference: String,
    },
    /// The tag breaks the grammar.
    #[error(
        "image reference {reference:?}: {tag:?} is not a tag \
         (letters, digits, _ . -, not beginning with . or -, at most {MAX_TAG})"
    )]
    Tag {
        /// The whole text.
        reference: String,
        /// The part at fault.
        tag: String,
    },
    /// The part after `@` is no sha256 digest.
    #[error("image reference {reference:?} has a malformed digest")]
    Digest {
        /// The whole text.
        reference: String,
        /// What is wrong with it.
        source: DigestError,
    },
}

/// A normalised image name: registry, repository, and a tag or a digest or both.
///
/// Displays as [`Reference::familiar`], serialises as [`Reference::full`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<ManifestDigest>,
}

impl Reference {
    /// Reads what a person or an engine wrote. No tag and no digest means `latest`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if super::Digest::from_hex(text).is_some() {
            return Err(ReferenceError::ImageId(text.to_owned()));
        }
        let (rest, digest) = split_digest(text)?;
        let (name, tag) = split_tag(text, rest)?;
        let (domain, path) = split_domain(name);
        check_domain(text, domain)?;
        check_path(text, &path)?;
        let tag = tag.or(digest.is_none().then_some(DEFAULT_TAG)).map(str::to_owned);
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }

    /// The registry, `docker.io` where none was given.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/clock-backend`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; `None` only where a digest stands alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest after `@`.
    pub fn digest(&self) -> Option<ManifestDigest> {
        self.digest
    }

    /// The tag under which an image that is named by its digest is kept: engines load images by tag alone.
    /// `clock@sha256:0123…` is kept as `clock:sha256-0123…`; a name without a digest as itself.
    pub fn kept_as(&self) -> Self {
        let tag = self.digest.map(|digest| format!("{PINNED}{}", digest.digest().hex()));
        tag.map_or_else(|| self.clone(), |tag| Self { tag: Some(tag), digest: None, ..self.clone() })
    }

    /// The name that [`Reference::kept_as`] came from.
    pub fn kept_for(&self) -> Self {
        let hex = self.tag.as_deref().and_then(|tag| tag.strip_prefix(PINNED));
        let digest = hex.and_then(super::Digest::from_hex).map(ManifestDigest::from);
        digest.map_or_else(|| self.clone(), |digest| Self { tag: None, digest: Some(digest), ..self.clone() })
    }

    /// What a person types and `docker image ls` shows: `clock-backend:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// Everything spelt out: `docker.io/library/clock-backend:latest`.
    pub fn full(&self) -> String {
        format!("{}/{}{}", self.domain, self.path, self.suffix())
    }

    fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return format!("{}/{}", self.domain, self.path);
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        tag.chain(self.digest.iter().map(|digest| format!("@{digest}"))).collect()
    }
}

fn split_digest(text: &str) -> Result<(&str, Option<ManifestDigest>), ReferenceError> {
    let Some((rest, digest)) = text.split_once('@') else {
        return Ok((text, None));
    };
    let digest = digest.parse().map_err(|source| ReferenceError::Digest { reference: text.to_owned(), source })?;
    Ok((rest, Some(digest)))
}

/// The tag follows the last colon, unless a slash follows that: then the colon belongs to a port.
fn split_tag<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<&'a str>), ReferenceError> {
    match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => {
            if !is_tag(tag) {
                let (reference, tag) = (text.to_owned(), tag.to_owned());
                return Err(ReferenceError::Tag { reference, tag });
            }
            Ok((name, Some(tag)))
        }
        _ => Ok((rest, None)),
    }
}

/// Docker's rule: the first component is a registry if it is `localhost`, has a dot, a colon or an
/// upper-case letter; else the whole is a repository on Docker Hub.
fn split_domain(name: &str) -> (&str, String) {
    let (domain, path) = match name.split_once('/') {
        Some((LEGACY_DOMAIN, path)) => (DEFAULT_DOMAIN, path),
        Some((domain, path)) if is_domain_like(domain) => (domain, path),
        _ => (DEFAULT_DOMAIN, name),
    };
    if domain == DEFAULT_DOMAIN && !path.contains('/') {
        return (domain, format!("{OFFICIAL}{path}"));
    }
    (domain, path.to_owned())
}

fn is_domain_like(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':']) || text.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_domain(reference: &str, domain: &str) -> Result<(), ReferenceError> {
    if is_domain(domain) {
        return Ok(());
    }
    let (reference, domain) = (reference.to_owned(), domain.to_owned());
    Err(ReferenceError::Domain { reference, domain })
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let port_is_right = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    port_is_right && is_host(host)
}

fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
    }
    let is_label = |label: &str| {
        let edges_are_right = !label.starts_with('-') && !label.ends_with('-');
        !label.is_empty() && edges_are_right && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(is_label)
}

fn check_path(reference: &str, path: &str) -> Result<(), ReferenceError> {
    let text = reference.to_owned();
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        let path = path.strip_prefix(OFFICIAL).unwrap_or(path).to_owned();
        return Err(ReferenceError::UpperCase { reference: text, path });
    }
    if let Some(component) = path.split('/').find(|component| !is_component(component)) {
        let component = component.to_owned();
        return Err(ReferenceError::Path { reference: text, component });
    }
    if path.len() > MAX_PATH {
        return Err(ReferenceError::TooLong { reference: text });
    }
    Ok(())
}

/// Alphanumeric runs with one separator between two of them: `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_alphanumeric = |b: char| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "." | "_" | "__") || (!text.is_empty() && text.bytes().all(|b| b == b'-'));
    let edges_are_right = component.starts_with(is_alphanumeric) && component.ends_with(is_alphanumeric);
    edges_are_right && component.split(is_alphanumeric).filter(|between| !between.is_empty()).all(is_separator)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.full()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

#[cfg(test)]
mod tests;
