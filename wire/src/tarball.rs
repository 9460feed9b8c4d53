//! The form of the tarball for an engine, the one that every store takes: OCI layout plus `manifest.json`.
//!
//! Contract: ustar, owner root, times 0. The deployer counts on a receiver's tarball being its own, byte for byte, so
//! both take it from here.

use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// What the name of each blob begins with.
pub const BLOBS: &str = "blobs/sha256/";
/// The folders that come first.
pub const FOLDERS: [&str; 2] = ["blobs/", BLOBS];
/// Two blocks of zeros.
pub const END_MARK: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// The header of a regular file. Every name that is allowed is shorter than the field of 100 bytes.
///
/// # Panics
/// The name is longer.
pub fn file(path: &str, size: u64) -> Header {
    header(path, EntryType::Regular, 0o644, size)
}

/// The header of a folder.
///
/// # Panics
/// The name is longer than 100 bytes.
pub fn folder(path: &str) -> Header {
    header(path, EntryType::Directory, 0o755, 0)
}

fn header(path: &str, kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header
}

/// What follows a content of this size.
pub fn padding(size: u64) -> &'static [u8] {
    &END_MARK[..(size.next_multiple_of(BLOCK) - size) as usize]
}

/// The length of a tarball of files of these sizes, bytes.
pub fn size(files: impl Iterator<Item = u64>) -> u64 {
    let files: u64 = files.map(|size| BLOCK + size.next_multiple_of(BLOCK)).sum();
    BLOCK * FOLDERS.len() as u64 + files + END_MARK.len() as u64
}
