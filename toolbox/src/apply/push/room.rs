//! What is compressed and has not gone yet, to all hosts together.
//!
//! Contract: never more than a fixed number of bytes, whatever the images, the hosts and their lines. A place is taken
//! before a part is made, as large as it can become, and given back when the last host has let go of its bytes. What
//! several hosts want has one place. Who asks for places one after the other and lets go of them in that order never
//! waits for itself; a host has no more than its share, so that one whose line stands still does not stop the others.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use toolbox_wire::PatchForm;

/// A place takes this at least, bytes: so that there are not too many of them.
const LEAST: usize = 4096;

/// Places for what keys name.
pub(super) struct Room<K> {
    most: usize,
    free: Arc<Semaphore>,
    /// Bytes that are kept for whoever comes later.
    keeps: usize,
    state: Mutex<State<K>>,
}

struct State<K> {
    places: HashMap<K, Weak<Place>>,
    /// Oldest first.
    kept: VecDeque<Arc<Place>>,
    bytes: usize,
}

/// What is made of an errand.
pub(super) struct Made {
    /// Where it is one frame, a patch, its form; else there is a frame for each part.
    pub(super) patch: Option<PatchForm>,
    /// The frames.
    pub(super) frames: Vec<Bytes>,
}

/// A place for it.
pub(super) struct Place {
    made: OnceCell<Made>,
    taken: Mutex<OwnedSemaphorePermit>,
}

/// One host's share: places that it may have at once.
#[derive(Clone)]
pub(super) struct Share(Arc<Semaphore>);

/// A host's claim to a place, and its turn. Both are given back with the last of the frames.
#[derive(Clone)]
pub(super) struct Claim {
    place: Arc<Place>,
    _turn: Arc<OwnedSemaphorePermit>,
}

/// Bytes that hold their place.
struct Lent {
    bytes: Bytes,
    _claim: Claim,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<K: Eq + Hash> Room<K> {
    /// For so many bytes, of which so many at most are kept when no host has them any more.
    pub(super) fn new(most: usize, keeps: usize) -> Self {
        let state = State { places: HashMap::new(), kept: VecDeque::new(), bytes: 0 };
        Self { most, free: Arc::new(Semaphore::new(most)), keeps, state: Mutex::new(state) }
    }

    /// A place for this, which may become so large; that of another host, where there is one.
    pub(super) async fn claim(&self, share: &Share, key: K, most: usize) -> io::Result<Claim> {
        let turn = Arc::clone(&share.0).acquire_owned().await.map_err(io::Error::other)?;
        let turn = Arc::new(turn);
        if let Some(place) = self.find(&key) {
            return Ok(Claim { place, _turn: turn });
        }
        let most = u32::try_from(most.max(LEAST)).map_err(io::Error::other)?;
        let taken = Arc::clone(&self.free).acquire_many_owned(most).await.map_err(io::Error::other)?;
        Ok(Claim { place: self.settle(key, taken), _turn: turn })
    }

    /// What is made may be wanted again.
    pub(super) fn keep(&self, claim: &Claim) {
        let mut state = self.state();
        state.bytes += claim.place.size();
        state.kept.push_back(Arc::clone(&claim.place));
        while state.bytes > self.keeps
            && let Some(oldest) = state.kept.pop_front()
        {
            state.bytes -= oldest.size();
        }
    }

    /// Of so many hosts, each one's share of places of this size, and so many at least.
    pub(super) fn share(&self, hosts: usize, size: usize, least: usize) -> Share {
        Share(Arc::new(Semaphore::new((self.most / size / hosts.max(1)).max(least))))
    }

    /// Bytes that are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.most - self.free.available_permits()
    }

    fn find(&self, key: &K) -> Option<Arc<Place>> {
        self.state().places.get(key)?.upgrade()
    }

