//! A bundle: a part of an archive in one tar file, made where there is internet (`make.rs`).
//!
//! Contract: it is read in place and never unpacked. Every name is checked, every file must be whole, and what its
//! first entry, the [`Manifest`], lists must be there. It is not trusted: the host's own package manager checks the
//! archive's signature, and by it every file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::try_unfold;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::debian::is_safe_path;

use super::proxy::{Body, BodyError};

/// The server that a bundle is on, for whoever fetches through the proxy. No such name can exist (RFC 6761).
pub(super) const SERVER: &str = "bundle.toolbox.invalid";

/// The first entry.
pub(super) const MANIFEST: &str = "toolbox-bundle.json";

/// The form that this program writes and reads.
pub(super) const FORMAT: u32 = 1;

const MANIFEST_BYTES: u64 = 4 << 20;
const CHUNK: usize = 64 << 10;

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// Such as `bookworm`.
    pub release: String,
    /// Debian's name of it, such as `amd64`.
    pub architecture: String,
    /// Such as `Debian`.
    pub origin: String,
    /// The releases in it.
    pub(super) sources: Vec<Source>,
    /// The packages that it was made for, and what they need.
    pub(super) packages: Vec<String>,
    /// All files with their sizes in bytes.
    pub(super) files: BTreeMap<String, u64>,
}

/// A release of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    /// The archive's directory in the bundle.
    pub(super) directory: String,
    /// Such as `bookworm-security`.
    pub(super) suite: String,
    /// Such as `main`.
    pub(super) components: Vec<String>,
    /// The ending of the lists of packages: `xz`, `gz`, or nothing.
    pub(super) compression: String,
}

/// Why a file is not a bundle that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is something else, or broken.
    #[error("{} is not a whole bundle: {reason}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl BundleError {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { file, .. } => format!("ls -l {}", crate::ssh::quote(&file.display().to_string())),
            Self::Wrong { .. } => {
                "make it anew where there is internet: toolbox bundle --release bookworm --arch amd64".into()
            }
        }
    }
}

/// An open bundle.
#[derive(Debug)]
pub struct Bundle {
    file: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Where each file begins, and its length.
    places: HashMap<String, (u64, u64)>,
}

impl Bundle {
    /// Opens a bundle and looks at all of its names. Blocks.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn open(file: &Path) -> Result<Self, BundleError> {
        let unreadable = |source| BundleError::Unreadable { file: file.to_owned(), source };
        let opened = File::open(file).map_err(unreadable)?;
        let length = opened.metadata().map_err(unreadable)?.len();
        let wrong = |reason| BundleError::Wrong { file: file.to_owned(), reason };
        let (manifest, places) = read(opened, length).map_err(wrong)?;
        Ok(Self { file: file.to_owned(), manifest, places })
    }

    /// A file's length and its contents; `None` where the bundle does not have it, or cannot be read any more.
    pub(super) async fn open_file(&self, path: &str) -> Option<(u64, Body)> {
        let (begin, length) = *self.places.get(path)?;
        let mut file = tokio::fs::File::open(&self.file).await.ok()?;
        file.seek(SeekFrom::Start(begin)).await.ok()?;
        let chunks = try_unfold(file.take(length), |mut file| async move {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = file.read_buf(&mut chunk).await?;
            Ok::<_, BodyError>((read > 0).then(|| (Frame::data(Bytes::from(chunk)), file)))
        });
        Some((length, StreamBody::new(chunks).boxed_unsync()))
    }
}

type Read = (Manifest, HashMap<String, (u64, u64)>);

fn read(file: File, length: u64) -> Result<Read, String> {
    let mut archive = tar::Archive::new(file);
    let mut manifest = None;
    let mut places = HashMap::new();
    for entry in archive.entries_with_seek().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| e.to_string())?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| "a name that is not UTF-8")?;
        let (begin, size) = (entry.raw_file_position(), entry.size());
        if !entry.header().entry_type().is_file() || !is_safe_path(&name) {
            return Err(format!("{name:?} is no plain file below it"));
        }
        if begin.checked_add(size).is_none_or(|end| end > length) {
            return Err(format!("it ends within {name}"));
        }
        if manifest.is_none() {
            manifest = Some(read_manifest(&name, &mut entry)?);
        } else if places.insert(name.clone(), (begin, size)).is_some() {
            return Err(format!("{name} is in it twice"));
        }
    }
    let manifest = manifest.ok_or("it is empty")?;
    whole(&manifest, &places)?;
    Ok((manifest, places))
}

fn read_manifest(name: &str, entry: &mut tar::Entry<'_, File>) -> Result<Manifest, String> {
    if name != MANIFEST || entry.size() > MANIFEST_BYTES {
        return Err(format!("it does not begin with {MANIFEST}"));
    }
    let mut text = String::new();
    entry.read_to_string(&mut text).map_err(|e| e.to_string())?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|e| format!("{MANIFEST}: {e}"))?;
    if manifest.format != FORMAT {
        return Err(format!("it has form {}, this program reads form {FORMAT}", manifest.format));
    }
    let words = [&manifest.release, &manifest.architecture].into_iter();
    let of_sources = manifest
        .sources
        .iter()
        .flat_map(|source| [&source.directory, &source.suite].into_iter().chain(&source.components));
    if let Some(word) = words.chain(of_sources).find(|word| !is_safe_path(word)) {
        return Err(format!("{MANIFEST}: {word:?} is no name"));
    }
    Ok(manifest)
}

fn whole(manifest: &Manifest, places: &HashMap<String, (u64, u64)>) -> Result<(), String> {
    for (path, size) in &manifest.files {
        if places.get(path).map(|(_, length)| length) != Some(size) {
            return Err(format!("{path} is missing or has another size"));
        }
    }
    if manifest.sources.is_empty() { Err("it has no archive".into()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
