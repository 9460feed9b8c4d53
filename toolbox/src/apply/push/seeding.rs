//! Which host passes on to which others what it is sent (`toolbox_seed`), and who is there for it.
//!
//! Contract: coordination alone, nothing is sent here. A seed waits only for those that have begun, and one that has
//! begun waits only for a seed that has, too: whatever hosts are sent to at once, nobody waits for who waits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use toolbox_wire::{Key, Range};

use crate::image::DiffId;
use crate::inventory::{Host, Seed};

use super::shipment::Shipment;

/// What a host wants of its seed.
pub(super) struct Order {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// For the connection.
    pub(super) key: Key,
    /// Ranges of layers.
    pub(super) wanted: BTreeMap<DiffId, Vec<Range>>,
    /// Hears when all of it was given that the seed is sent itself, or why not.
    pub(super) done: oneshot::Sender<Result<(), String>>,
}

/// Where orders go. The seed waits as long as there is one.
pub(super) type Door = mpsc::UnboundedSender<Order>;
/// Where they come from.
pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

/// Who passes images on to whom, in one run.
#[derive(Default)]
pub struct Seeding {
    /// By the name of the host that is passed on to.
    seeds: BTreeMap<String, Seed>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Seeds that are there, or were.
    begun: BTreeSet<String>,
    /// By the seed's name and the shipment's number.
    rounds: BTreeMap<(String, usize), Round>,
}

/// What one seed passes on of one shipment.
struct Round {
    /// For those that are still to come.
    door: Option<Door>,
    /// Until the seed takes it.
    orders: Option<Orders>,
}

impl Round {
    fn open() -> Self {
        let (door, orders) = mpsc::unbounded_channel();
        Self { door: Some(door), orders: Some(orders) }
    }
}

impl Seeding {
    /// Among these hosts.
    pub fn among(hosts: &[Host]) -> Arc<Self> {
        let is_here = |seed: &&Seed| hosts.iter().any(|host| host.name == seed.host);
        let seeds =
            hosts.iter().filter_map(|host| Some((host.name.clone(), host.seed.as_ref().filter(is_here)?.clone())));
        Arc::new(Self { seeds: seeds.collect(), state: Mutex::default() })
    }

    /// Whether this host passes anything on.
    pub fn is_seed(&self, host: &str) -> bool {
        self.seeds.values().any(|seed| seed.host == host)
    }

    /// A host begins, and will be sent what it lacks of these shipments.
    pub fn begin<'a, R: 'a>(
        self: &Arc<Self>,
        host: &str,
        shipments: impl Iterator<Item = &'a Arc<Shipment<R>>>,
    ) -> Place {
        let (is_seed, seed) = (self.is_seed(host), self.seeds.get(host).cloned());
        let mut doors = BTreeMap::new();
        let mut state = self.state();
        for number in shipments.map(|shipment| shipment.number()) {
            if is_seed {
                state.rounds.entry((host.to_owned(), number)).or_insert_with(Round::open);
            }
            if let Some(seed) = &seed {
                let round = state.rounds.entry((seed.host.clone(), number)).or_insert_with(Round::open);
                doors.insert(number, round.door.clone());
            }
        }
        if is_seed {
            state.begun.insert(host.to_owned());
        }
        drop(state);
        Place { run: Arc::clone(self), host: host.to_owned(), seed, doors: Mutex::new(doors) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host's part in it. Dropped when its images are there, or will not come.
#[derive(Default)]
pub struct Place {
    run: Arc<Seeding>,
    host: String,
    seed: Option<Seed>,
    /// By the shipment's number; nothing where the seed had closed before.
    doors: Mutex<BTreeMap<usize, Option<Door>>>,
}

impl Place {
    /// Where this host's images come from, if another host may pass them on.
    pub(super) fn seed(&self) -> Option<&Seed> {
        self.seed.as_ref()
    }

    /// It passes this shipment on, or it is passed on to it.
    pub(super) fn takes_part(&self, number: usize) -> bool {
        let own = (self.host.clone(), number);
        let passes = self.run.state().rounds.get(&own).is_some_and(|round| round.orders.is_some());
        passes || self.may_order(number)
    }

    fn may_order(&self, number: usize) -> bool {
        self.seed_has_begun() && self.doors().get(&number).is_some_and(Option::is_some)
    }

    fn seed_has_begun(&self) -> bool {
        self.seed.as_ref().is_some_and(|seed| self.run.state().begun.contains(&seed.host))
    }

    /// The seed that is not there when this shipment is sent to this host.
    pub(super) fn missed(&self, number: usize) -> Option<&Seed> {
        self.seed().filter(|_| self.doors().contains_key(&number) && !self.may_order(number))
    }

    /// Where it may order, once. Nobody waits for it any more when that is dropped.
    pub(super) fn door(&self, number: usize) -> Option<Door> {
        let door = self.doors().remove(&number).flatten();
        door.filter(|_| self.seed_has_begun())
    }

    /// What others order from it, once.
    pub(super) fn orders(&self, number: usize) -> Option<Orders> {
        self.run.state().rounds.get_mut(&(self.host.clone(), number))?.orders.take()
    }

    /// Nobody else may come; its orders end when those that have come are gone.
    pub(super) fn close(&self, number: usize) {
        if let Some(round) = self.run.state().rounds.get_mut(&(self.host.clone(), number)) {
            round.door = None;
        }
    }

    /// It neither passes this shipment on nor waits for it any more.
    pub fn leave<R>(&self, shipment: &Shipment<R>) {
        self.leave_number(shipment.number());
    }

    fn leave_number(&self, number: usize) {
        self.close(number);
        // Whoever has ordered hears of it.
        drop((self.orders(number), self.door(number)));
    }

    fn doors(&self) -> MutexGuard<'_, BTreeMap<usize, Option<Door>>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let own = |(host, number): &(String, usize)| (*host == self.host).then_some(*number);
        let numbers: Vec<usize> = self.run.state().rounds.keys().filter_map(own).collect();
        numbers.into_iter().for_each(|number| self.leave_number(number));
    }
}
