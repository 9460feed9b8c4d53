//! Small tarballs as engines answer them (`GET /containers/{id}/archive`).

use std::io::{self, Read as _};

/// The content of a tarball's first regular file, at most `limit` bytes of it; `None` where there is none.
///
/// # Errors
/// What is wrong with the tarball.
pub fn first_file(tarball: &[u8], limit: u64) -> io::Result<Option<Vec<u8>>> {
    for entry in tar::Archive::new(tarball).entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.take(limit).read_to_end(&mut content)?;
            return Ok(Some(content));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::first_file;

    #[test]
    fn the_first_file_is_read_up_to_the_limit() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        builder.append_data(&mut header.clone(), "state/", &b""[..]).unwrap();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(5);
        builder.append_data(&mut header, "state/relay.json", &b"hello"[..]).unwrap();
        let tarball = builder.into_inner().unwrap();
        assert_eq!(first_file(&tarball, 100).unwrap().as_deref(), Some(&b"hello"[..]));
        assert_eq!(first_file(&tarball, 2).unwrap().as_deref(), Some(&b"he"[..]));
        assert_eq!(first_file(&[0; 1024], 100).unwrap(), None);
    }
}