    /// Another host may have been faster.
    fn settle(&self, key: K, taken: OwnedSemaphorePermit) -> Arc<Place> {
        let mut state = self.state();
        state.places.retain(|_, place| place.strong_count() > 0);
        let there = state.places.entry(key).or_default();
        if let Some(place) = there.upgrade() {
            return place;
        }
        let place = Arc::new(Place { made: OnceCell::new(), taken: Mutex::new(taken) });
        *there = Arc::downgrade(&place);
        place
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn size(&self) -> usize {
        self.taken().num_permits()
    }

    /// What was made is smaller than it might have become.
    fn shrink(&self, frames: &[Bytes]) {
        let size = frames.iter().map(Bytes::len).sum::<usize>().max(LEAST);
        let mut taken = self.taken();
        let surplus = taken.num_permits().saturating_sub(size);
        drop(taken.split(surplus));
    }

    fn taken(&self) -> MutexGuard<'_, OwnedSemaphorePermit> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// What is made, which it is now where nobody has done so; `then` hears of that.
    pub(super) async fn made(
        &self,
        making: impl Future<Output = io::Result<Made>>,
        then: impl FnOnce(),
    ) -> io::Result<Made> {
        let make = async {
            let made = making.await?;
            self.place.shrink(&made.frames);
            then();
            Ok::<_, io::Error>(made)
        };
        let Made { patch, frames } = self.place.made.get_or_try_init(|| make).await?;
        let lent = |bytes: &Bytes| Bytes::from_owner(Lent { bytes: bytes.clone(), _claim: self.clone() });
        Ok(Made { patch: *patch, frames: frames.iter().map(lent).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::{Notify, mpsc};

    use super::*;

    /// Bytes that count themselves as long as anybody has them.
    struct Counted(Vec<u8>, Arc<Count>);

    #[derive(Default)]
    struct Count {
        now: AtomicUsize,
        most: AtomicUsize,
        made: AtomicUsize,
    }

    impl Count {
        fn bytes(self: &Arc<Self>, length: usize) -> Bytes {
            let now = self.now.fetch_add(length, Ordering::SeqCst) + length;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.made.fetch_add(1, Ordering::SeqCst);
            Bytes::from_owner(Counted(vec![0; length], Arc::clone(self)))
        }
    }

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.now.fetch_sub(self.0.len(), Ordering::SeqCst);
        }
    }

    const PART: usize = 100_000;

    fn share(places: usize) -> Share {
        Share(Arc::new(Semaphore::new(places)))
    }

    async fn part(room: &Room<usize>, share: &Share, count: &Arc<Count>, number: usize, length: usize) -> Bytes {
        let claim = room.claim(share, number, PART).await.unwrap();
        let making = async {
            tokio::task::yield_now().await;
            Ok(Made { patch: None, frames: vec![count.bytes(length)] })
        };
        claim.made(making, || room.keep(&claim)).await.unwrap().frames.remove(0)
    }

    /// Takes all parts, beginning with this one, while its line carries those before.
    async fn host(room: &Room<usize>, share: &Share, count: &Arc<Count>, first: usize, length: usize) {
        let (sender, mut line) = mpsc::channel(1);
        let take = async {
            let sender = sender;
            for number in 0..40 {
                sender.send(part(room, share, count, (first + number) % 40, length).await).await.unwrap();
            }
        };
        let carry = async {
            while let Some(bytes) = line.recv().await {
                tokio::task::yield_now().await;
                drop(bytes);
            }
        };
        tokio::join!(take, carry);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_all_hosts_hold_together_is_bounded_however_many_there_are() {
        let (room, count) = (Arc::new(Room::new(10 * PART, 4 * PART)), Arc::<Count>::default());
        // Each is somewhere else.
        let hosts = (0..30).map(|number| {
            let (room, count) = (Arc::clone(&room), Arc::clone(&count));
            tokio::spawn(async move { host(&room, &share(3), &count, number * 7, PART - number).await })
        });
        join_all(hosts).await.into_iter().for_each(Result::unwrap);
        let most = count.most.load(Ordering::SeqCst);
        assert!((4 * PART..=10 * PART).contains(&most), "{most}");
        assert!(count.now.load(Ordering::SeqCst) <= 4 * PART);
        assert_eq!(room.taken(), room.state().bytes);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn hosts_that_are_at_the_same_place_share_it() {
        let (room, count) = (Room::new(3 * PART, 0), Arc::<Count>::default());
        let shares: Vec<Share> = (0..20).map(|_| share(1)).collect();
        let all = join_all(shares.iter().map(|share| part(&room, share, &count, 7, PART))).await;
        assert_eq!((count.made.load(Ordering::SeqCst), room.taken()), (1, PART));
        drop(all);
        assert_eq!((count.now.load(Ordering::SeqCst), room.taken()), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_host_that_stands_still_leaves_room_for_the_others() {
        let (room, count, still) = (Arc::new(Room::new(8 * PART, 2 * PART)), Arc::<Count>::default(), share(2));
        let mut held = vec![part(&room, &still, &count, 100, PART).await, part(&room, &still, &count, 101, PART).await];
        let (waits, waiting) = (Arc::clone(&room), Arc::<Notify>::default());
        let third = {
            let (still, count, waiting) = (still.clone(), Arc::clone(&count), Arc::clone(&waiting));
            tokio::spawn(async move {
                waiting.notify_one();
                part(&waits, &still, &count, 102, PART).await
            })
        };
        waiting.notified().await;
        join_all((0..2).map(|number| {
            let (room, count) = (Arc::clone(&room), Arc::clone(&count));
            async move { host(&room, &share(3), &count, number, PART).await }
        }))
        .await;
        assert!(!third.is_finished());
        held.clear();
        assert_eq!(third.await.unwrap().len(), PART);
    }

    #[tokio::test]
    async fn what_has_become_small_takes_little_and_what_failed_nothing() {
        let (room, count, share) = (Room::<usize>::new(4 * PART, 0), Arc::<Count>::default(), share(9));
        let small = part(&room, &share, &count, 1, 5000).await;
        assert_eq!(room.taken(), 5000);
        let claim = room.claim(&share, 2, PART).await.unwrap();
        assert!(claim.made(async { Err(io::ErrorKind::UnexpectedEof.into()) }, || ()).await.is_err());
        drop((claim, small));
        assert_eq!(room.taken(), 0);
    }
}
