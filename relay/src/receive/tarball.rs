//! What may stand in the tarball for the engine: an OCI layout plus `manifest.json`, uncompressed layers, entries
//! sorted.

use toolbox_wire::tarball::{BLOBS, size};
use toolbox_wire::{DiffId, Entry};

use super::fault::Fault;
use super::store::MOST_SIZE;

const DOCUMENTS: [&str; 3] = ["index.json", "manifest.json", "oci-layout"];

/// Whether these entries make a tarball of this form and size.
pub(super) fn check(entries: &[Entry], size: u64) -> Result<(), Fault> {
    if let Some(entry) = entries.iter().find(|entry| !is_named_rightly(entry)) {
        return Err(Fault::protocol(format!("{:?} has no place in the tarball", entry.path())));
    }
    if !entries.is_sorted_by(|one, other| one.path() < other.path()) {
        return Err(Fault::protocol("the entries of the tarball are not in order"));
    }
    if entries.iter().any(|entry| entry.size() > MOST_SIZE) || self::size(entries.iter().map(Entry::size)) != size {
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
