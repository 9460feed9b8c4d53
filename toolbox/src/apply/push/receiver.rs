//! A container on the host that takes what is sent, keeps it, and gives it to the engine.
//!
//! Contract: what has arrived stays in a volume until it is loaded, so that a push that was cut goes on from there; a
//! receiver that nobody talks to ends by itself. Layers are read by the engine while they still arrive. A layer is
//! verified by its DiffID before the engine has seen its end. One that passes parts on to others, or takes them from
//! another, is in its host's network, and loads when that is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use toolbox_wire::{EngineState, Entry, ErrorKind, Layer, MOST_LAYERS, Range, Reply, Request, VERSION};

use crate::engine::{Engine, EngineError, HelperSpec, Receives, says_not_unpacked};
use crate::image::{ArchivedLayer, Content, Digest, PartialArchive, ReadAt};
use crate::plan::{ROLE_LABEL, human_bytes};

use super::choice::Candidate;
use super::delta;
use super::lanes::Lanes;
use super::passing::Lack;
use super::patch::Errand;
use super::progress::Progress;
use super::seeding::Place;
use super::session::{Broken, Session};
use super::shipment::Shipment;
use super::{Route, Socket, wire_id};

/// The volume of what has arrived: no keeper's, for no project's name has a dot in it.
pub(super) const SPOOL: &str = "toolbox.receiver.spool";
/// How long a receiver may take to answer first, and to be removed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what the engine removes.
const MOMENT: Duration = Duration::from_millis(100);
/// A volume that is still in use after so many is another push's.
const TRIES: usize = 50;
/// What nobody has touched for so long is removed, seconds.
const OLD: u64 = 7 * 24 * 3600;

/// How often a layer is on the disk while it is loaded: in the spool, in the engine's tarball, and as what it becomes.
pub(super) const AT_ONCE: u64 = 3;

/// Opens sessions with a receiver.
pub(super) trait Opener: Sync {
    /// Through the connection with this number, from 0.
    fn open(&self, line: usize) -> impl Future<Output = Result<Session, Broken>> + Send;
}

/// A receiver that runs.
pub(super) struct Receiver<'a, E, W> {
    engine: &'a E,
    route: &'a W,
    id: String,
}

/// What a push through a receiver came to, bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivered {
    /// Went over the line, compressed.
    pub(super) sent: u64,
    /// Was there from an earlier push, uncompressed.
    pub(super) resumed: u64,
    /// Was made out of other layers of the host, wholly or by patches, uncompressed.
    pub(super) made: u64,
    /// Came from another host, uncompressed.
    pub(super) passed: u64,
}

/// What is delivered.
pub(super) struct Delivery<'a, R> {
    /// Where parts come from.
    pub(super) shipment: &'a Arc<Shipment<R>>,
    /// The tarball that the engine is given.
    pub(super) archive: &'a PartialArchive,
    /// Layers that may be made out of others.
    pub(super) candidates: &'a [Candidate],
    /// Connections, and sessions on each.
    pub(super) lanes: (usize, usize),
    /// Bytes per second that the line probably takes.
    pub(super) expected: Option<f64>,
    /// Uncompressed bytes of a part.
    pub(super) part: u64,
    /// What hears of it.
    pub(super) progress: &'a Progress,
    /// Who else takes part in it.
    pub(super) place: &'a Place,
}

impl<E: Engine, W: Route> Opener for Receiver<'_, E, W> {
    async fn open(&self, line: usize) -> Result<Session, Broken> {
        let stream = self.route.exec(line, &self.id, &receive()).await;
        stream.map(Session::new).map_err(|e| Broken::Ended(e.to_string()))
    }
}

fn receive() -> [String; 2] {
    ["/toolbox-relay".to_owned(), "receive".to_owned()]
}

impl<'a, E: Engine, W: Route> Receiver<'a, E, W> {
    /// Creates and starts one of this image, in the host's network or in none.
    ///
    /// # Errors
    /// The engine's.
    pub(super) async fn start(
        engine: &'a E,
        route: &'a W,
        image: &str,
        (socket, network): (Socket, bool),
    ) -> Result<Self, EngineError> {
        let name = format!("toolbox.receiver.{}", unlike_others());
        let volume = BTreeMap::from([(ROLE_LABEL.to_owned(), "spool".to_owned())]);
        engine.create_plain_volume(SPOOL, &volume).await?;
        let spec = HelperSpec {
            // In the host's network it would be known by the host's name.
            environment: BTreeMap::from([("RELAY_RECEIVER".to_owned(), name.clone())]),
            name,
            image: image.to_owned(),
            command: vec!["receiver".to_owned()],
            labels: BTreeMap::from([(ROLE_LABEL.to_owned(), "receiver".to_owned())]),
            receives: Some(Receives { volume: SPOOL.to_owned(), socket: socket.path, group: socket.group, network }),
            ..HelperSpec::default()
        };
        let id = engine.create_helper(&spec).await?;
        let receiver = Self { engine, route, id };
        if let Err(error) = engine.start(&receiver.id).await {
            receiver.remove().await;
            return Err(error);
        }
        Ok(receiver)
    }

