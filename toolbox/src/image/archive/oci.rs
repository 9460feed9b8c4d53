//! Images of a pure OCI layout: `index.json`, perhaps indexes below it, and manifests.
//!
//! Contract: one image for each platform whose blobs are in the archive (engines save an index with all its platforms
//! and the blobs of one). Attestations and artefacts that are no images are left out. Names come from containerd's
//! annotation, or from `ref.name` where that is a whole name.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::super::{Digest, ManifestDigest, ReadAt, Reference};
use super::documents::{Document, Documents, Named, reference};
use super::{ArchiveError, ListedImage};

const INDEX: &str = "index.json";
const NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const ATTESTATION: &str = "vnd.docker.reference.type";
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// An index in an index in an index is someone's joke.
const MAX_DEPTH: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Where a layer is to be had that may not be passed on.
    #[serde(default)]
    urls: Vec<String>,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
}

impl RawDescriptor {
    /// BuildKit's attestations stand among the platforms as `unknown/unknown`.
    fn is_image(&self) -> bool {
        let unknown = self.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
        !unknown && !self.annotations.contains_key(ATTESTATION)
    }
}

/// An index or a manifest: which of them, its keys tell better than media types do.
#[derive(Deserialize)]
struct RawManifest {
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Vec<RawDescriptor>,
}

/// A manifest, the names that it was met under, and the digests that it may be named by.
struct Met {
    manifest: Document,
    tags: Vec<Reference>,
    digests: Vec<ManifestDigest>,
    /// It is one of the platforms of an index.
    is_platform: bool,
}

/// Manifests in the order in which they were met, each once.
#[derive(Default)]
struct Found {
    manifests: Vec<Met>,
    positions: HashMap<Digest, usize>,
}

impl Found {
    fn add(&mut self, met: Met) {
        match self.positions.get(&met.manifest.digest) {
            Some(position) => {
                let known = &mut self.manifests[*position];
                known.tags.extend(met.tags);
                known.digests.extend(met.digests);
            }
            None => {
                self.positions.insert(met.manifest.digest, self.manifests.len());
                self.manifests.push(met);
            }
        }
    }
}

/// All images below `index.json`; those of one manifest are one image with all its names.
pub(super) fn images<R: ReadAt>(documents: &Documents<'_, R>) -> Result<Vec<ListedImage>, ArchiveError> {
    let (mut images, mut lacking) = (Vec::new(), None);
    for met in manifests(documents)? {
        let is_platform = met.is_platform;
        match image(documents, met) {
            Ok(image) => images.extend(image),
            // Of another platform an archive often has the manifest alone.
            Err(error @ ArchiveError::Missing { .. }) if is_platform => lacking = lacking.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    let nothing = || lacking.unwrap_or(ArchiveError::NoImages { entry: INDEX.to_owned() });
    if images.is_empty() { Err(nothing()) } else { Ok(images) }
}

/// Tells images that `manifest.json` lists the digests by which `index.json` does, as far as that can be read.
pub(super) fn add_digests<R: ReadAt>(documents: &Documents<'_, R>, images: &mut [ListedImage]) {
    let met = if documents.contains(INDEX) { manifests(documents).unwrap_or_default() } else { Vec::new() };
    for met in met {
        let config = met.manifest.parse::<RawManifest>().ok().and_then(|raw| raw.config);
        let config = config.and_then(|config| config.digest.parse::<Digest>().ok());
        let same = images.iter_mut().filter(|image| config == Some(image.config.digest()));
        same.for_each(|image| image.manifests.extend(&met.digests));
    }
}

fn manifests<R: ReadAt>(documents: &Documents<'_, R>) -> Result<Vec<Met>, ArchiveError> {
    let mut found = Found::default();
    let index = documents.read(INDEX, INDEX)?;
    collect(documents, &index, (&[], &[]), 0, &mut found)?;
    Ok(found.manifests)
}

/// Walks an index down to its manifests. What names an index holds for all below it.
fn collect<R: ReadAt>(
    documents: &Documents<'_, R>,
    index: &Document,
    (tags, digests): (&[Reference], &[ManifestDigest]),
    depth: usize,
    found: &mut Found,
) -> Result<(), ArchiveError> {
    let raw: RawManifest = index.parse()?;
    let children = raw.manifests.unwrap_or_default();
    for child in children.iter().filter(|child| child.is_image()) {
        let entry = blob(child, &index.entry)?;
        if depth > 0 && !documents.contains(&entry) {
            continue;
        }
        let manifest = documents.read(&entry, &index.entry)?;
        let own = names(child, &index.entry)?;
        let tags = if own.is_empty() { tags.to_vec() } else { own };
        let digests: Vec<_> = digests.iter().copied().chain([manifest.digest.into()]).collect();
        let is_index = manifest.parse::<RawManifest>()?.manifests.is_some();
        match is_index {
            true if depth < MAX_DEPTH => collect(documents, &manifest, (&tags, &digests), depth + 1, found)?,
            true => {}
            false => found.add(Met { manifest, tags, digests, is_platform: depth > 0 }),
        }
    }
    Ok(())
}

fn image<R: ReadAt>(documents: &Documents<'_, R>, met: Met) -> Result<Option<ListedImage>, ArchiveError> {
    let Met { manifest, tags, digests: manifests, is_platform } = met;
    let raw: RawManifest = manifest.parse()?;
    let is_image = |config: &RawDescriptor| CONFIG_TYPES.contains(&config.media_type.as_str());
    let Some(config) = raw.config.filter(is_image) else {
        return Ok(None);
    };
    let config = blob(&config, &manifest.entry)?;
    let (mut layers, mut foreign) = (Vec::new(), Vec::new());
    for layer in &raw.layers {
        let entry = blob(layer, &manifest.entry)?;
        let is_foreign = is_foreign(layer);
        if is_platform && !is_foreign && !documents.contains(&entry) {
            return Err(ArchiveError::Missing { entry, named_in: manifest.entry });
        }
        foreign.extend(is_foreign.then(|| entry.clone()));
        layers.push(entry);
    }
    let named = Named { tags, manifests, layers, foreign };
    documents.listed(&config, named, &manifest.entry).map(Some)
}

/// OCI image-spec, layer.md, Non-Distributable Layers; Docker's name for them is foreign.
fn is_foreign(layer: &RawDescriptor) -> bool {
    let kind = &layer.media_type;
    !layer.urls.is_empty() || kind.contains("nondistributable") || kind.contains(".foreign.")
}

fn names(descriptor: &RawDescriptor, entry: &str) -> Result<Vec<Reference>, ArchiveError> {
    let is_name = |name: &&String| name.contains([':', '/']);
    let annotations = &descriptor.annotations;
    let name = annotations.get(NAME).or_else(|| annotations.get(REF_NAME).filter(is_name));
    name.iter().map(|name| reference(name, entry)).collect()
}

fn blob(descriptor: &RawDescriptor, entry: &str) -> Result<String, ArchiveError> {
    let digest: Digest =
        descriptor.digest.parse().map_err(|source| ArchiveError::BadDigest { entry: entry.to_owned(), source })?;
    Ok(format!("blobs/sha256/{}", digest.hex()))
}
