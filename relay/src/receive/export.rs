//! Finding layers in a saved image.
//!
//! Contract: takes what `GET /images/{name}/get` gives, as a stream: the form of engines before 25 and of podman
//! (`<id>/layer.tar`, `<DiffID>.tar`, repeated layers as links) and OCI's (`blobs/sha256/<digest>`, compressed
//! where a containerd store has them so). A layer is known by the digest of its unpacked bytes alone. What lies
//! behind the last one in the stream is not read. Nothing of the archive becomes a path here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _, Write as _};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use toolbox_wire::DiffId;

use super::fault::Fault;

/// Where a delta is not worth it any more, and where whatever unpacks without an end is stopped.
const MOST_LAYER: u64 = 8 << 30;
/// What is read at once.
const READ: usize = 256 * 1024;
/// The longest of the magic numbers.
const MAGIC: u64 = 4;
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// Writes each of these layers that the image has to a file that `create` gives, empty, and says so to `keep`.
pub(super) fn extract(
    tarball: impl Read,
    mut wanted: BTreeSet<DiffId>,
    create: &mut dyn FnMut() -> io::Result<File>,
    keep: &mut dyn FnMut(DiffId) -> io::Result<()>,
) -> Result<(), Fault> {
    let mut archive = tar::Archive::new(tarball);
    let mut out = create()?;
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = Name::of(&entry.path_bytes());
        let Some(layer) = candidate(&name, &wanted, entry).map_err(unreadable)? else { continue };
        match copy(layer, &mut out)? {
            Some(id) if wanted.remove(&id) => {
                keep(id)?;
                if wanted.is_empty() {
                    break;
                }
                out = create()?;
            }
            _ => {
                out.rewind()?;
                out.set_len(0)?;
            }
        }
    }
    Ok(())
}

/// What an entry's name says about its content.
enum Name {
    /// It cannot be a layer.
    Other,
    /// It can be any layer.
    Layer,
    /// It has this digest as it lies there: a layer, perhaps compressed, or a document.
    Digest(DiffId),
}

impl Name {
    fn of(path: &[u8]) -> Self {
        let path = str::from_utf8(path).unwrap_or_default();
        let path = path.strip_prefix("./").unwrap_or(path);
        if let Some(id) = path.strip_prefix("blobs/sha256/").and_then(DiffId::from_hex) {
            return Self::Digest(id);
        }
        match path.strip_suffix(".tar").map(DiffId::from_hex) {
            Some(Some(id)) => Self::Digest(id),
            Some(None) => Self::Layer,
            None => Self::Other,
        }
    }
}

/// The unpacked content, if it may be a layer that is wanted.
fn candidate<'a>(
    name: &Name,
    wanted: &BTreeSet<DiffId>,
    mut entry: impl Read + 'a,
) -> io::Result<Option<Box<dyn Read + 'a>>> {
    if matches!(name, Name::Other) {
        return Ok(None);
    }
    let mut magic = Vec::new();
    entry.by_ref().take(MAGIC).read_to_end(&mut magic)?;
    let (gzip, zstd) = (magic.starts_with(GZIP), magic.starts_with(ZSTD));
    let whole = Cursor::new(magic).chain(entry);
    Ok(match name {
        _ if gzip => Some(Box::new(MultiGzDecoder::new(whole))),
        _ if zstd => Some(Box::new(zstd::stream::read::Decoder::new(whole)?)),
        Name::Digest(id) if !wanted.contains(id) => None,
        _ => Some(Box::new(whole)),
    })
}

/// Copies a layer and says its digest; `None` if it cannot be unpacked, or is too large.
fn copy(layer: impl Read, out: &mut File) -> Result<Option<DiffId>, Fault> {
    let mut layer = layer.take(MOST_LAYER + 1);
    let mut hasher = Sha256::new();
    let mut bytes = vec![0; READ];
    loop {
        let length = match layer.read(&mut bytes) {
            Ok(0) if layer.limit() > 0 => return Ok(Some(DiffId(hasher.finalize().into()))),
            Ok(0) => return Ok(None),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(unreadable(error)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(None),
        };
        hasher.update(&bytes[..length]);
        out.write_all(&bytes[..length])?;
    }
}

fn unreadable(error: io::Error) -> Fault {
    Fault::engine(format!("the image that the engine saved cannot be read: {error}"))
}
