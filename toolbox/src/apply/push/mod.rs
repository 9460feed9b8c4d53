//! Sending images: what the host lacks, then proof that it arrived.

mod choice;
mod delta;
mod lanes;
mod patch;
mod progress;
mod proof;
mod receiver;
mod session;
mod shipment;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use toolbox_wire::ErrorKind;

use crate::engine::{Engine, EngineError, ExecStream};
use crate::image::{ArchivedImage, DiffId, PartialArchive, ReadAt, Reference};
use crate::plan::human_bytes;
use crate::state::ObservedImage;

use super::event::{Events, What};
use super::ours::Ours;
use super::source::{SourceError, find};

use choice::{Candidate, Situation};
use progress::Progress;
use proof::{check_all, without_halves};
use receiver::{Delivered, Delivery, Receiver};
use session::Broken;
pub use shipment::Shipment;

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
    /// What was left out could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The engine refused what a receiver gave it.
    #[error("loading images: {text}")]
    Load {
        /// Its words.
        text: String,
    },
    /// The host's disk is full.
    #[error("keeping what has arrived on the host: {text}")]
    NoSpace {
        /// The receiver's words.
        text: String,
    },
    /// The connection, the engine or the receiver went away in the middle.
    #[error("sending images was cut: {reason}")]
    Cut {
        /// What is known of it.
        reason: String,
    },
}

impl PushError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Load { text } | Self::NoSpace { text } if text.contains("no space left") => {
                Some("make room on the host (docker image prune, docker system df) and run it again".into())
            }
            Self::NoSpace { .. } => Some("make room on the host (docker system df) and run it again".into()),
            Self::Cut { .. } => Some("run it again: it goes on from what has arrived".into()),
            _ => None,
        }
    }

    /// Something was loaded, or might have been, and the engine can be asked about it.
    fn engine_answered(&self) -> bool {
        match self {
            Self::Engine(error) => !matches!(error, EngineError::Unreachable { .. }),
            Self::Load { .. } | Self::NoSpace { .. } => true,
            Self::NotInArchive { .. } | Self::Source(_) | Self::Cut { .. } => false,
        }
    }

    /// The engine was reached, had room, and did not make of it what was sent: that it lacks a layer may be the reason.
    pub fn may_lack_layers(&self) -> bool {
        match self {
            Self::Engine(EngineError::Unreachable { .. })
            | Self::NotInArchive { .. }
            | Self::Source(_)
            | Self::NoSpace { .. }
            | Self::Cut { .. } => false,
            Self::Engine(_) | Self::Load { .. } => !self.to_string().contains("no space left"),
        }
    }
}

/// What of a host a push needs beside its engine.
pub trait Route: Send + Sync {
    /// The engine's socket on the host; `None` where a container cannot be given it.
    fn socket(&self) -> impl Future<Output = Option<Socket>> + Send;
    /// Begins a command in a container, over the connection with this number, from 0, which is opened where it is not
    /// yet.
    fn exec(
        &self,
        line: usize,
        container: &str,
        command: &[String],
    ) -> impl Future<Output = Result<ExecStream, EngineError>> + Send;
}

/// An engine's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Its path on the host.
    pub path: String,
    /// The number of the group that may open it.
    pub group: u32,
}

/// Images for one host.
pub struct Push<'a, R> {
    /// Where they come from.
    pub shipment: &'a Arc<Shipment<R>>,
    /// The images, with how many of their lowest layers the host holds.
    pub held: &'a BTreeMap<Reference, usize>,
    /// The helper image, which is sent too where the host lacks it; without it there is only the plain way.
    pub helper: Option<(&'a Reference, &'a Arc<Shipment<R>>)>,
    /// What the host holds, as far as it is known.
    pub images: &'a [ObservedImage],
    /// Where it is noted what a containerd store holds of us.
    pub ours: &'a Ours,
}

