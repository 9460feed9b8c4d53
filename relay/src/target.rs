//! Where connections go, and how many there are to each target.
//!
//! Contract: [`Targets::switch`] takes effect at once and for everybody: a connection that is made after it
//! has returned goes to a new target, and one to an old target is counted from before the switch, so that
//! [`Targets::drain`] misses none. Who holds a [`Lease`] of a target that has left is told. A target that
//! refuses is tried last for a while; when all refuse, they are tried again for a bounded time.
//!
//! Deliberately absent: health checks. Whoever switches knows that the new targets are healthy.

mod lease;
mod resolve;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::config::Name;
pub(crate) use lease::Lease;
use resolve::Addresses;
pub(crate) use resolve::prepare;

/// How long a client waits while no target can be reached.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between rounds over all targets grows from the first to the second.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(500)];
/// How long a target that could not be reached comes after the others.
const AVOIDED: Duration = Duration::from_secs(2);

/// Connections to one target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// All.
    pub(crate) open: usize,
    /// Those with a request under way, and those that are no HTTP/1.
    pub(crate) busy: usize,
}

/// One target, from the switch that brought it to the end of its last connection.
pub(crate) struct Target {
    name: Name,
    addresses: Addresses,
    open: AtomicUsize,
    busy: AtomicUsize,
    left: AtomicBool,
    leave: Arc<Notify>,
    avoid_until: Mutex<Option<Instant>>,
}

impl Target {
    fn new(name: Name) -> Arc<Self> {
        let (open, busy) = Default::default();
        let (left, leave, avoid_until) = Default::default();
        Arc::new(Self { addresses: Addresses::new(&name.host), name, open, busy, left, leave, avoid_until })
    }

    fn count(&self) -> Count {
        Count { open: self.open.load(Ordering::SeqCst), busy: self.busy.load(Ordering::SeqCst) }
    }

    fn retire(&self) {
        self.left.store(true, Ordering::SeqCst);
        self.leave.notify_waiters();
    }

    fn is_avoided(&self) -> bool {
        lock(&self.avoid_until).is_some_and(|until| Instant::now() < until)
    }

    async fn connect(&self, port: u16) -> Option<TcpStream> {
        match self.addresses.connect(self.name.port.unwrap_or(port)).await {
            Ok(stream) => {
                *lock(&self.avoid_until) = None;
                Some(stream)
            }
            Err(error) => {
                if !self.is_avoided() {
                    eprintln!("toolbox-relay: {} cannot be reached: {error}", self.name);
                }
                *lock(&self.avoid_until) = Some(Instant::now() + AVOIDED);
                None
            }
        }
    }
}

#[derive(Default)]
struct Inner {
    current: Vec<Arc<Target>>,
    leaving: Vec<Arc<Target>>,
    turn: usize,
    stopping: bool,
}

impl Inner {
    fn all(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.current.iter().chain(&self.leaving)
    }

    /// The target with the fewest connections that was not tried yet; equals take turns.
    fn pick(&mut self, tried: &[Name]) -> Option<Arc<Target>> {
        self.turn = self.turn.wrapping_add(1);
        let (turn, many) = (self.turn, self.current.len());
        let left = self.current.iter().enumerate().filter(|(_, target)| !tried.contains(&target.name));
        let best = left.min_by_key(|(at, target)| (target.is_avoided(), target.count().open, (at + turn) % many));
        best.map(|(_, target)| Arc::clone(target))
    }
}

/// All targets of a relay.
#[derive(Default)]
pub(crate) struct Targets {
    inner: Mutex<Inner>,
    switched: Notify,
    gone: Notify,
}

impl Targets {
    /// New connections go to these from now on. A target that stays keeps its connections. After the stop
    /// nothing is switched any more.
    pub(crate) fn switch(&self, names: &[Name]) {
        let mut inner = lock(&self.inner);
        if inner.stopping {
            return;
        }
        let old = std::mem::take(&mut inner.current);
        for name in names {
            if !inner.current.iter().any(|target| target.name == *name) {
                let stays = old.iter().find(|target| target.name == *name).cloned();
                inner.current.push(stays.unwrap_or_else(|| Target::new(name.clone())));
            }
        }
        let leaves: Vec<_> = old.into_iter().filter(|target| !names.contains(&target.name)).collect();
        leaves.iter().for_each(|target| target.retire());
        inner.leaving.retain(|target| target.count().open > 0);
        inner.leaving.extend(leaves);
        drop(inner);
        self.switched.notify_waiters();
    }

    /// No new connections; every one is told to end when it can.
    pub(crate) fn stop(&self) {
        let mut inner = lock(&self.inner);
        inner.stopping = true;
        let current = std::mem::take(&mut inner.current);
        current.iter().for_each(|target| target.retire());
        inner.leaving.extend(current);
        drop(inner);
        self.switched.notify_waiters();
    }

    /// Whether [`Targets::stop`] was called.
    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.inner).stopping
    }

    /// Where new connections go.
    pub(crate) fn current(&self) -> Vec<Name> {
        lock(&self.inner).current.iter().map(|target| target.name.clone()).collect()
    }

    /// Connections to each target that is current or still has some.
    pub(crate) fn counts(&self) -> BTreeMap<String, Count> {
        let inner = lock(&self.inner);
        let mut counts = BTreeMap::<String, Count>::new();
        for target in inner.all() {
            let count = target.count();
            if count.open > 0 || !target.left.load(Ordering::SeqCst) {
                let sum = counts.entry(target.name.to_string()).or_default();
                *sum = Count { open: sum.open + count.open, busy: sum.busy + count.busy };
            }
        }
        counts
    }

    fn open(&self, names: Option<&[Name]>) -> usize {
        let inner = lock(&self.inner);
        let asked = |target: &&Arc<Target>| names.is_none_or(|names| names.contains(&target.name));
        inner.all().filter(asked).map(|target| target.count().open).sum()
    }

    /// Waits until there is no connection to these targets (all, if `None`), but not longer than `limit`; how
    /// many there are then.
    pub(crate) async fn drain(&self, names: Option<&[Name]>, limit: Duration) -> usize {
        let empty = async {
            loop {
                let gone = self.gone.notified();
                if self.open(names) == 0 {
                    return;
                }
                gone.await;
            }
        };
        // Too late is no error: what is left is counted anew.
        let _ = tokio::time::timeout(limit, empty).await;
        self.open(names)
    }

    fn lease(self: &Arc<Self>, tried: &[Name]) -> Option<Lease> {
        let mut inner = lock(&self.inner);
        inner.pick(tried).map(|target| Lease::new(target, Arc::clone(self)))
    }

    /// A connection to a current target, with its lease. `None` when none could be reached in time.
    pub(crate) async fn connect(self: &Arc<Self>, port: &AtomicU16) -> Option<(TcpStream, Lease)> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSES[0];
        loop {
            let switched = self.switched.notified();
            if let Some(connected) = self.try_each(port.load(Ordering::SeqCst)).await {
                return Some(connected);
            }
            if self.is_stopping() || Instant::now() >= deadline {
                return None;
            }
            // A switch may bring a target that answers.
            let _ = tokio::time::timeout(pause, switched).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    async fn try_each(self: &Arc<Self>, port: u16) -> Option<(TcpStream, Lease)> {
        let mut tried = Vec::new();
        while let Some(lease) = self.lease(&tried) {
            match lease.target().connect(port).await {
                Some(stream) => return Some((stream, lease)),
                None => tried.push(lease.target().name.clone()),
            }
        }
        None
    }
}

/// A lock that a panic elsewhere does not close: the values inside are whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
