//! The form of the tarball for the engine: the one that every store takes.
//!
//! Contract: OCI layout plus `manifest.json`, uncompressed layers, byte for byte what the deployer's own archive
//! writer makes (ustar, owner root, times 0, entries sorted).

use tar::{EntryType, Header};
use toolbox_wire::{DiffId, Entry};

use super::fault::Fault;
use super::store::MOST_SIZE;

const BLOCK: u64 = 512;
const BLOBS: &str = "blobs/sha256/";
const DOCUMENTS: [&str; 3] = ["index.json", "manifest.json", "oci-layout"];
/// The folders that come first.
pub(super) const FOLDERS: [&str; 2] = ["blobs/", BLOBS];
/// Two blocks of zeros.
pub(super) const END_MARK: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// Whether these entries make a tarball of this form and size.
pub(super) fn check(entries: &[Entry], size: u64) -> Result<(), Fault> {
    if let Some(entry) = entries.iter().find(|entry| !is_named_rightly(entry)) {
        return Err(Fault::protocol(format!("{:?} has no place in the tarball", entry.path())));
    }
    if !entries.is_sorted_by(|one, other| one.path() < other.path()) {
        return Err(Fault::protocol("the entries of the tarball are not in order"));
    }
    if entries.iter().any(|entry| entry.size() > MOST_SIZE) || self::size(entries) != size {
        return Err(Fault::protocol(format!("the entries do not make a tarball of {size} bytes")));
    }
    Ok(())
}

fn is_named_rightly(entry: &Entry) -> bool {
    let digest = entry.path().strip_prefix(BLOBS).and_then(DiffId::from_hex);
    match entry {
        Entry::Text { path, .. } => digest.is_some() || DOCUMENTS.contains(&path.as_str()),
        Entry::Layer { diff_id, .. } => digest == Some(*diff_id),
    }
}

fn size(entries: &[Entry]) -> u64 {
    let entry = |entry: &Entry| BLOCK + entry.size().next_multiple_of(BLOCK);
    BLOCK * FOLDERS.len() as u64 + entries.iter().map(entry).sum::<u64>() + END_MARK.len() as u64
}

/// The header of a regular file.
pub(super) fn file(path: &str, size: u64) -> Header {
    header(path, EntryType::Regular, 0o644, size)
}

/// The header of a folder.
pub(super) fn folder(path: &str) -> Header {
    header(path, EntryType::Directory, 0o755, 0)
}

fn header(path: &str, kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    // Every name that is allowed is shorter than the field of 100 bytes.
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
pub(super) fn padding(size: u64) -> &'static [u8] {
    &END_MARK[..(size.next_multiple_of(BLOCK) - size) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> Entry {
        Entry::Text { path: path.to_owned(), text: vec![b'x'; 3] }
    }

    #[test]
    fn only_what_belongs_into_an_image_has_a_place() {
        let (id, hex) = (DiffId([7; 32]), DiffId([7; 32]).hex());
        let blob = format!("blobs/sha256/{hex}");
        let layer = |path: &str, size| Entry::Layer { path: path.to_owned(), diff_id: id, size };
        let good = [layer(&blob, 513), text("index.json"), text("oci-layout")];
        let whole = 2 * 512 + (512 + 1024) + 2 * 1024 + 1024;
        assert_eq!(check(&good, whole), Ok(()));
        assert!(check(&good, whole - 512).is_err() && check(&good, u64::MAX).is_err());
        assert!(check(&[text("oci-layout"), text("index.json")], 4096).is_err());
        assert!(check(&[text("index.json"), text("index.json")], 4096).is_err());
        for path in ["../x", "/index.json", "blobs/sha256/../../x", "repositories", "blobs/sha256/", "", &blob[..76]] {
            assert!(check(&[text(path)], 3072).is_err(), "{path}");
            assert!(check(&[layer(path, 3)], 3072).is_err(), "{path}");
        }
        let other = format!("blobs/sha256/{}", DiffId([8; 32]).hex());
        assert!(check(&[layer(&other, 3)], 3072).is_err());
        assert!(check(&[layer(&blob, u64::MAX)], 3072).is_err());
    }
}
