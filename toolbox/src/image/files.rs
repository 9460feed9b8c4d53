//! Configs and secrets as a tarball that an engine unpacks (`PUT /containers/{id}/archive`).
//!
//! Contract: owner, group and mode of a file stand in its header, and every time is 0, so that equal files give equal
//! bytes. Absent on purpose: where it is unpacked, and reading such a tarball.

use tar::{EntryType, Header};

/// The directory that holds the files. Nobody may list it: who is given one of its files learns of no other.
const DIRECTORY: &str = "files/";
/// The user and group of the helper image, who may remove what no release refers to.
pub(super) const HELPER: u64 = 65532;

/// A file on its way to a host.
#[derive(Clone, Copy)]
pub struct StoredFile<'a> {
    /// Its name in the directory `files/`.
    pub name: &'a str,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Mode bits.
    pub mode: u32,
    /// What it holds.
    pub content: &'a [u8],
}

/// A tarball of these files, in a directory whose files can be removed by the helper image's user alone.
///
/// # Errors
/// A name that is no path of a tarball.
pub fn stored_files(files: &[StoredFile<'_>]) -> std::io::Result<Vec<u8>> {
    let mut tarball = tar::Builder::new(Vec::new());
    let mut directory = header(EntryType::Directory, (HELPER, HELPER), 0, 0o711);
    tarball.append_data(&mut directory, DIRECTORY, std::io::empty())?;
    for file in files {
        let owner = (file.uid.into(), file.gid.into());
        let mut header = header(EntryType::Regular, owner, file.content.len(), file.mode);
        tarball.append_data(&mut header, format!("{DIRECTORY}{}", file.name), file.content)?;
    }
    tarball.into_inner()
}

/// A header without a time, of what belongs to this user and group.
pub(super) fn header(kind: EntryType, (user, group): (u64, u64), size: usize, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_uid(user);
    header.set_gid(group);
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn owner_group_mode_and_content_stand_in_the_tarball() {
        let name = format!("{}-70-71-440", "ab".repeat(32));
        let file = StoredFile { name: &name, uid: 70, gid: 71, mode: 0o440, content: b"password" };
        let tarball = stored_files(&[file]).unwrap();
        assert_eq!(tarball, stored_files(&[file]).unwrap());
        let mut seen = Vec::new();
        for entry in tar::Archive::new(tarball.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            let owner = (header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap(), header.mtime().unwrap());
            seen.push((entry.path().unwrap().display().to_string(), owner, content));
        }
        let files = ("files/".to_owned(), (65532, 65532, 0o711, 0), String::new());
        let secret = (format!("files/{name}"), (70, 71, 0o440, 0), "password".to_owned());
        assert_eq!(seen, [files, secret]);
    }
}