    /// Stops and removes it; what has arrived stays. It also ends by itself, so that failing is no matter.
    pub(super) async fn remove(&self) {
        let removed = async {
            let _ = self.engine.remove(&self.id, false).await;
            // The engine answers at once where the container's own end has begun to remove it; and a line may have broken
            // before it was asked.
            while self.engine.status(&self.id).await.is_ok() {
                sleep(MOMENT).await;
                let _ = self.engine.remove(&self.id, false).await;
            }
        };
        let _ = timeout(PATIENCE, removed).await;
    }

    /// Delivers, and cleans up behind it.
    pub(super) async fn deliver<R>(&self, delivery: &Delivery<'_, R>) -> Result<Delivered, Broken>
    where
        R: ReadAt + Send + Sync + 'static,
    {
        let (mut control, free) = self.greet().await?;
        let layers: Vec<ArchivedLayer> = delivery.archive.layers().copied().collect();
        let held = held(&mut control, &layers).await?;
        has_room(&layers, &held, free)?;
        let (mut delivered, mut lacks) = self.make_ready(&mut control, delivery, layers.iter().zip(held)).await?;
        delivered.passed = self.take_from_seed(&mut control, delivery, &mut lacks).await?;
        let errands =
            lacks.iter().flat_map(|l| Errand::all(&l.layer, &l.ranges, l.like.as_ref(), delivery.part)).collect();
        let Delivery { shipment, lanes: count, expected, part, progress, .. } = *delivery;
        let lanes = Lanes { shipment, opener: self, count, expected, part, progress };
        let (number, load) = (delivery.shipment.number(), self.load(&mut control, delivery.archive));
        let patched = match delivery.place.orders(number) {
            None => until_one_fails(lanes.send(errands), load).await?.0,
            Some(orders) => {
                let sending = async {
                    let sent = lanes.send(errands).await;
                    delivery.place.close(number);
                    sent
                };
                let giving = async {
                    self.give_all(orders, &layers).await;
                    Ok(())
                };
                let (patched, ()) = tokio::try_join!(sending, giving)?;
                // After it, what was sent is no longer there to be passed on.
                load.await?;
                patched
            }
        };
        let left = control.ask(&Request::Sweep { older_than_seconds: OLD }).await;
        drop(control);
        self.remove().await;
        if let Ok(Reply::Swept { files: 0, .. }) = left {
            forget_spool(self.engine).await;
        }
        Ok(Delivered { sent: delivery.progress.sent(), made: delivered.made + patched, ..delivered })
    }

    /// A session that reaches the engine, and the bytes that are free there.
    async fn greet(&self) -> Result<(Session, u64), Broken> {
        let greeting = async {
            let mut session = self.open(0).await?;
            let reply = session.ask(&Request::Hello { version: VERSION }).await?;
            Ok((session, reply))
        };
        let greeted = timeout(PATIENCE, greeting).await;
        let (session, reply) = greeted.map_err(|_| Broken::Ended("it did not answer".into()))??;
        match reply {
            Reply::Hello { version, .. } if version != VERSION => Err(unusable(format!("it speaks version {version}"))),
            Reply::Hello { engine: EngineState::Err(text), .. } => Err(unusable(text)),
            Reply::Hello { free, .. } => Ok((session, free)),
            other => Err(strange(&other)),
        }
    }

    /// What need not be sent is put in place; the rest is returned, in the order in which it is loaded.
    async fn make_ready<R>(
        &self,
        control: &mut Session,
        delivery: &Delivery<'_, R>,
        layers: impl Iterator<Item = (&ArchivedLayer, Vec<Range>)>,
    ) -> Result<(Delivered, Vec<Lack>), Broken>
    where
        R: ReadAt + Send + Sync + 'static,
    {
        let (mut delivered, mut lacks) = (Delivered::default(), Vec::new());
        for (layer, held) in layers {
            let layer = *layer;
            let there = length(&held);
            let candidate = delivery.candidates.iter().find(|c| c.layer == layer && there < layer.size / 2);
            let made = match candidate {
                Some(candidate) => delta::make(control, delivery, candidate).await?,
                None => None,
            };
            let gaps = gaps(layer.size, &held);
            let (ranges, like) = match made {
                Some(made) => (intersection(&gaps, &made.lacks), made.like),
                None => (gaps, None),
            };
            let left = length(&ranges);
            delivered.resumed += there;
            delivered.made += (layer.size - left).saturating_sub(there);
            delivery.progress.advance(layer.size - left, Some(&layer));
            lacks.push(Lack { layer, ranges, like });
        }
        Ok((delivered, lacks))
    }

    async fn load(&self, control: &mut Session, archive: &PartialArchive) -> Result<(), Broken> {
        let entries = archive.entries().map(|(path, content)| entry(path, content)).collect();
        match control.ask(&Request::Load { entries, size: archive.size() }).await? {
            Reply::Loaded { messages } => {
                let problems: Vec<String> = messages.into_iter().filter(|said| says_not_unpacked(said)).collect();
                let text = problems.join("; ");
                if text.is_empty() {
                    Ok(())
                } else {
                    Err(Broken::Refused { kind: ErrorKind::Engine, text, diff_id: None })
                }
            }
            other => Err(strange(&other)),
        }
    }
}

/// Removes what is kept on the host, unless another receiver uses it.
pub(super) async fn forget_spool(engine: &impl Engine) {
    let removed = async {
        // An engine lets go of a volume a moment after the container is gone.
        for _ in 0..TRIES {
            match engine.remove_volume(SPOOL).await {
                Err(EngineError::Refused { status: 409, .. }) => sleep(MOMENT).await,
                _ => return,
            }
        }
    };
    let _ = timeout(PATIENCE, removed).await;
}

/// Both, or the first error. What the load says of parts that are missing follows from why they are.
async fn until_one_fails<A, B>(
    sending: impl Future<Output = Result<A, Broken>>,
    loading: impl Future<Output = Result<B, Broken>>,
) -> Result<(A, B), Broken> {
    tokio::pin!(sending, loading);
    tokio::select! {
        sent = &mut sending => Ok((sent?, loading.await?)),
        loaded = &mut loading => {
            let loaded = loaded?;
            Ok((sending.await?, loaded))
        }
    }
}

/// A reply that does not belong to the request.
pub(super) fn strange(reply: &Reply) -> Broken {
    Broken::Ended(format!("it answered {reply:?}"))
}

/// A receiver that is of no use here.
fn unusable(text: String) -> Broken {
    Broken::Refused { kind: ErrorKind::Protocol, text, diff_id: None }
}

/// For the layers in the spool, and beside them what an engine takes for a tarball that comes in one stream, too.
fn has_room(layers: &[ArchivedLayer], held: &[Vec<Range>], free: u64) -> Result<(), Broken> {
    let sizes: u64 = layers.iter().map(|layer| layer.size).sum();
    let there: u64 = held.iter().map(|held| length(held)).sum();
    let needed = sizes.saturating_mul(AT_ONCE).saturating_sub(there);
    if needed <= free {
        return Ok(());
    }
    let (needed, free) = (human_bytes(needed), human_bytes(free));
    Err(unusable(format!("it would need {needed} on the disk at once, {free} are free")))
}

/// What the spool holds of each of these layers.
pub(super) async fn held(control: &mut Session, layers: &[ArchivedLayer]) -> Result<Vec<Vec<Range>>, Broken> {
    let mut all = Vec::new();
    for some in layers.chunks(MOST_LAYERS) {
        let layers = some.iter().map(|l| Layer { diff_id: wire_id(l.diff_id), size: l.size }).collect();
        match control.ask(&Request::Have { layers }).await? {
            Reply::Have(held) if held.len() == some.len() => all.extend(held.into_iter().map(|held| held.ranges)),
            other => return Err(strange(&other)),
        }
    }
    Ok(all)
}

fn entry(path: &str, content: &Content) -> Entry {
    let path = path.to_owned();
    match content {
        Content::Bytes(text) => Entry::Text { path, text: text.clone() },
        Content::Layer(layer) => Entry::Layer { path, diff_id: wire_id(layer.diff_id), size: layer.size },
    }
}

/// Bytes of ranges that are apart from each other.
pub(super) fn length(ranges: &[Range]) -> u64 {
    ranges.iter().map(|(from, to)| to - from).sum()
}

/// What of a layer is in none of these ranges, which ascend.
pub(super) fn gaps(size: u64, held: &[Range]) -> Vec<Range> {
    let mut at = 0;
    let mut gaps = Vec::new();
    for (from, to) in held.iter().copied().chain([(size, size)]) {
        if at < from {
            gaps.push((at, from));
        }
        at = at.max(to);
    }
    gaps
}

/// What is in a range of both lists, which ascend.
pub(super) fn intersection(some: &[Range], others: &[Range]) -> Vec<Range> {
    let mut common = Vec::new();
    for (from, to) in some {
        let within = others.iter().map(|(a, b)| ((*a).max(*from), (*b).min(*to)));
        common.extend(within.filter(|(a, b)| a < b));
    }
    common
}

/// Eight hex digits that another push does not have.
fn unlike_others() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = format!("{} {}", std::process::id(), now.as_nanos());
    Digest::of(seed.as_bytes()).hex()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_not_sent_again() {
        for (held, expected) in [
            (vec![], vec![(0, 10)]),
            (vec![(0, 10)], vec![]),
            (vec![(0, 4)], vec![(4, 10)]),
            (vec![(2, 4), (6, 8)], vec![(0, 2), (4, 6), (8, 10)]),
        ] {
            assert_eq!(gaps(10, &held), expected, "{held:?}");
        }
        assert_eq!(intersection(&[(0, 4), (6, 10)], &[(2, 7), (9, 12)]), [(2, 4), (6, 7), (9, 10)]);
    }
}
