//! Sending images: what the host lacks, then proof that it arrived.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::engine::{ArchiveStream, Engine, EngineError};
use crate::image::{Archive, ArchivedImage, Expected, PartialArchive, ReadAt, Reference};

use super::event::{Events, What};
use super::source::find;

/// Bytes in one piece of the stream.
const PIECE: usize = 256 * 1024;
/// The first level that searches for matches in earnest: a tenth smaller than level 1, hardly larger than level 6.
const GZIP_LEVEL: u32 = 2;
/// Pieces that may wait for the line.
const QUEUE: usize = 8;

/// Why an image did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The tarball does not hold what the plan wants to send.
    #[error("image {reference} is not in the tarball")]
    NotInArchive {
        /// The image.
        reference: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl PushError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            _ => None,
        }
    }

    /// The engine is there and has room: that it lacks a layer may be the reason.
    pub fn may_lack_layers(&self) -> bool {
        let lost = matches!(self, Self::Engine(EngineError::Unreachable { .. }));
        !lost && !self.to_string().contains("no space left")
    }
}

/// Sends images of one archive in one tarball, without their lowest `held` layers, and checks what the engine made of
/// it; where that is not what was sent, sends everything once, if no layer was left out of the archive.
///
/// # Errors
/// [`PushError`].
pub async fn push<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    archive: &Arc<Archive<R>>,
    held: &BTreeMap<Reference, usize>,
    events: &Events,
) -> Result<(), PushError> {
    let partial = held.values().any(|h| *h > 0);
    let sent = send_and_check(engine, archive, held, events).await;
    match sent {
        Err(error) if partial && archive.is_whole() && error.may_lack_layers() => {
            events.send(What::Note(format!("sending everything: {error}")));
            let nothing_held = held.keys().map(|r| (r.clone(), 0)).collect();
            send_and_check(engine, archive, &nothing_held, events).await
        }
        sent => sent,
    }
}

async fn send_and_check<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    archive: &Arc<Archive<R>>,
    held: &BTreeMap<Reference, usize>,
    events: &Events,
) -> Result<(), PushError> {
    let partial = compose(archive, held)?;
    engine.load(stream(Arc::clone(archive), partial, events.clone())).await?;
    for reference in held.keys() {
        check(engine, image(archive, reference)?, reference).await?;
    }
    Ok(())
}

fn compose<R: ReadAt>(archive: &Archive<R>, held: &BTreeMap<Reference, usize>) -> Result<PartialArchive, PushError> {
    let mut images = Vec::new();
    for (reference, held) in held {
        let mut image = image(archive, reference)?.clone();
        image.tags = vec![reference.clone()];
        images.push((image, *held));
    }
    Ok(PartialArchive::plan(images.iter().map(|(image, held)| (image, *held))))
}

fn image<'a, R: ReadAt>(archive: &'a Archive<R>, reference: &Reference) -> Result<&'a ArchivedImage, PushError> {
    find(archive, reference).ok_or_else(|| PushError::NotInArchive { reference: reference.familiar() })
}

/// The engine's answer to a load proves nothing: ask it for the image.
async fn check<E: Engine>(engine: &E, image: &ArchivedImage, reference: &Reference) -> Result<(), PushError> {
    let not_loaded = |problem: String| EngineError::NotLoaded { reference: reference.familiar(), problem };
    let Some(facts) = engine.image_facts(&reference.familiar()).await? else {
        return Err(not_loaded("it is not there".into()).into());
    };
    Expected::of(image).check(&facts.id, &facts.layers).map_err(|e| not_loaded(e.to_string()))?;
    Ok(())
}

/// The archive as a stream, written by a thread that waits when the line is slow. Every engine takes it compressed with
/// gzip, and few lines are faster than this level.
fn stream<R: ReadAt + Send + Sync + 'static>(
    archive: Arc<Archive<R>>,
    partial: PartialArchive,
    events: Events,
) -> ArchiveStream {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(&archive, &partial, &sender, events) {
            // Nobody listens any more when the request was given up.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::unfold(receiver, |mut r| async move { r.recv().await.map(|piece| (piece, r)) }).boxed()
}

fn send<R: ReadAt>(
    archive: &Archive<R>,
    partial: &PartialArchive,
    sender: &mpsc::Sender<io::Result<Bytes>>,
    events: Events,
) -> io::Result<()> {
    let pieces = Pieces { sender, buffer: Vec::with_capacity(PIECE) };
    let packed = GzEncoder::new(pieces, Compression::new(GZIP_LEVEL));
    let mut counted = Counted { out: packed, done: 0, told: 0, total: partial.size(), events };
    partial.write_to(archive, &mut counted).map_err(io::Error::other)?;
    counted.out.finish()?.flush()
}

/// Counts what is written, and tells how far it is.
struct Counted<W> {
    out: W,
    done: u64,
    told: u64,
    total: u64,
    events: Events,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.done += written as u64;
        if self.done - self.told >= PIECE as u64 {
            self.tell();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tell();
        self.out.flush()
    }
}

impl<W> Counted<W> {
    fn tell(&mut self) {
        self.told = self.done;
        self.events.send(What::Progress(self.done, self.total));
    }
}

/// Collects small writes.
struct Pieces<'a> {
    sender: &'a mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
