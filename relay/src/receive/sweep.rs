//! Removing what nobody needs any more.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use toolbox_wire::Reply;

use super::fault::Fault;
use super::spool::{Kind, Spool, remove};

/// What is left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    bytes: u64,
    files: u64,
}

pub(super) fn reply(spool: &Spool, older: Duration) -> Result<Reply, Fault> {
    let Left { bytes, files } = sweep(spool, older)?;
    Ok(Reply::Swept { left: bytes, files })
}

/// Removes parts that nobody has written to for so long, and bases; none that a living receiver wants.
pub(crate) fn sweep(spool: &Spool, older: Duration) -> io::Result<Left> {
    let alone = spool.alone()?;
    let wanted = spool.wanted(&alone)?;
    spool.forget_the_dead(&alone)?;
    let files: Vec<_> = spool.files()?.into_iter().filter(|(_, kind, _)| !kind.is_mark()).collect();
    // A part and its map go together.
    let mut young = BTreeSet::new();
    for (id, _, path) in files.iter().filter(|(_, kind, _)| is_part(*kind)) {
        if is_younger(path, older)? {
            young.insert(*id);
        }
    }
    let mut left = Left::default();
    for (id, kind, path) in &files {
        let kept = wanted.contains(id) || (is_part(*kind) && young.contains(id));
        if kept {
            left.files += 1;
            left.bytes += bytes_of(path)?;
        } else {
            remove(path)?;
        }
    }
    Ok(left)
}

fn is_part(kind: Kind) -> bool {
    matches!(kind, Kind::Part | Kind::Map)
}

fn is_younger(path: &Path, older: Duration) -> io::Result<bool> {
    let age = SystemTime::now().duration_since(fs::metadata(path)?.modified()?);
    Ok(age.unwrap_or_default() < older)
}

/// What it takes of the disk: parts have holes.
fn bytes_of(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.blocks() * 512)
}
