//! What is wrong with a socket's place, told by looking at the file system after a connection failed.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::UpstreamError;
use super::error::Owner;

/// The reason behind a connection that could not be made.
pub(super) fn why_not(path: &Path, error: io::Error) -> UpstreamError {
    let owned = path.to_owned();
    let seen = fs::metadata(path).ok();
    match (error.kind(), seen) {
        (io::ErrorKind::NotFound, _) => UpstreamError::Missing(owned),
        (io::ErrorKind::PermissionDenied, seen) => {
            denied(path, seen).unwrap_or(UpstreamError::System { path: owned, error })
        }
        (io::ErrorKind::ConnectionRefused, Some(seen)) if seen.is_dir() => {
            UpstreamError::NotASocket { path: owned, what: "a directory" }
        }
        (io::ErrorKind::ConnectionRefused, Some(seen)) if !seen.file_type().is_socket() => {
            UpstreamError::NotASocket { path: owned, what: "a file" }
        }
        (io::ErrorKind::ConnectionRefused, _) => UpstreamError::NobodyListens(owned),
        _ => UpstreamError::System { path: owned, error },
    }
}

/// The reason behind a connection that was ended at once.
pub(super) fn hung_up(path: &Path) -> UpstreamError {
    let owner = fs::metadata(path).ok().map(|seen| owner(path, &seen));
    UpstreamError::HungUp { path: path.to_owned(), owner, our_uid: our_uid() }
}

/// The socket that may not be written to; where it cannot be seen, the directory that keeps us out.
fn denied(path: &Path, seen: Option<Metadata>) -> Option<UpstreamError> {
    let error = |what, owner| UpstreamError::Denied { what, owner, our_uid: our_uid() };
    if let Some(seen) = seen {
        return Some(error("socket", owner(path, &seen)));
    }
    let directory = path.ancestors().skip(1).find_map(|above| Some((above, fs::metadata(above).ok()?)));
    directory.map(|(above, seen)| error("directory", owner(above, &seen)))
}

fn owner(path: &Path, seen: &Metadata) -> Owner {
    Owner { path: path.to_owned(), uid: seen.uid(), gid: seen.gid(), mode: seen.mode() & 0o7777 }
}

fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
