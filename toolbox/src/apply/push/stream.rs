//! One tarball in one request: what every engine takes, over one channel.
//!
//! Contract: compressed in frames (zstd) or members (gzip) that stand alone, at the same time and once for all hosts;
//! the engine reads them as one. Nothing waits in memory but what is ahead of the line.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::engine::ArchiveStream;
use crate::image::{ArchivedLayer, Content, PartialArchive, ReadAt};

use super::progress::Progress;
use super::shipment::{Effort, Form, Part, Shipment, gzip, parts, zstd_frame};

/// The first API version (23.0) whose engines read zstd.
pub(super) const ZSTD: (usize, usize) = (1, 42);

/// A stretch of the tarball that is compressed as one.
enum Stretch {
    /// Heads, documents and padding.
    Bytes(Vec<u8>),
    /// Of a layer.
    Part(Part),
}

/// The tarball, compressed for an engine of this API version.
pub(super) fn stream<R: ReadAt + Send + Sync + 'static>(
    shipment: &Arc<Shipment<R>>,
    archive: &PartialArchive,
    api: (usize, usize),
    progress: Arc<Progress>,
) -> ArchiveStream {
    let form = if api >= ZSTD { Form::Zstd } else { Form::Gzip };
    let ahead = shipment.ahead();
    let shipment = Arc::clone(shipment);
    let packed = stream::iter(stretches(archive)).map(move |stretch| {
        let shipment = Arc::clone(&shipment);
        async move {
            match stretch {
                Stretch::Bytes(bytes) => Ok((small(&bytes, form)?, bytes.len() as u64, None)),
                Stretch::Part(part) => {
                    let bytes = shipment.pack(part, form, Effort::Quick).await?;
                    Ok((bytes, part.length, Some(part.layer)))
                }
            }
        }
    });
    let told = packed.buffered(ahead).map(move |packed: io::Result<(Bytes, u64, Option<ArchivedLayer>)>| {
        let (bytes, length, layer) = packed?;
        progress.advance(length, layer.as_ref());
        progress.went(bytes.len());
        Ok(bytes)
    });
    told.boxed()
}

fn small(bytes: &[u8], form: Form) -> io::Result<Bytes> {
    let packed = match form {
        Form::Gzip => gzip(bytes, 6),
        Form::Zstd => zstd_frame(bytes),
    };
    packed.map(Bytes::from)
}

/// The whole tarball; what is not of a layer is joined up to the next one.
fn stretches(archive: &PartialArchive) -> Vec<Stretch> {
    let (mut all, mut bytes) = (Vec::new(), Vec::new());
    for (_, content) in archive.parts() {
        match content {
            Content::Bytes(more) => bytes.extend(more),
            Content::Layer(layer) => {
                all.push(Stretch::Bytes(std::mem::take(&mut bytes)));
                all.extend(parts(&layer, 0, layer.size).map(Stretch::Part));
            }
        }
    }
    all.push(Stretch::Bytes(bytes));
    all
}
