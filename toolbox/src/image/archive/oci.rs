//! Images of a pure OCI layout: `index.json`, perhaps indexes below it, and manifests.
//!
//! Contract: one image for each platform whose manifest is in the archive (engines save an index with
//! all its platforms and the blobs of one). Attestations and artefacts that are no images are left out.
//! Names come from containerd's annotation, or from `ref.name` where that is a whole name.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::super::{Digest, ReadAt, Reference};
use super::ArchiveError;
use super::documents::{Document, Documents, ListedImage, reference};

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
}

/// An index or a manifest: which of them, its keys tell better than media types do.
#[derive(Deserialize)]
struct RawManifest {
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Vec<RawDescriptor>,
}

/// Manifests in the order in which they were met, each once with all names that it was met under.
#[derive(Default)]
struct Found {
    manifests: Vec<(Document, Vec<Reference>)>,
    positions: HashMap<Digest, usize>,
}

impl Found {
    fn add(&mut self, manifest: Document, tags: Vec<Reference>) {
        match self.positions.get(&manifest.digest) {
            Some(position) => self.manifests[*position].1.extend(tags),
            None => {
                self.positions.insert(manifest.digest, self.manifests.len());
                self.manifests.push((manifest, tags));
            }
        }
    }
}

/// All images below `index.json`; those of one manifest are one image with all its names.
pub(super) fn images<R: ReadAt>(documents: &Documents<'_, R>) -> Result<Vec<ListedImage>, ArchiveError> {
    let mut found = Found::default();
    let index = documents.read(INDEX, INDEX)?;
    collect(documents, &index, &[], 0, &mut found)?;
    let merged = found.manifests;
    let images = merged.into_iter().map(|(manifest, tags)| image(documents, &manifest, tags));
    let images: Vec<_> = images.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    if images.is_empty() { Err(ArchiveError::NoImages { entry: INDEX.to_owned() }) } else { Ok(images) }
}

/// Walks an index down to its manifests. A name on an index holds for all below it.
fn collect<R: ReadAt>(
    documents: &Documents<'_, R>,
    index: &Document,
    tags: &[Reference],
    depth: usize,
    found: &mut Found,
) -> Result<(), ArchiveError> {
    let raw: RawManifest = index.parse()?;
    let children = raw.manifests.unwrap_or_default();
    for child in children.iter().filter(|child| !child.annotations.contains_key(ATTESTATION)) {
        let entry = blob(child, &index.entry)?;
        if depth > 0 && !documents.contains(&entry) {
            continue;
        }
        let document = documents.read(&entry, &index.entry)?;
        let own = names(child, &index.entry)?;
        let tags = if own.is_empty() { tags.to_vec() } else { own };
        let is_index = document.parse::<RawManifest>()?.manifests.is_some();
        match is_index {
            true if depth < MAX_DEPTH => collect(documents, &document, &tags, depth + 1, found)?,
            true => {}
            false => found.add(document, tags),
        }
    }
    Ok(())
}

fn image<R: ReadAt>(
    documents: &Documents<'_, R>,
    manifest: &Document,
    tags: Vec<Reference>,
) -> Result<Option<ListedImage>, ArchiveError> {
    let raw: RawManifest = manifest.parse()?;
    let is_image = |config: &RawDescriptor| CONFIG_TYPES.contains(&config.media_type.as_str());
    let Some(config) = raw.config.filter(is_image) else {
        return Ok(None);
    };
    let config = blob(&config, &manifest.entry)?;
    let layers = raw.layers.iter().map(|layer| blob(layer, &manifest.entry));
    let layers = layers.collect::<Result<_, _>>()?;
    documents.listed(tags, &config, layers, &manifest.entry).map(Some)
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
