//! Archives for tests: honest ones in every form that engines write, and parts for hostile ones.

use std::io::Write;

use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{Compression, Digest};

/// A tar under construction whose names and links may be anything.
pub(super) struct Tarball(Builder<Vec<u8>>);

impl Tarball {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn entry(mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(super) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, name, "", content.as_ref())
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, b"")
    }

    pub(super) fn json(self, name: &str, document: &Value) -> Self {
        self.file(name, document.to_string())
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// An image to be put into an archive.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) tags: Vec<String>,
    pub(super) layers: Vec<Vec<u8>>,
}

impl Sample {
    /// An image whose layers hold one file each, with this content.
    pub(super) fn new(tag: &str, contents: &[&str]) -> Self {
        Self { tags: vec![tag.to_owned()], layers: contents.iter().map(|text| layer(text)).collect() }
    }

    pub(super) fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| Digest::of(layer)).collect();
        let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
        let config = json!({ "Labels": { "tags": self.tags.join(",") } });
        let config = json!({ "os": "linux", "architecture": "amd64", "config": config, "rootfs": rootfs });
        config.to_string().into_bytes()
    }
}

/// A layer with one file.
pub(super) fn layer(content: &str) -> Vec<u8> {
    Tarball::new().file("file", content).finish()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).hex()
}

pub(super) fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Compression::Xz => {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

/// The form of engine 20.10: folders with v1 IDs, a layer that comes again as a symlink that may stand
/// before its target, configurations in the middle, `manifest.json` last.
pub(super) fn classic(images: &[Sample]) -> Vec<u8> {
    let mut tarball = Tarball::new();
    let mut manifest = Vec::new();
    let all: Vec<&Vec<u8>> = images.iter().flat_map(|image| &image.layers).collect();
    let mut position = 0;
    for image in images {
        let mut names = Vec::new();
        for layer in &image.layers {
            let last = all.iter().rposition(|other| *other == layer).unwrap();
            let folder = |position: usize| format!("{:064x}", position + 0x1000);
            let name = format!("{}/layer.tar", folder(position));
            tarball = tarball.entry(EntryType::Directory, &format!("{}/", folder(position)), "", b"");
            tarball = if last == position {
                tarball.file(&name, layer)
            } else {
                tarball.symlink(&name, &format!("../{}/layer.tar", folder(last)))
            };
            names.push(name);
            position += 1;
        }
        let config = format!("{}.json", hex(&image.config()));
        tarball = tarball.file(&config, image.config());
        manifest.push(json!({ "Config": config, "RepoTags": image.tags, "Layers": names }));
    }
    tarball.json("manifest.json", &manifest.into()).finish()
}

/// An OCI layout, as engines from 26 on and containerd write it.
pub(super) fn layout(images: &[Sample], compression: Compression, with_manifest: bool) -> Vec<u8> {
    let mut blobs = std::collections::BTreeMap::new();
    let mut put = |bytes: Vec<u8>| {
        let hex = hex(&bytes);
        blobs.insert(hex.clone(), bytes);
        hex
    };
    let (mut index, mut manifest) = (Vec::new(), Vec::new());
    for image in images {
        let layers: Vec<_> = image.layers.iter().map(|layer| put(compress(compression, layer))).collect();
        let config = put(image.config());
        let descriptor = |hex: &String| json!({ "mediaType": "", "digest": format!("sha256:{hex}") });
        let oci = json!({
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{config}") },
            "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
        });
        let oci = put(oci.to_string().into_bytes());
        for tag in &image.tags {
            let names = json!({ "io.containerd.image.name": tag });
            index.push(json!({ "digest": format!("sha256:{oci}"), "annotations": names }));
        }
        let path = |hex: &String| format!("blobs/sha256/{hex}");
        let layers: Vec<_> = layers.iter().map(path).collect();
        manifest.push(json!({ "Config": path(&config), "RepoTags": image.tags, "Layers": layers }));
    }
    let blobs = blobs.iter().map(|(hex, bytes)| (format!("blobs/sha256/{hex}"), bytes));
    let tarball = blobs.fold(Tarball::new(), |tarball, (name, bytes)| tarball.file(&name, bytes));
    let tarball = tarball.json("index.json", &json!({ "schemaVersion": 2, "manifests": index }));
    let tarball = if with_manifest { tarball.json("manifest.json", &manifest.into()) } else { tarball };
    tarball.json("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" })).finish()
}

/// Writes the files of a tarball below a directory.
pub(super) fn unpack(tarball: &[u8], directory: &std::path::Path) {
    tar::Archive::new(tarball).unpack(directory).unwrap();
}
