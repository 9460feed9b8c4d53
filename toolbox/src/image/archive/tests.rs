mod content;
mod hostile;
mod properties;

use serde_json::json;

use super::super::testing::{Sample, Tarball, classic, hex, layer, layout};
use super::super::{Compression, Digest};
use super::*;

pub(super) fn content(archive: &Archive<Vec<u8>>, layer: &ArchivedLayer) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive.layer(layer).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Everything that an archive must give back of these samples.
pub(super) fn assert_holds(archive: &Archive<Vec<u8>>, samples: &[Sample]) {
    assert_eq!(archive.images().len(), samples.len());
    for (image, sample) in archive.images().iter().zip(samples) {
        let tags: Vec<_> = image.tags.iter().map(Reference::familiar).collect();
        assert_eq!(tags, sample.tags);
        assert_eq!(image.config_json, sample.config());
        assert_eq!(image.config.digest(), Digest::of(&sample.config()));
        let layers: Vec<_> = image.layers.iter().map(|layer| content(archive, layer)).collect();
        assert!(layers == sample.layers);
        assert!(image.layers.iter().zip(&layers).all(|(a, b)| a.size == b.len() as u64));
    }
}

fn samples() -> Vec<Sample> {
    let mut samples = vec![
        Sample::new("clock-backend:latest", &["base", "libs", "binary"]),
        Sample::new("clock-frontend:latest", &["base", "libs", "nginx", "libs"]),
        Sample::new("ghcr.io/me/empty:1", &[]),
    ];
    samples[0].tags.push("clock-backend:1.0".to_owned());
    samples
}

#[test]
fn every_form_that_engines_write_gives_the_same_images() {
    let samples = samples();
    assert_holds(&Archive::open(classic(&samples)).unwrap(), &samples);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz] {
        for with_manifest in [true, false] {
            let archive = Archive::open(layout(&samples, compression, with_manifest)).unwrap();
            assert_holds(&archive, &samples);
        }
    }
}

#[test]
fn a_layer_named_before_its_link_target_is_found() {
    let bytes = classic(&samples());
    let names =
        tar::Archive::new(&bytes[..]).entries().unwrap().map(|e| e.unwrap().header().entry_type()).collect::<Vec<_>>();
    let first_link = names.iter().position(|kind| kind.is_symlink()).unwrap();
    assert!(names[first_link..].iter().any(|kind| kind.is_file()));
    assert!(Archive::open(bytes).is_ok());
}

#[test]
fn platform_comes_from_the_configuration() {
    let config = json!({ "os": "linux", "architecture": "arm", "variant": "v7", "rootfs": {} }).to_string();
    let name = format!("{}.json", hex(config.as_bytes()));
    let bytes = Tarball::new()
        .file(&name, &config)
        .json("./manifest.json", &json!([{ "Config": name, "RepoTags": null, "Layers": null }]))
        .finish();
    let archive = Archive::open(bytes).unwrap();
    let image = &archive.images()[0];
    assert_eq!(image.platform.to_string(), "linux/arm/v7");
    assert!(image.tags.is_empty() && image.layers.is_empty());
}

#[test]
fn images_are_found_by_any_of_their_names() {
    let archive = Archive::open(classic(&samples())).unwrap();
    let named = |name: &str| archive.named(&name.parse().unwrap()).count();
    assert_eq!(named("clock-backend"), 1);
    assert_eq!(named("docker.io/library/clock-backend:1.0"), 1);
    assert_eq!(named("clock-backend:2"), 0);
}

#[test]
fn each_shared_layer_is_hashed_once() {
    let samples = samples();
    let bytes = classic(&samples);
    let mut hashed = 0;
    Archive::open_with(bytes, &Options::default(), &mut |more| hashed += more).unwrap();
    let distinct: std::collections::BTreeSet<_> = samples.iter().flat_map(|s| &s.layers).collect();
    assert_eq!(hashed, distinct.iter().map(|layer| layer.len() as u64).sum::<u64>());
}

#[test]
fn pax_and_gnu_name_records_apply_to_the_next_entry() {
    let sample = Sample::new("long:1", &["base"]);
    let long = format!("{}/layer.tar", "x".repeat(120));
    let config = sample.config();
    for with_pax in [true, false] {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(sample.layers[0].len() as u64);
        header.set_cksum();
        if with_pax {
            builder.append_pax_extensions([("path", long.as_bytes()), ("comment", b"x")]).unwrap();
            header.set_path("other").unwrap();
            header.set_cksum();
            builder.append(&header, &sample.layers[0][..]).unwrap();
        } else {
            builder.append_data(&mut header, &long, &sample.layers[0][..]).unwrap();
        }
        let manifest = json!([{ "Config": "c", "RepoTags": ["long:1"], "Layers": [long] }]).to_string();
        for (name, bytes) in [("c", &config[..]), ("manifest.json", manifest.as_bytes())] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        let archive = Archive::open(builder.into_inner().unwrap()).unwrap();
        assert_holds(&archive, std::slice::from_ref(&sample));
    }
}

/// What containerd saves of an image built by BuildKit: an index with an attestation, and platforms
/// whose blobs are not there.
#[test]
fn indexes_give_the_platforms_that_are_there() {
    let sample = Sample::new("multi:1", &["base"]);
    let (config, base) = (sample.config(), layer("base"));
    let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
    let config_type = "application/vnd.oci.image.config.v1+json";
    let manifest = json!({ "config": { "mediaType": config_type, "digest": digest(&config) },
        "layers": [{ "digest": digest(&base) }] })
    .to_string();
    let artefact = json!({ "config": { "mediaType": "application/x", "digest": digest(&config) } }).to_string();
    let absent = digest(b"absent");
    let index = json!({ "manifests": [
        { "digest": digest(manifest.as_bytes()) }, { "digest": absent }, { "digest": digest(artefact.as_bytes()) },
        { "digest": absent, "annotations": { "vnd.docker.reference.type": "attestation-manifest" } },
    ] })
    .to_string();
    let top = json!({ "manifests": [{ "digest": digest(index.as_bytes()),
        "annotations": { "org.opencontainers.image.ref.name": "multi:1" } }] });
    let blobs = [&config, &base, manifest.as_bytes(), artefact.as_bytes(), index.as_bytes()];
    let tarball = blobs
        .iter()
        .fold(Tarball::new(), |tarball, bytes| tarball.file(&format!("blobs/sha256/{}", hex(bytes)), bytes));
    let archive = Archive::open(tarball.json("index.json", &top).finish()).unwrap();
    assert_holds(&archive, std::slice::from_ref(&sample));
}
