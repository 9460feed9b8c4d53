//! Adding lines to a known_hosts file, which only `toolbox hosts trust --yes` does.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// Who may read a file that is made here: host keys are public.
const MODE: u32 = 0o644;

/// Adds lines at the end of a file, which is made where there is none; whoever reads it meanwhile sees the old or the
/// new text, and what stands in it stays byte for byte.
///
/// # Errors
/// Whatever keeps the file from being read or its directory from being written to; the file is as it was.
pub fn append(file: &Path, lines: &[String]) -> io::Result<()> {
    // The file that a link leads to is replaced, not the link.
    let (file, mut bytes, mode) = match fs::canonicalize(file) {
        Ok(file) => (file.clone(), fs::read(&file)?, fs::metadata(&file)?.permissions().mode() & 0o7777),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (file.to_owned(), Vec::new(), MODE),
        Err(error) => return Err(error),
    };
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    lines.iter().for_each(|line| bytes.extend_from_slice(format!("{line}\n").as_bytes()));
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = NamedTempFile::new_in(directory)?;
    new.write_all(&bytes)?;
    new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.persist(&file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_nothing_else_changes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        append(&file, &["a ssh-ed25519 A".into()]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a ssh-ed25519 A\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        fs::write(&file, b"# \xff odd\r\nlast").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        append(&link, &["b".into(), "c".into()]).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"# \xff odd\r\nlast\nb\nc\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_an_error_and_nothing_changes() {
        assert!(append(Path::new("/proc/self/known_hosts"), &["x".into()]).is_err());
    }
}
