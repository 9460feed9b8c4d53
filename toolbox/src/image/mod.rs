//! Container images as data: digests, references, saved archives, and what of them a host lacks.
//!
//! Ring 0: pure, or over [`ReadAt`], `impl Read` and `impl Write`, synchronous. Whoever has tokio runs
//! these functions in a blocking thread.
//!
//! The way of the data: a tarball or an OCI layout ([`Layout`]) is read where it lies, and a stream is brought onto
//! disk uncompressed by [`spool`], through a [`Sifter`]; a [`Listing`] says what it holds, in whichever form it was saved, and
//! [`Listing::verify`] makes an [`Archive`] of the images that are wanted; [`held_prefix`] says how many leading layers a host
//! holds; [`PartialArchive`] writes the rest in the one form that every engine and store takes
//! (OCI layout plus `manifest.json`, uncompressed layers); [`Expected`] checks what the engine made of it.
//! [`HelperImage`] is an image that is made here instead of being saved.
//!
//! Deliberately absent: engines and their API, networks, compression for the wire, extraction. Nothing
//! in an archive ever becomes a path on this machine.

mod archive;
mod compression;
mod digest;
mod entries;
mod files;
mod helper;
mod layers;
mod layout;
mod partial;
mod platform;
mod read_at;
mod records;
mod reference;
mod sift;
mod spool;
mod stored;
#[cfg(test)]
mod testing;
mod verify;

pub use archive::{
    Archive, ArchiveError, ArchivedImage, ArchivedLayer, Limits, ListedImage, Listing, Location, Options,
};
pub use compression::Compression;
pub use digest::{ChainId, ConfigDigest, DiffId, Digest, DigestError, ManifestDigest};
pub use entries::first_file;
pub use files::{StoredFile, stored_files};
pub use helper::{HELPER_NAME, HELPER_PROGRAM, HelperError, HelperImage};
pub use layers::{chain_ids, held_chains, held_prefix};
pub use layout::{Layout, LayoutError};
pub use partial::{Content, PartialArchive, PartialError};
pub use platform::Platform;
pub use read_at::ReadAt;
pub use records::{record, records};
pub use reference::{Reference, ReferenceError};
pub use sift::{Arrivals, Arrived, Sifter};
pub use spool::{SpoolError, Spooled, spool};
pub use stored::Stored;
pub use verify::{Expected, LoadMismatch};
