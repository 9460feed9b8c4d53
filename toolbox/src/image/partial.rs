//! Writing a saved archive of several images, without the layers that a host holds.
//!
//! Contract: one form for every engine and store: OCI layout plus `manifest.json`, uncompressed layers,
//! so that a layer's blob is named by its DiffId. Leading layers may be left out (an official ability
//! of `docker load`); the documents name them all the same. Equal input gives equal bytes: times are 0,
//! entries sorted, a layer that several images share is written once. The length is known beforehand.
//! [`PartialArchive::write_to`] borrows the archive shared, so that several hosts' parts are written at
//! once from one file. Deliberately absent: compressing the stream, deciding what a host holds.

mod documents;

use std::collections::BTreeMap;
use std::io::{self, Write};

use tar::Header;
use thiserror::Error;
use toolbox_wire::tarball::{self, BLOBS, END_MARK, FOLDERS};

use super::spool::{PumpError, pump};
use super::{Archive, ArchivedImage, ArchivedLayer, Digest, ManifestDigest, ReadAt};

/// Why a partial archive was not written whole.
#[derive(Debug, Error)]
pub enum PartialError {
    /// The archive's file failed or has changed since it was opened.
    #[error("reading layer {entry} from the image archive failed")]
    Read {
        /// The layer's entry in what is written.
        entry: String,
        /// What the system said.
        source: io::Error,
    },
    /// The receiver failed.
    #[error("writing {entry} of the image archive failed")]
    Write {
        /// The entry.
        entry: String,
        /// What the receiver said.
        source: io::Error,
    },
}

/// What an entry, or a part of the tarball, holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The uncompressed tar of this layer.
    Layer(ArchivedLayer),
}

impl Content {
    /// Its length, bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Layer(layer) => layer.size,
        }
    }
}

/// The plan of one archive: what it will hold, entry by entry.
pub struct PartialArchive {
    entries: BTreeMap<String, Content>,
}

impl PartialArchive {
    /// Plans an archive of these images, each without its lowest `omitted` layers (all, if it has
    /// fewer). A layer that another image needs is written all the same. An image that is listed twice
    /// is written once, with the names of both and the more layers.
    pub fn plan<'a>(images: impl IntoIterator<Item = (&'a ArchivedImage, usize)>) -> Self {
        let images = merge(images);
        let mut entries = BTreeMap::new();
        for (image, omitted) in &images {
            for layer in image.layers.iter().skip(*omitted) {
                entries.insert(blob(layer.diff_id.digest()), Content::Layer(*layer));
            }
            let manifest = documents::manifest(image);
            entries.insert(blob(Digest::of(&manifest)), Content::Bytes(manifest));
            entries.insert(blob(image.config.digest()), Content::Bytes(image.config_json.clone()));
        }
        let images: Vec<_> = images.iter().map(|(image, _)| image).collect();
        for (name, bytes) in documents::top_level(&images) {
            entries.insert(name.to_owned(), Content::Bytes(bytes));
        }
        Self { entries }
    }

    /// The digest of the manifest that is written for this image: its ID on containerd stores.
    pub fn manifest_digest(image: &ArchivedImage) -> ManifestDigest {
        Digest::of(&documents::manifest(image)).into()
    }

    /// The exact length of what [`PartialArchive::write_to`] writes, bytes.
    pub fn size(&self) -> u64 {
        tarball::size(self.entries.values().map(Content::size))
    }

    /// The layers that are written, each once.
    pub fn layers(&self) -> impl Iterator<Item = &ArchivedLayer> {
        self.entries.values().filter_map(|content| match content {
            Content::Layer(layer) => Some(layer),
            Content::Bytes(_) => None,
        })
    }

    /// The regular files of the tarball, in its order: name and content.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.entries.iter().map(|(name, content)| (name.as_str(), content))
    }

    /// What [`PartialArchive::write_to`] writes, part by part, each with the name of its entry: heads, documents and
    /// padding as bytes, layers to be read from the archive.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Content)> {
        let folders = FOLDERS.iter().map(|folder| (*folder, head(&tarball::folder(folder))));
        let entries = self.entries().flat_map(|(name, content)| {
            let before = head(&tarball::file(name, content.size()));
            let after = Content::Bytes(tarball::padding(content.size()).to_vec());
            [(name, before), (name, content.clone()), (name, after)]
        });
        folders.chain(entries).chain([("the end mark", Content::Bytes(END_MARK.to_vec()))])
    }

    /// Writes the archive; `archive` must be the one that the images came from. Flushes `out`.
    pub fn write_to<R: ReadAt>(&self, archive: &Archive<R>, out: &mut impl Write) -> Result<(), PartialError> {
        for (entry, part) in self.parts() {
            match part {
                Content::Bytes(bytes) => put(out, entry, &bytes)?,
                Content::Layer(layer) => copy(archive, entry, &layer, out)?,
            }
        }
        let failed = |source| PartialError::Write { entry: "the end mark".to_owned(), source };
        out.flush().map_err(failed)
    }
}

fn merge<'a>(images: impl IntoIterator<Item = (&'a ArchivedImage, usize)>) -> Vec<(ArchivedImage, usize)> {
    let mut merged = BTreeMap::new();
    for (image, omitted) in images {
        let entry = merged.entry(image.config).or_insert_with(|| (image.clone(), omitted));
        entry.1 = omitted.min(entry.1);
        entry.0.tags.extend(image.tags.iter().cloned());
        entry.0.tags.sort();
        entry.0.tags.dedup();
    }
    merged.into_values().collect()
}

fn blob(digest: Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

fn head(header: &Header) -> Content {
    Content::Bytes(header.as_bytes().to_vec())
}

fn put(out: &mut impl Write, entry: &str, bytes: &[u8]) -> Result<(), PartialError> {
    out.write_all(bytes).map_err(|source| PartialError::Write { entry: entry.to_owned(), source })
}

fn copy<R: ReadAt>(
    archive: &Archive<R>,
    entry: &str,
    layer: &ArchivedLayer,
    out: &mut impl Write,
) -> Result<(), PartialError> {
    let entry = entry.to_owned();
    match pump(archive.layer(layer), out, layer.size) {
        Ok(copied) if copied == layer.size => Ok(()),
        Ok(_) => Err(PartialError::Read { entry, source: io::ErrorKind::UnexpectedEof.into() }),
        Err(PumpError::Write { source, .. }) => Err(PartialError::Write { entry, source }),
        Err(PumpError::Read { source }) => Err(PartialError::Read { entry, source }),
        Err(PumpError::Limit | PumpError::Unsupported) => {
            Err(PartialError::Read { entry, source: io::ErrorKind::InvalidData.into() })
        }
    }
}

#[cfg(test)]
mod tests;
