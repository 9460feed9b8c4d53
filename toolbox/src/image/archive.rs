//! A saved image archive that lies on disk: indexed, verified, never extracted.
//!
//! Contract: it takes what `docker save` of any engine wrote (20.10's own form, OCI layout with or without
//! `manifest.json`), with several images and tags, layers compressed or not, and OCI layouts as directories. A
//! [`Listing`] has read the documents and no layer. [`Listing::verify`] reads the layers of the chosen images; then
//! the digest of each is the one that the image's configuration names, and compressed ones lie unpacked in a nameless
//! temporary file that goes with the value. Memory is bounded by [`Limits`], not by the archive. Reading layers later
//! needs only `&self`.
//!
//! Deliberately absent: compressed archives (see [`super::spool`]), choosing a platform, extraction.

mod documents;
mod error;
mod index;
mod layers;
mod listing;
mod names;
mod oci;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::read_at::Section;
use super::{ConfigDigest, DiffId, Platform, ReadAt, Reference};

pub use error::ArchiveError;
pub(super) use index::is_header_only;
pub use listing::{ListedImage, Listing};

/// Bounds on what an archive may cost us. The defaults fit any honest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries in the tar.
    pub entries: usize,
    /// Bytes of one JSON document (configuration, manifest, index).
    pub json: u64,
    /// Bytes of all JSON documents together, each counted as often as it is named.
    pub documents: u64,
    /// Bytes of all layers that arrive compressed, unpacked.
    pub unpacked: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 65_536, json: 4 << 20, documents: 16 << 20, unpacked: 64 << 30 }
    }
}

/// How to open an archive.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bounds.
    pub limits: Limits,
    /// Where compressed layers are unpacked to, in a file without a name. Mind that `/tmp` may be memory.
    pub spool_directory: PathBuf,
    /// Layers that nobody lacks: they are [`Location::LeftOut`].
    pub spare: BTreeSet<DiffId>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), spool_directory: std::env::temp_dir(), spare: BTreeSet::new() }
    }
}

/// Where the uncompressed bytes of a layer begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the archive itself.
    Archive {
        /// Bytes from its start.
        offset: u64,
    },
    /// In the temporary file of unpacked layers.
    Unpacked {
        /// Bytes from its start.
        offset: u64,
    },
    /// Nowhere: see [`Options::spare`].
    LeftOut,
}

/// One layer, verified where it is not left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedLayer {
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// The length of its uncompressed tar, bytes.
    pub size: u64,
    /// Where it lies.
    pub location: Location,
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedImage {
    /// Its names; none for an image that was saved by its ID.
    pub tags: Vec<Reference>,
    /// The digest of its configuration.
    pub config: ConfigDigest,
    /// Its configuration, byte for byte.
    pub config_json: Vec<u8>,
    /// What it runs on.
    pub platform: Platform,
    /// Its layers, from the bottom up.
    pub layers: Vec<ArchivedLayer>,
}

impl ArchivedImage {
    /// `RootFS.Layers`, from the bottom up.
    pub fn diff_ids(&self) -> Vec<DiffId> {
        self.layers.iter().map(|layer| layer.diff_id).collect()
    }
}

/// An opened archive.
#[derive(Debug)]
pub struct Archive<R> {
    source: Arc<R>,
    unpacked: Option<File>,
    images: Vec<ArchivedImage>,
}

impl<R: ReadAt> Archive<R> {
    /// Opens with default [`Options`].
    pub fn open(source: R) -> Result<Self, ArchiveError> {
        Self::open_with(source, &Options::default(), &mut |_| ())
    }

    /// Indexes and verifies. `on_bytes` is told how many bytes more of the archive have been hashed;
    /// their sum is at most the archive's length.
    pub fn open_with(source: R, options: &Options, on_bytes: &mut dyn FnMut(u64)) -> Result<Self, ArchiveError> {
        Listing::read(source, &options.limits)?.verify(&|image| Some(image.tags.clone()), options, on_bytes)
    }

    /// Layers that were made here, at their places in `source`; it lists no images.
    pub(super) fn of_layers(source: R) -> Self {
        Self { source: Arc::new(source), unpacked: None, images: Vec::new() }
    }

    /// The images, in the archive's order.
    pub fn images(&self) -> &[ArchivedImage] {
        &self.images
    }

    /// The images of this name: one for each platform in the archive.
    pub fn named(&self, name: &Reference) -> impl Iterator<Item = &ArchivedImage> {
        self.images.iter().filter(move |image| image.tags.contains(name))
    }

    /// No layer was left out.
    pub fn is_whole(&self) -> bool {
        self.images.iter().flat_map(|image| &image.layers).all(|layer| layer.location != Location::LeftOut)
    }

    /// A layer's uncompressed tar. The layer must be one of this archive's; one that was left out fails to be read.
    pub fn layer(&self, layer: &ArchivedLayer) -> Box<dyn Read + '_> {
        self.layer_range(layer, 0, layer.size)
    }

    /// So many bytes of a layer's uncompressed tar from `from` on; fewer where it ends before. The layer must be one of
    /// this archive's.
    pub fn layer_range(&self, layer: &ArchivedLayer, from: u64, length: u64) -> Box<dyn Read + '_> {
        let from = from.min(layer.size);
        let length = length.min(layer.size - from);
        match (layer.location, &self.unpacked) {
            (Location::Archive { offset }, _) => Box::new(Section::new(&*self.source, offset + from, length)),
            (Location::Unpacked { offset }, Some(file)) => Box::new(Section::new(file, offset + from, length)),
            (Location::Unpacked { .. } | Location::LeftOut, _) => Box::new(NotKept),
        }
    }
}

/// What a layer reads as that is not here.
struct NotKept;

impl Read for NotKept {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::NotFound, "the layer was left out, since no host lacked it"))
    }
}

#[cfg(test)]
mod tests;
