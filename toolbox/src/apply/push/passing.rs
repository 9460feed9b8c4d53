//! Receivers that pass parts on, and those that are passed them.
//!
//! Contract: what does not come this way, whyever, is still lacking afterwards and comes from here. The key is made here
//! for one connection, and goes to both hosts through their own SSH connections.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::sync::oneshot;
use tokio::time::timeout;
use toolbox_wire::{Key, Layer, MOST_GIVEN, MOST_WANTED, Range, Reply, Request, Wanted};

use crate::engine::Engine;
use crate::image::{ArchivedLayer, ReadAt};
use crate::inventory::Seed;

use super::patch::Resemblance;
use super::progress::Progress;
use super::receiver::{Delivery, Opener as _, Receiver, gaps, held, intersection, length};
use super::seeding::{Door, Order, Orders};
use super::session::{Broken, Session};
use super::{Route, wire_id};

/// Hosts that one passes parts on to at once.
const AT_ONCE: usize = 4;
/// For what is still under way between two hosts when one has given all.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a host lacks of a layer.
pub(super) struct Lack {
    pub(super) layer: ArchivedLayer,
    /// Ascending, apart from each other.
    pub(super) ranges: Vec<Range>,
    /// What that resembles.
    pub(super) like: Option<Resemblance>,
}

/// A seed that may pass parts on to this host.
struct Source<'a> {
    seed: &'a Seed,
    door: Door,
}

impl<E: Engine, W: Route> Receiver<'_, E, W> {
    /// What the host's seed passes on is no longer lacking then; how many bytes that is.
    pub(super) async fn take_from_seed<R>(
        &self,
        control: &mut Session,
        delivery: &Delivery<'_, R>,
        lacks: &mut [Lack],
    ) -> Result<u64, Broken>
    where
        R: ReadAt + Send + Sync + 'static,
    {
        let lacking = lacks.iter().any(|lack| !lack.ranges.is_empty());
        let door = delivery.place.door(delivery.shipment.number());
        let Some((seed, door)) = delivery.place.seed().zip(door).filter(|_| lacking) else { return Ok(0) };
        if let Err(why) = self.take(Source { seed, door }, lacks, delivery.progress).await {
            delivery.progress.note(format!("not all comes from {}, so it is sent from here: {why}", seed.host));
        }
        let layers: Vec<ArchivedLayer> = lacks.iter().map(|lack| lack.layer).collect();
        let mut passed = 0;
        for (lack, held) in lacks.iter_mut().zip(held(control, &layers).await?) {
            let left = intersection(&gaps(lack.layer.size, &held), &lack.ranges);
            passed += length(&lack.ranges) - length(&left);
            lack.ranges = left;
        }
        Ok(passed)
    }

    /// Takes from the seed what it is sent of this, too; an error is why not, or not all.
    async fn take(&self, source: Source<'_>, lacks: &[Lack], progress: &Progress) -> Result<(), String> {
        let Source { seed, door } = source;
        let (mut address, key) = (seed.resolve().await?, fresh_key()?);
        let mut session = self.open(0).await.map_err(|e| e.to_string())?;
        let layers = lacks.iter().map(|lack| Layer { diff_id: wire_id(lack.layer.diff_id), size: lack.layer.size });
        let request =
            Request::Take { address: address.ip(), port: address.port(), key: key.clone(), layers: layers.collect() };
        let (listens, listening) = oneshot::channel();
        let (mut listens, mut told) = (Some(listens), 0);
        let mut hear = |reply| match reply {
            Reply::Listening { port } => drop(listens.take().map(|listens| listens.send(port))),
            Reply::Taking { bytes } => {
                progress.advance(bytes.saturating_sub(std::mem::replace(&mut told, bytes)), None);
            }
            _ => {}
        };
        let taking = session.ask_hearing(&request, &mut hear);
        let giving = async {
            address.set_port(listening.await.map_err(|_| "it does not listen")?);
            let (done, given) = oneshot::channel();
            let wanted = lacks.iter().map(|lack| (lack.layer.diff_id, lack.ranges.clone())).collect();
            let none = || format!("{} passes none of them on", seed.host);
            door.send(Order { address, key, wanted, done }).map_err(|_| none())?;
            drop(door);
            given.await.unwrap_or_else(|_| Err(none()))
        };
        tokio::pin!(taking);
        let taken = tokio::select! {
            taken = &mut taking => taken,
            given = giving => {
                given?;
                timeout(PATIENCE, taking).await.map_err(|_| "not all has arrived")?
            }
        };
        taken.map(drop).map_err(|e| e.to_string())
    }

    /// Passes on to others what they order, until there are no others.
    pub(super) async fn give_all(&self, mut orders: Orders, layers: &[ArchivedLayer]) {
        let orders = stream::poll_fn(move |context| orders.poll_recv(context));
        orders.for_each_concurrent(AT_ONCE, |order| self.give(order, layers)).await;
    }

    async fn give(&self, order: Order, layers: &[ArchivedLayer]) {
        let Order { address, key, wanted, mut done } = order;
        let none = || Vec::new();
        let all = layers.iter().map(|l| (l, wanted.get(&l.diff_id).cloned().unwrap_or_else(none))).collect();
        let given = async {
            let layers = bounded(all).ok_or("nothing of it is sent to its seed")?;
            let mut session = self.open(0).await.map_err(|e| e.to_string())?;
            session.ask(&Request::Give { address, key, layers }).await.map(drop).map_err(|e| e.to_string())
        };
        let given = tokio::select! {
            given = given => given,
            () = done.closed() => return,
        };
        let _ = done.send(given);
    }
}

/// As much as may be asked for at once; `None` where nothing is wanted.
fn bounded(mut all: Vec<(&ArchivedLayer, Vec<Range>)>) -> Option<Vec<Wanted>> {
    all.truncate(MOST_GIVEN);
    let mut left = MOST_WANTED;
    for (_, ranges) in &mut all {
        ranges.truncate(left);
        left -= ranges.len();
    }
    let wanted: u64 = all.iter().map(|(_, ranges)| length(ranges)).sum();
    let layer =
        |(layer, ranges): (&ArchivedLayer, _)| Wanted { diff_id: wire_id(layer.diff_id), size: layer.size, ranges };
    (wanted > 0).then(|| all.into_iter().map(layer).collect())
}

fn fresh_key() -> Result<Key, String> {
    let mut key = [0; 32];
    let length = getrandom(&mut key, GetRandomFlags::empty()).map_err(|e| e.to_string())?;
    if length == key.len() { Ok(Key(key)) } else { Err("no random numbers".into()) }
}

impl Seed {
    /// Where a host is that it passes images on to, as names are understood here.
    async fn resolve(&self) -> Result<std::net::SocketAddr, String> {
        let found = tokio::net::lookup_host((self.address.as_str(), self.port)).await;
        let mut found = found.map_err(|e| format!("{}: {e}", self.address))?;
        found.next().ok_or_else(|| format!("{} has no address", self.address))
    }
}
