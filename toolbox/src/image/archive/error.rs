//! Why an archive was refused, each with the entry and byte at fault.

use std::io;

use thiserror::Error;

use super::super::{Compression, Digest, DigestError, ReferenceError};

/// Why an archive was refused. Entries are named as in the archive.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// Our reading failed.
    #[error("reading the image archive failed at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The temporary file for compressed layers failed.
    #[error("unpacking layer {entry:?} to a temporary file failed")]
    Unpack {
        /// The layer's entry.
        entry: String,
        /// What the system said.
        source: io::Error,
    },
    /// No bytes at all.
    #[error("the image archive is empty")]
    Empty,
    /// It must be unpacked first: see `spool`.
    #[error("the image archive is compressed with {0}")]
    Compressed(Compression),
    /// Its first block is no tar header.
    #[error("the file is not a tar archive")]
    NotATar,
    /// A later block is no tar header.
    #[error("the image archive is damaged: no tar header at byte {offset}, after entry {after:?}")]
    Corrupt {
        /// Where a header was due.
        offset: u64,
        /// The last entry that was right.
        after: String,
    },
    /// It ends too early.
    #[error("the image archive is cut short at byte {length}, in or after entry {entry:?}")]
    CutShort {
        /// Its length.
        length: u64,
        /// The last entry that begins before the end.
        entry: String,
    },
    /// More entries than are allowed.
    #[error("the image archive has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: usize,
    },
    /// A name that no image archive needs.
    #[error("the image archive has an entry name longer than {limit} bytes at byte {offset}")]
    NameTooLong {
        /// Where its header is.
        offset: u64,
        /// The bound.
        limit: usize,
    },
    /// An absolute name, or one with `..`.
    #[error("entry {entry:?} of the image archive lies outside of it")]
    EntryOutside {
        /// The entry.
        entry: String,
    },
    /// A link with an absolute target, or one that leaves the archive.
    #[error("entry {entry:?} of the image archive links to {target:?}, outside of it")]
    LinkOutside {
        /// The entry.
        entry: String,
        /// The link's target.
        target: String,
    },
    /// Links that lead to each other.
    #[error("entry {entry:?} of the image archive is a link that leads to no file")]
    LinkLoop {
        /// The entry.
        entry: String,
    },
    /// A tar that holds no images.
    #[error("the tar archive has neither manifest.json nor index.json{}", export_note(*.looks_like_export))]
    NoManifest {
        /// Whether it holds a root file system.
        looks_like_export: bool,
    },
    /// The manifest lists nothing that we could use.
    #[error("{entry} of the image archive lists no image")]
    NoImages {
        /// `manifest.json` or `index.json`.
        entry: String,
    },
    /// A named entry is not there.
    #[error("entry {entry:?}, named in {named_in:?}, is missing from the image archive")]
    Missing {
        /// The entry.
        entry: String,
        /// Where it is named.
        named_in: String,
    },
    /// A layer that may not be passed on, and was not.
    #[error("layer {entry:?} is foreign (non-distributable): it is not in the image archive, only where it comes from")]
    Foreign {
        /// The layer's entry.
        entry: String,
    },
    /// A named entry is a directory, a device or the like.
    #[error("entry {entry:?} of the image archive is not a regular file")]
    NotAFile {
        /// The entry.
        entry: String,
    },
    /// A JSON document beyond the bound.
    #[error("entry {entry:?} of the image archive has {size} bytes, allowed are {limit}")]
    TooLarge {
        /// The entry.
        entry: String,
        /// Its length.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// JSON documents beyond the bound, in all.
    #[error("the JSON documents that the image archive names have more than {limit} bytes in all")]
    TooManyDocuments {
        /// The bound.
        limit: u64,
    },
    /// A JSON document that does not parse or lacks a key.
    #[error("entry {entry:?} of the image archive is not the JSON it should be")]
    BadJson {
        /// The entry.
        entry: String,
        /// Line, column and fault.
        source: serde_json::Error,
    },
    /// A descriptor's digest is none.
    #[error("entry {entry:?} of the image archive names a blob by a malformed digest")]
    BadDigest {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        source: DigestError,
    },
    /// A tag that is no image reference.
    #[error("entry {entry:?} of the image archive has a malformed image name")]
    BadReference {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// Content that is not what its name, or the image's configuration, says.
    #[error("entry {entry:?} of the image archive has digest {found}, expected {expected}")]
    DigestMismatch {
        /// The entry.
        entry: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// Manifest and configuration disagree.
    #[error("image configuration {config:?} names {diff_ids} layers, its manifest {layers}")]
    LayerCount {
        /// The configuration's entry.
        config: String,
        /// How many it names.
        diff_ids: usize,
        /// How many the manifest names.
        layers: usize,
    },
    /// A compressed layer that does not decode.
    #[error("layer {entry:?} of the image archive does not unpack")]
    BadLayer {
        /// The entry.
        entry: String,
        /// What the decoder said.
        source: io::Error,
    },
    /// A layer compressed in a way that is not decoded here.
    #[error("layer {entry:?} of the image archive is compressed with {compression}, which is not read here")]
    LayerCompression {
        /// The entry.
        entry: String,
        /// How it is compressed.
        compression: Compression,
    },
    /// A bomb.
    #[error("the compressed layers of the image archive unpack to more than {limit} bytes (at {entry:?})")]
    UnpacksTooLarge {
        /// The entry that crossed the bound.
        entry: String,
        /// The bound.
        limit: u64,
    },
}

fn export_note(looks_like_export: bool) -> &'static str {
    if looks_like_export { ": it holds a root file system, as `docker export` writes it" } else { "" }
}

impl ArchiveError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoManifest { .. } | Self::NoImages { .. } | Self::TooManyEntries { .. } => {
                Some("save images with: docker save -o FILE IMAGE… (not docker export)")
            }
            Self::NotATar => Some("give a file made by: docker save -o FILE IMAGE…"),
            Self::Compressed(_) => Some("decompress the file first"),
            Self::Foreign { .. } => {
                Some("pull the image on the host itself, or build it on a base whose layers may be copied")
            }
            Self::Unpack { .. } => Some("free space where the spool lies, or name another directory for it"),
            Self::Empty
            | Self::Corrupt { .. }
            | Self::CutShort { .. }
            | Self::Missing { .. }
            | Self::DigestMismatch { .. }
            | Self::BadLayer { .. } => Some("save or copy the images again, and compare sizes or checksums"),
            Self::EntryOutside { .. }
            | Self::LinkOutside { .. }
            | Self::LinkLoop { .. }
            | Self::TooManyDocuments { .. }
            | Self::UnpacksTooLarge { .. } => {
                Some("no engine writes such an archive: do not use it unless you know who made it")
            }
            _ => None,
        }
    }
}
