//! One tarball in one request: what every engine takes, over one channel.
//!
//! Contract: compressed in frames (zstd) or members (gzip) that stand alone, at the same time and once for all hosts;
//! the engine reads them as one. Nothing waits in memory but what is ahead of the line.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use crate::engine::ArchiveStream;
use crate::image::{ArchivedLayer, Content, PartialArchive, ReadAt};

use super::effort::Gauge;
use super::frame::{gzip_member, zstd_frame};
use super::patch::Errand;
use super::progress::Progress;
use super::room::{Claim, Share};
use super::shipment::{Form, Part, Shipment, part_of, parts};

/// The first API version (23.0) whose engines read zstd.
pub(super) const ZSTD: (usize, usize) = (1, 42);

/// A stretch of the tarball that is compressed as one.
enum Stretch {
    /// Heads, documents and padding.
    Bytes(Vec<u8>),
    /// Of a layer.
    Part(Part),
}

/// A stretch that there is room for.
enum Ready {
    Bytes(Vec<u8>),
    Part(io::Result<Claim>, Part),
}

/// What became of a stretch, its length, and of which layer it is.
type Pressed = io::Result<(Bytes, u64, Option<ArchivedLayer>)>;

/// The tarball, compressed for an engine of this API version.
pub(super) fn stream<R: ReadAt + Send + Sync + 'static>(
    shipment: &Arc<Shipment<R>>,
    archive: &PartialArchive,
    api: (usize, usize),
    progress: Arc<Progress>,
) -> ArchiveStream {
    let part = part_of(archive.size(), false);
    let host = Arc::new(Host {
        shipment: Arc::clone(shipment),
        form: if api >= ZSTD { Form::Zstd } else { Form::Gzip },
        share: shipment.share(part),
        gauge: Gauge::default(),
        progress,
    });
    let (claiming, pressing) = (Arc::clone(&host), Arc::clone(&host));
    let ready = stream::iter(stretches(archive, part)).then(move |stretch| Arc::clone(&claiming).ready(stretch));
    let pressed = ready.map(move |ready| Arc::clone(&pressing).press(ready)).buffered(shipment.ahead()).boxed();
    measured(pressed, host)
}

/// One host's stream.
struct Host<R> {
    shipment: Arc<Shipment<R>>,
    form: Form,
    share: Share,
    gauge: Gauge,
    progress: Arc<Progress>,
}

impl<R: ReadAt + Send + Sync + 'static> Host<R> {
    async fn ready(self: Arc<Self>, stretch: Stretch) -> Ready {
        match stretch {
            Stretch::Bytes(bytes) => Ready::Bytes(bytes),
            Stretch::Part(part) => {
                Ready::Part(self.shipment.claim(&self.share, &Errand::of(part), self.form).await, part)
            }
        }
    }

    async fn press(self: Arc<Self>, ready: Ready) -> Pressed {
        match ready {
            Ready::Bytes(bytes) => Ok((small(&bytes, self.form)?, bytes.len() as u64, None)),
            Ready::Part(claim, part) => {
                let packed = self.shipment.fulfil(claim?, Errand::of(part), self.form, self.gauge.rate()).await?;
                let frame = packed.into_iter().next().map(|packed| packed.bytes);
                Ok((frame.unwrap_or_default(), part.length, Some(part.layer)))
            }
        }
    }
}

/// The line has taken what it was given last when it asks for more.
fn measured<R: ReadAt + Send + Sync + 'static>(
    pressed: BoxStream<'static, Pressed>,
    host: Arc<Host<R>>,
) -> ArchiveStream {
    let steps = stream::unfold((pressed, host, 0), |(mut pressed, host, last)| async move {
        host.gauge.took(last);
        let next = {
            let _waiting = host.gauge.waiting();
            pressed.next().await?
        };
        let told = next.map(|(bytes, length, layer)| {
            host.progress.advance(length, layer.as_ref());
            host.progress.went(bytes.len());
            bytes
        });
        let sent = told.as_ref().map_or(0, Bytes::len);
        Some((told, (pressed, host, sent)))
    });
    steps.boxed()
}

fn small(bytes: &[u8], form: Form) -> io::Result<Bytes> {
    match form {
        Form::Gzip => gzip_member(bytes),
        Form::Zstd => zstd_frame(bytes),
    }
}

/// The whole tarball, layers in parts of so many bytes at most; what is not of a layer is joined up to the next one.
fn stretches(archive: &PartialArchive, most: u64) -> Vec<Stretch> {
    let (mut all, mut bytes) = (Vec::new(), Vec::new());
    for (_, content) in archive.parts() {
        match content {
            Content::Bytes(more) => bytes.extend(more),
            Content::Layer(layer) => {
                all.push(Stretch::Bytes(std::mem::take(&mut bytes)));
                all.extend(parts(&layer, (0, layer.size), most).map(Stretch::Part));
            }
        }
    }
    all.push(Stretch::Bytes(bytes));
    all
}