/// Sends images of one archive, and checks what the engine made of them; where that is not what was sent, sends
/// everything once, if no layer was left out of the archive.
///
/// # Errors
/// [`PushError`].
pub async fn push<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    route: &impl Route,
    push: &Push<'_, R>,
    events: &Events,
) -> Result<(), PushError> {
    let partial = push.held.values().any(|h| *h > 0);
    let sent = without_halves(engine, push, send_and_check(engine, route, push, events)).await;
    match sent {
        Err(error) if partial && push.shipment.archive().is_whole() && error.may_lack_layers() => {
            events.send(What::Note(format!("sending everything: {error}")));
            let held = push.held.keys().map(|r| (r.clone(), 0)).collect();
            let archive = compose(push.shipment, &held)?;
            without_halves(engine, push, stream_and_check(engine, push, &archive, events)).await?;
            // What a receiver was to load in part.
            receiver::forget_spool(engine).await;
            Ok(())
        }
        sent => sent,
    }
}

async fn send_and_check<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    route: &impl Route,
    push: &Push<'_, R>,
    events: &Events,
) -> Result<(), PushError> {
    let archive = compose(push.shipment, push.held)?;
    let bytes = archive.layers().map(|layer| layer.size).sum();
    if let Some(helper) = push.helper.filter(|_| bytes > 0) {
        let candidates = candidates(push)?;
        let situation = Situation {
            bytes,
            round_trip: engine.round_trip().await?,
            spool: engine.mountpoint(receiver::SPOOL).await.is_ok(),
            delta: !candidates.is_empty(),
        };
        if situation.wants_receiver()
            && let Some(socket) = route.socket().await
        {
            let way = Receiving { engine, route, push, helper, events, archive: &archive };
            if way.deliver(situation, socket, &candidates).await? {
                return check_all(engine, push).await;
            }
        }
    }
    stream_and_check(engine, push, &archive, events).await
}

/// Layers that may be made out of others.
fn candidates<R: ReadAt + Send + Sync + 'static>(push: &Push<'_, R>) -> Result<Vec<Candidate>, PushError> {
    let mut all: Vec<Candidate> = Vec::new();
    for (reference, held) in push.held {
        let found = choice::candidates(reference, image(push.shipment, reference)?, *held, push.images);
        all.extend(found);
    }
    Ok(all)
}

async fn stream_and_check<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    push: &Push<'_, R>,
    archive: &PartialArchive,
    events: &Events,
) -> Result<(), PushError> {
    let progress = Arc::new(Progress::new(archive, archive.size(), events.clone()));
    let stream = stream::stream(push.shipment, archive, engine.api_version(), Arc::clone(&progress));
    engine.load(stream).await?;
    check_all(engine, push).await?;
    if push.helper.is_some() {
        events.send(What::Note(format!("{} sent", human_bytes(progress.sent()))));
    }
    Ok(())
}

/// The way through a receiver.
struct Receiving<'a, E, W, R> {
    engine: &'a E,
    route: &'a W,
    push: &'a Push<'a, R>,
    helper: (&'a Reference, &'a Arc<Shipment<R>>),
    events: &'a Events,
    archive: &'a PartialArchive,
}

impl<E: Engine, W: Route, R: ReadAt + Send + Sync + 'static> Receiving<'_, E, W, R> {
    /// False, said in a note, where the host does not let a receiver work.
    async fn deliver(&self, situation: Situation, socket: Socket, candidates: &[Candidate]) -> Result<bool, PushError> {
        self.send_helper().await?;
        let started = Receiver::start(self.engine, self.route, &self.helper.0.full(), socket).await;
        let receiver = match started {
            Ok(receiver) => receiver,
            Err(error @ EngineError::Unreachable { .. }) => return Err(error.into()),
            Err(error) => {
                receiver::forget_spool(self.engine).await;
                return Ok(self.without(&error));
            }
        };
        let delivered = self.attempts(&receiver, situation, candidates).await;
        if delivered.is_err() {
            receiver.remove().await;
        }
        let done = self.judge(delivered)?;
        if !done {
            receiver::forget_spool(self.engine).await;
        }
        Ok(done)
    }

