//! Records of releases as tarballs that an engine unpacks and gives back (`PUT`, `GET /containers/{id}/archive`).
//!
//! Contract: a record is root's and nobody else's to read; its directory belongs to the helper image's user, who may
//! remove it and not read it. Whatever a host gives back as a tarball costs an error at most. Absent on purpose: what a
//! record says.

use std::io::{self, Read as _};

use tar::{Archive, Builder, EntryType};

use super::files::{HELPER, header};

const ROOT: u64 = 0;
/// More of one record is not read, bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// A tarball of one record: `releases/` and `releases/NAME` with this content.
///
/// # Errors
/// A name that is no path of a tarball.
pub fn record(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut tarball = Builder::new(Vec::new());
    let mut directory = header(EntryType::Directory, (HELPER, HELPER), 0, 0o700);
    tarball.append_data(&mut directory, "releases/", io::empty())?;
    let mut file = header(EntryType::Regular, (ROOT, ROOT), content.len(), 0o600);
    tarball.append_data(&mut file, format!("releases/{name}"), content)?;
    tarball.into_inner()
}

/// The last part of each file's name and its content.
///
/// # Errors
/// What is no tarball.
pub fn records(tarball: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in Archive::new(tarball).entries()? {
        let entry = entry?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let path = entry.path()?;
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let mut content = Vec::new();
        entry.take(MOST).read_to_end(&mut content)?;
        found.push((name, content));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_by_its_name() {
        let tarball = record("20261122-175437.json", b"{}").unwrap();
        assert_eq!(records(&tarball).unwrap(), [("20261122-175437.json".to_owned(), b"{}".to_vec())]);
        assert_eq!(records(&[]).unwrap(), []);
    }

    #[test]
    fn only_root_may_read_a_record() {
        let tarball = record("a", b"{}").unwrap();
        let mut seen = Vec::new();
        for entry in Archive::new(tarball.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            seen.push((header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap()));
        }
        assert_eq!(seen, [(65532, 65532, 0o700), (0, 0, 0o600)]);
    }

    #[test]
    fn what_is_no_tarball_is_an_error() {
        assert!(records(&[7; 1024]).is_err());
        let whole = record("a", &[7; 4096]).unwrap();
        assert!(records(&whole[..2048]).is_err(), "cut off in a file");
    }
}
