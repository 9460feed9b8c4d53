//! Sending images: what the host lacks, then proof that it arrived.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::engine::{ArchiveStream, Engine, EngineError};
use crate::image::{ArchivedImage, Expected, PartialArchive, Reference};

use super::event::{Events, What};
use super::source::{Spool, find};

/// Bytes in one piece of the stream.
const PIECE: usize = 256 * 1024;
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
}

/// Sends the images in one tarball, without their lowest `held` layers, and checks what the engine made of it; where
/// that is not what was sent, sends everything once.
///
/// # Errors
/// [`PushError`].
pub async fn push<E: Engine>(
    engine: &E,
    spool: &Arc<Spool>,
    held: &BTreeMap<Reference, usize>,
    events: &Events,
) -> Result<(), PushError> {
    let partial = held.values().any(|h| *h > 0);
    let sent = send_and_check(engine, spool, held, events).await;
    match sent {
        Err(PushError::Engine(EngineError::Unreachable { .. })) | Ok(()) => sent,
        Err(error) if partial && !error.to_string().contains("no space left") => {
            events.send(What::Note(format!("sending everything: {error}")));
            let nothing_held = held.keys().map(|r| (r.clone(), 0)).collect();
            send_and_check(engine, spool, &nothing_held, events).await
        }
        Err(error) => Err(error),
    }
}

async fn send_and_check<E: Engine>(
    engine: &E,
    spool: &Arc<Spool>,
    held: &BTreeMap<Reference, usize>,
    events: &Events,
) -> Result<(), PushError> {
    let archive = compose(spool, held)?;
    engine.load(stream(Arc::clone(spool), archive, events.clone())).await?;
    for reference in held.keys() {
        check(engine, spool, reference).await?;
    }
    Ok(())
}

fn compose(spool: &Spool, held: &BTreeMap<Reference, usize>) -> Result<PartialArchive, PushError> {
    let mut images = Vec::new();
    for (reference, held) in held {
        let mut image = image(spool, reference)?.clone();
        image.tags = vec![reference.clone()];
        images.push((image, *held));
    }
    Ok(PartialArchive::plan(images.iter().map(|(image, held)| (image, *held))))
}

fn image<'a>(spool: &'a Spool, reference: &Reference) -> Result<&'a ArchivedImage, PushError> {
    find(spool, reference).ok_or_else(|| PushError::NotInArchive { reference: reference.familiar() })
}

/// The engine's answer to a load proves nothing: ask it for the image.
async fn check<E: Engine>(engine: &E, spool: &Spool, reference: &Reference) -> Result<(), PushError> {
    let image = image(spool, reference)?;
    let not_loaded = |problem: String| EngineError::NotLoaded { reference: reference.familiar(), problem };
    let Some(facts) = engine.image_facts(&reference.familiar()).await? else {
        return Err(not_loaded("it is not there".into()).into());
    };
    Expected::of(image).check(&facts.id, &facts.layers).map_err(|e| not_loaded(e.to_string()))?;
    Ok(())
}

/// The archive as a stream, written by a thread that waits when the line is slow.
fn stream(spool: Arc<Spool>, archive: PartialArchive, events: Events) -> ArchiveStream {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
    tokio::task::spawn_blocking(move || {
        let total = archive.size();
        let mut out = Pieces { sender: &sender, buffer: Vec::with_capacity(PIECE), done: 0, total, events };
        if let Err(error) = archive.write_to(&spool, &mut out) {
            // Nobody listens any more when the request was given up.
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    stream::unfold(receiver, |mut r| async move { r.recv().await.map(|piece| (piece, r)) }).boxed()
}

/// Collects small writes, counts, and tells how far it is.
struct Pieces<'a> {
    sender: &'a mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    done: u64,
    total: u64,
    events: Events,
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
        self.done += piece.len() as u64;
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.events.send(What::Progress(self.done, self.total));
        Ok(())
    }
}