    async fn attempts(
        &self,
        receiver: &Receiver<'_, E, W>,
        situation: Situation,
        candidates: &[Candidate],
    ) -> Result<Delivered, Broken> {
        let progress = Progress::new(self.archive, situation.bytes, self.events.clone());
        let attempt = |candidates| self.attempt(receiver, situation, candidates, &progress);
        let first = match attempt(candidates).await {
            // What a patch refers to is not what it should be, or has gone.
            Err(Broken::Refused { kind: ErrorKind::Chunk | ErrorKind::Base, .. }) if !candidates.is_empty() => {
                attempt(&[]).await
            }
            attempted => attempted,
        };
        match first {
            // What was made on the host, or kept from an earlier push, was not what it should have been; it is forgotten
            // now. Or another push has loaded it.
            Err(Broken::Refused { kind: ErrorKind::Digest | ErrorKind::Missing, .. }) => attempt(&[]).await,
            attempted => attempted,
        }
    }

    async fn attempt(
        &self,
        receiver: &Receiver<'_, E, W>,
        situation: Situation,
        candidates: &[Candidate],
        progress: &Progress,
    ) -> Result<Delivered, Broken> {
        progress.begin();
        let (shipment, archive, lanes) =
            (self.push.shipment, self.archive, situation.lanes(self.push.shipment.hosts()));
        let delivery = Delivery { shipment, archive, candidates, lanes, progress };
        receiver.deliver(&delivery).await
    }

    /// The helper image goes the plain way.
    async fn send_helper(&self) -> Result<(), PushError> {
        let (reference, shipment) = self.helper;
        if self.engine.image_facts(&reference.familiar()).await?.is_some() {
            return Ok(());
        }
        let held = BTreeMap::from([(reference.clone(), 0)]);
        let push = Push { shipment, held: &held, helper: None, images: &[], ours: self.push.ours };
        let archive = compose(shipment, &held)?;
        stream_and_check(self.engine, &push, &archive, self.events).await
    }

    fn judge(&self, delivered: Result<Delivered, Broken>) -> Result<bool, PushError> {
        match delivered {
            Ok(delivered) => {
                self.tell(delivered);
                Ok(true)
            }
            Err(Broken::Refused { kind: ErrorKind::Space, text, .. }) => Err(PushError::NoSpace { text }),
            Err(Broken::Refused { kind: ErrorKind::Engine, text, .. }) => Err(PushError::Load { text }),
            Err(refused @ Broken::Refused { .. }) => Ok(self.without(&refused)),
            Err(cut @ (Broken::Ended(_) | Broken::Read(_))) => Err(PushError::Cut { reason: cut.to_string() }),
        }
    }

    fn without(&self, why: &dyn std::error::Error) -> bool {
        self.events.send(What::Note(format!("no receiver on this host, so images go in one stream: {why}")));
        false
    }

    fn tell(&self, Delivered { sent, resumed, made }: Delivered) {
        let mut words = vec![format!("{} sent", human_bytes(sent))];
        if resumed > 0 {
            words.push(format!("{} kept from an earlier push", human_bytes(resumed)));
        }
        if made > 0 {
            words.push(format!("{} made out of the image before", human_bytes(made)));
        }
        self.events.send(What::Note(words.join(", ")));
    }
}

/// The name of a layer in what is said to a receiver.
fn wire_id(layer: DiffId) -> toolbox_wire::DiffId {
    toolbox_wire::DiffId(layer.digest().bytes())
}

fn compose<R: ReadAt + Send + Sync + 'static>(
    shipment: &Shipment<R>,
    held: &BTreeMap<Reference, usize>,
) -> Result<PartialArchive, PushError> {
    let mut images = Vec::new();
    for (reference, held) in held {
        let mut image = image(shipment, reference)?.clone();
        image.tags = vec![reference.clone()];
        images.push((image, *held));
    }
    Ok(PartialArchive::plan(images.iter().map(|(image, held)| (image, *held))))
}

fn image<'a, R: ReadAt + Send + Sync + 'static>(
    shipment: &'a Shipment<R>,
    reference: &Reference,
) -> Result<&'a ArchivedImage, PushError> {
    let found = find(shipment.archive(), reference);
    found.ok_or_else(|| PushError::NotInArchive { reference: reference.familiar() })
}
