//! The JSON documents of an archive: which images it lists, and their configurations.
//!
//! Contract: `manifest.json` is believed first, as engines do; without it `index.json` and the
//! manifests below it. Documents are bounded, and their digest is checked where their name is one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::super::read_at::Section;
use super::super::{DiffId, Digest, ManifestDigest, Platform, ReadAt, Reference};
use super::index::Index;
use super::layers::{check_name, promised};
use super::{ArchiveError, Limits, ListedImage, oci};

const MANIFEST: &str = "manifest.json";

/// What a manifest says of an image.
#[derive(Default)]
pub(super) struct Named {
    pub(super) tags: Vec<Reference>,
    pub(super) manifests: Vec<ManifestDigest>,
    pub(super) layers: Vec<String>,
    pub(super) foreign: Vec<String>,
}

/// A JSON document and where it came from.
pub(super) struct Document {
    pub(super) entry: String,
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
}

impl Document {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, ArchiveError> {
        serde_json::from_slice(&self.bytes)
            .map_err(|source| ArchiveError::BadJson { entry: self.entry.clone(), source })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
    /// Layers that are to be had elsewhere, by DiffID.
    layer_sources: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Deserialize)]
struct RawConfig {
    os: String,
    architecture: String,
    variant: Option<String>,
    rootfs: RawRootFs,
}

#[derive(Deserialize)]
struct RawRootFs {
    diff_ids: Option<Vec<DiffId>>,
}

/// Reads documents by entry name.
pub(super) struct Documents<'a, R> {
    source: &'a R,
    index: &'a Index,
    limits: &'a Limits,
    /// Bytes read so far: what one small document names a thousand times is paid a thousand times.
    spent: Cell<u64>,
}

impl<'a, R: ReadAt> Documents<'a, R> {
    pub(super) fn new(source: &'a R, index: &'a Index, limits: &'a Limits) -> Self {
        let spent = Cell::new(0);
        Self { source, index, limits, spent }
    }

    /// Every image that the archive lists.
    pub(super) fn images(&self) -> Result<Vec<ListedImage>, ArchiveError> {
        if !self.contains(MANIFEST) {
            return oci::images(self);
        }
        let document = self.read(MANIFEST, MANIFEST)?;
        let listed: Vec<RawImage> = document.parse()?;
        if listed.is_empty() {
            return Err(ArchiveError::NoImages { entry: MANIFEST.to_owned() });
        }
        let mut images = listed.into_iter().map(|image| self.docker_image(image)).collect::<Result<Vec<_>, _>>()?;
        oci::add_digests(self, &mut images);
        Ok(images)
    }

    pub(super) fn contains(&self, entry: &str) -> bool {
        self.index.contains(entry)
    }

    /// Reads a bounded document whole.
    pub(super) fn read(&self, entry: &str, named_in: &str) -> Result<Document, ArchiveError> {
        let extent = self.index.find(entry, named_in)?;
        let (size, limit) = (extent.size, self.limits.json);
        let entry = entry.to_owned();
        if size > limit {
            return Err(ArchiveError::TooLarge { entry, size, limit });
        }
        self.spend(size)?;
        let mut bytes = Vec::new();
        Section::new(self.source, extent.offset, size)
            .read_to_end(&mut bytes)
            .map_err(|source| ArchiveError::Read { offset: extent.offset, source })?;
        let digest = Digest::of(&bytes);
        check_name(&entry, promised(&entry), digest)?;
        Ok(Document { entry, bytes, digest })
    }

    fn spend(&self, size: u64) -> Result<(), ArchiveError> {
        let limit = self.limits.documents;
        self.spent.set(self.spent.get().saturating_add(size));
        if self.spent.get() > limit {
            return Err(ArchiveError::TooManyDocuments { limit });
        }
        Ok(())
    }

    /// Puts together an image once its configuration's and layers' entries are known.
    pub(super) fn listed(&self, config: &str, named: Named, named_in: &str) -> Result<ListedImage, ArchiveError> {
        let config = self.read(config, named_in)?;
        let raw: RawConfig = config.parse()?;
        let diff_ids = raw.rootfs.diff_ids.unwrap_or_default();
        if diff_ids.len() != named.layers.len() {
            let (diff_ids, layers) = (diff_ids.len(), named.layers.len());
            return Err(ArchiveError::LayerCount { config: config.entry, diff_ids, layers });
        }
        let variant = raw.variant.filter(|variant| !variant.is_empty());
        Ok(ListedImage {
            tags: named.tags,
            manifests: named.manifests,
            config: config.digest.into(),
            config_json: config.bytes,
            platform: Platform { os: raw.os, architecture: raw.architecture, variant },
            diff_ids,
            layers: named.layers,
            foreign: named.foreign,
            named_in: named_in.to_owned(),
        })
    }

    fn docker_image(&self, raw: RawImage) -> Result<ListedImage, ArchiveError> {
        let tags = raw.repo_tags.unwrap_or_default();
        let tags = tags.iter().map(|tag| reference(tag, MANIFEST)).collect::<Result<_, _>>()?;
        let layers = raw.layers.unwrap_or_default();
        let named = Named { tags, layers, ..Named::default() };
        let mut image = self.listed(&raw.config, named, MANIFEST)?;
        let elsewhere = raw.layer_sources.unwrap_or_default();
        let pairs = image.layers.iter().zip(&image.diff_ids);
        let foreign = pairs.filter(|(_, diff_id)| elsewhere.contains_key(&diff_id.to_string()));
        image.foreign = foreign.map(|(entry, _)| entry.clone()).collect();
        // The classic form names configurations `<hex>.json`.
        let promised = raw.config.strip_suffix(".json").and_then(Digest::from_hex);
        check_name(&raw.config, promised, image.config.digest())?;
        Ok(image)
    }
}

/// Reads an image name that stands in this entry.
pub(super) fn reference(text: &str, entry: &str) -> Result<Reference, ArchiveError> {
    Reference::parse(text).map_err(|source| ArchiveError::BadReference { entry: entry.to_owned(), source })
}
