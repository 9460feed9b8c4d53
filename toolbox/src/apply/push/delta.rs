//! What a layer is made of, to be compared with one that the host has.

use std::io::{self, Read as _};
use std::sync::Arc;

use toolbox_wire::{Chunk, Chunker};

use crate::image::{Archive, ArchivedLayer, ReadAt};

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// The chunks of a layer.
pub(super) async fn chunks<R: ReadAt + Send + Sync + 'static>(
    archive: &Arc<Archive<R>>,
    layer: ArchivedLayer,
) -> io::Result<Vec<Chunk>> {
    let archive = Arc::clone(archive);
    let cutting = tokio::task::spawn_blocking(move || {
        let (mut chunker, mut buffer) = (Chunker::default(), vec![0; BUFFER]);
        let mut tar = archive.layer(&layer);
        loop {
            match tar.read(&mut buffer)? {
                0 => return Ok(chunker.finish()),
                read => chunker.feed(&buffer[..read]),
            }
        }
    });
    cutting.await.map_err(io::Error::other)?
}
