//! Container images as data: digests, references, saved archives, and what of them a host lacks.
//!
//! Ring 0: pure, or over [`ReadAt`], `impl Read` and `impl Write`, synchronous. Whoever has tokio runs
//! these functions in a blocking thread.
//!
//! The way of the data: [`spool`] brings any stream onto disk uncompressed; [`Archive::open`] indexes
//! and verifies it, in whichever form it was saved; [`held_prefix`] says how many leading layers a host
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
mod partial;
mod read_at;
mod records;
mod reference;
mod spool;
#[cfg(test)]
mod testing;
mod verify;

pub use archive::{Archive, ArchiveError, ArchivedImage, ArchivedLayer, Limits, Location, Options, Platform};
pub use compression::Compression;
pub use digest::{ChainId, ConfigDigest, DiffId, Digest, DigestError, ManifestDigest};
pub use entries::first_file;
pub use files::{StoredFile, stored_files};
pub use helper::{HELPER_NAME, HELPER_PROGRAM, HelperError, HelperImage};
pub use layers::{chain_ids, held_chains, held_prefix};
pub use partial::{PartialArchive, PartialError};
pub use read_at::ReadAt;
pub use records::{record, records};
pub use reference::{Reference, ReferenceError};
pub use spool::{SpoolError, Spooled, spool};
pub use verify::{Expected, LoadMismatch};
