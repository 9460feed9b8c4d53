//! The JSON documents of the universal form.
//!
//! Contract: compact JSON with keys in a fixed order, since a manifest's digest is its image's ID on
//! containerd stores. Names are full (`docker.io/library/…`): podman would else prefix its own host.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::{ArchivedImage, Digest, Reference};
use super::blob;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

impl Descriptor {
    fn new(media_type: &'static str, digest: Digest, size: u64) -> Self {
        Self { media_type, digest, size, annotations: BTreeMap::new() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The OCI manifest of an image with all its layers, whether they are sent or not.
pub(super) fn manifest(image: &ArchivedImage) -> Vec<u8> {
    let layer = |layer: &super::ArchivedLayer| Descriptor::new(LAYER_TYPE, layer.diff_id.digest(), layer.size);
    json(&Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE,
        config: Descriptor::new(CONFIG_TYPE, image.config.digest(), image.config_json.len() as u64),
        layers: image.layers.iter().map(layer).collect(),
    })
}

/// `index.json`, `manifest.json` and `oci-layout`.
pub(super) fn top_level(images: &[&ArchivedImage]) -> [(&'static str, Vec<u8>); 3] {
    let manifests = images.iter().flat_map(|image| descriptors(image)).collect();
    let index = Index { schema_version: 2, media_type: INDEX_TYPE, manifests };
    let docker: Vec<_> = images.iter().map(|image| docker_image(image)).collect();
    let layout = BTreeMap::from([("imageLayoutVersion", "1.0.0")]);
    [("index.json", json(&index)), ("manifest.json", json(&docker)), ("oci-layout", json(&layout))]
}

/// One descriptor for each name, since annotations hold one.
fn descriptors(image: &ArchivedImage) -> Vec<Descriptor> {
    let manifest = manifest(image);
    let (digest, size) = (Digest::of(&manifest), manifest.len() as u64);
    let named = |(name, tag): (String, String)| {
        let mut descriptor = Descriptor::new(MANIFEST_TYPE, digest, size);
        descriptor.annotations = BTreeMap::from([(NAME, name), (REF_NAME, tag)]);
        descriptor
    };
    let named: Vec<_> = tagged(image).map(named).collect();
    if named.is_empty() { vec![Descriptor::new(MANIFEST_TYPE, digest, size)] } else { named }
}

fn docker_image(image: &ArchivedImage) -> DockerImage {
    let names: Vec<_> = tagged(image).map(|(name, _)| name).collect();
    DockerImage {
        config: blob(image.config.digest()),
        repo_tags: (!names.is_empty()).then_some(names),
        layers: image.layers.iter().map(|layer| blob(layer.diff_id.digest())).collect(),
    }
}

/// Full name and tag of each name. Engines give names by tag only: a digest in one is left out.
fn tagged(image: &ArchivedImage) -> impl Iterator<Item = (String, String)> {
    image.tags.iter().filter_map(|name: &Reference| {
        let tag = name.tag()?;
        Some((format!("{}/{}:{tag}", name.domain(), name.path()), tag.to_owned()))
    })
}

fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("structs of texts and numbers always serialise")
}
