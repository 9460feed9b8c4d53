//! Sending images: what the host lacks, then proof that it arrived.

mod again;
mod choice;
mod delta;
mod effort;
mod error;
mod frame;
mod lanes;
mod passing;
mod patch;
mod progress;
mod proof;
mod receiver;
mod room;
mod seeding;
mod session;
mod shipment;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toolbox_wire::ErrorKind;

use crate::engine::{Engine, EngineError, ExecStream};
use crate::image::{ArchivedImage, DiffId, PartialArchive, ReadAt, Reference};
use crate::plan::human_bytes;
use crate::state::ObservedImage;

use super::event::{Events, What};
use super::ours::Ours;
use super::source::find;

pub use again::push;
use choice::{Candidate, Situation};
pub use error::{PushError, Unsent};
use progress::Progress;
use proof::{check_all, without_halves};
use receiver::{Delivered, Delivery, Receiver};
pub use seeding::{Place, Seeding};
use session::Broken;
pub use shipment::Shipment;

/// What of a host a push needs beside its engine.
pub trait Route: Send + Sync {
    /// The engine's socket on the host; `None` where a container cannot be given it.
    fn socket(&self) -> impl Future<Output = Option<Socket>> + Send;
    /// Free bytes where the engine keeps its data, as far as the host says.
    fn free(&self) -> impl Future<Output = Option<u64>> + Send;
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
    /// Which other hosts it shares the images with.
    pub place: &'a Place,
    /// How long it is tried again when the line breaks.
    pub reconnect: Duration,
}

/// One attempt.
async fn push_once<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    route: &impl Route,
    push: &Push<'_, R>,
    events: &Events,
) -> Result<(), Unsent> {
    let partial = push.held.values().any(|h| *h > 0);
    let sent = without_halves(engine, push, send_and_check(engine, route, push, events)).await;
    let sent = match sent {
        Err(Unsent { error, images }) if partial && push.shipment.archive().is_whole() && error.may_lack_layers() => {
            events.send(What::Note(format!("sending everything: {error}")));
            let held = images.into_iter().map(|reference| (reference, 0)).collect();
            let again = Push { held: &held, ..*push };
            let sent = without_halves(engine, &again, stream_everything(engine, &again, events)).await;
            if sent.is_ok() {
                // What a receiver was to load in part.
                receiver::forget_spool(engine).await;
            }
            sent
        }
        sent => sent,
    };
    match sent {
        Err(Unsent { error, images }) => Err(Unsent { error: with_room(route, push, error).await, images }),
        Ok(()) => Ok(()),
    }
}

/// Tells of a full disk what it would take.
async fn with_room<R: ReadAt + Send + Sync + 'static>(
    route: &impl Route,
    push: &Push<'_, R>,
    error: PushError,
) -> PushError {
    let (true, Ok(archive)) = (error.says_full(), compose(push.shipment, push.held)) else { return error };
    let unpacked: u64 = archive.layers().map(|layer| layer.size).sum();
    // Without a receiver there is no spool.
    let times = receiver::AT_ONCE - u64::from(matches!(error, PushError::Engine(_)));
    let (why, needed) = (Box::new(error), unpacked.saturating_mul(times));
    match route.free().await {
        Some(free) => PushError::Full { why, needed, free },
        None => *why,
    }
}

async fn stream_everything<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    push: &Push<'_, R>,
    events: &Events,
) -> Result<(), PushError> {
    let archive = compose(push.shipment, push.held)?;
    stream_and_check(engine, push, &archive, events).await
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
        let (mut candidates, older) = candidates(push)?;
        let round_trip = engine.round_trip().await?;
        let spool = engine.mountpoint(receiver::SPOOL).await.is_ok();
        let gzip = engine.api_version() < stream::ZSTD;
        let changed = candidates.iter().map(|candidate| candidate.layer.size).sum();
        let seeding = push.place.takes_part(push.shipment.number());
        let mut situation = Situation { bytes, changed, older, round_trip, rate: None, gzip, spool, seeding };
        if let Some(seed) = push.place.missed(push.shipment.number()).filter(|_| bytes >= choice::LARGE) {
            let note = format!("{} is not sent images at the same time, so it passes none on", seed.host);
            events.send(What::Note(note));
        }
        if situation.wants_rate() {
            situation.rate = engine.rate(round_trip, situation.enough()).await;
        }
        if !situation.wants_deltas() {
            candidates.clear();
        }
        if situation.wants_receiver()
            && let Some(socket) = route.socket().await
        {
            let way = Receiving { engine, route, push, helper, events, archive: &archive };
            if way.deliver(situation, socket, &candidates).await? {
                return check_all(engine, push).await;
            }
        }
    }
    push.place.leave(push.shipment);
    stream_and_check(engine, push, &archive, events).await
}

/// Layers that may be made out of others, and about how large the images are that have those, bytes.
fn candidates<R: ReadAt + Send + Sync + 'static>(push: &Push<'_, R>) -> Result<(Vec<Candidate>, u64), PushError> {
    let (mut all, mut older) = (Vec::new(), 0);
    for (reference, held) in push.held {
        let image = image(push.shipment, reference)?;
        let found = choice::candidates(reference, image, *held, push.images);
        if !found.is_empty() {
            older += image.layers.iter().map(|layer| layer.size).sum::<u64>();
        }
        all.extend(found);
    }
    Ok((all, older))
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
        let started =
            Receiver::start(self.engine, self.route, &self.helper.0.full(), (socket, situation.seeding)).await;
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
        let (expected, part, place) = (situation.expected_rate(), situation.part(), self.push.place);
        let delivery = Delivery { shipment, archive, candidates, lanes, expected, part, progress, place };
        receiver.deliver(&delivery).await
    }

    /// The helper image goes the plain way.
    async fn send_helper(&self) -> Result<(), PushError> {
        let (reference, shipment) = self.helper;
        if self.engine.image_facts(&reference.familiar()).await?.is_some() {
            return Ok(());
        }
        let held = BTreeMap::from([(reference.clone(), 0)]);
        let (ours, place) = (self.push.ours, Place::default());
        let reconnect = Duration::ZERO;
        let push = Push { shipment, held: &held, helper: None, images: &[], ours, place: &place, reconnect };
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
            Err(Broken::Read(reason)) => Err(PushError::Unread { reason }),
            Err(cut @ Broken::Ended(_)) => Err(PushError::Cut { reason: cut.to_string() }),
        }
    }

    fn without(&self, why: &dyn std::error::Error) -> bool {
        self.events.send(What::Note(format!("no receiver on this host, so images go in one stream: {why}")));
        false
    }

    fn tell(&self, Delivered { sent, resumed, made, passed }: Delivered) {
        let mut words = vec![format!("{} sent", human_bytes(sent))];
        if resumed > 0 {
            words.push(format!("{} kept from an earlier push", human_bytes(resumed)));
        }
        if let Some(seed) = self.push.place.seed().filter(|_| passed > 0) {
            words.push(format!("{} came from {}", human_bytes(passed), seed.host));
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
