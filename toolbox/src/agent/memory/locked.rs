//! Memory for private halves at rest: never swapped out, zeroed when let go.
//!
//! Contract: what [`LockedBytes`] hold lies in blocks of 16 KiB that are locked into memory (`mlock(2)`), several in
//! one block, no two over each other, and is zeroed when it is dropped. Where the limit of locked memory
//! (`RLIMIT_MEMLOCK`) forbids it, bytes are taken all the same, into a block that is not locked: a warning is logged
//! once, and [`unlocked`] says it to whoever asks. The blocks of this process are never given back, so that a key never
//! pays for a lock twice; [`wipe`] zeroes them all at the process's end.
//!
//! Safe code only: a block is a `Box` whose type has the alignment of its size, so that no page of it is shared.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use region::LockGuard;
use rustix::process::{Resource, getrlimit};
use zeroize::Zeroize as _;

#[cfg(test)]
mod tests;

/// Bytes in a block: more than the largest private half, an rsa key of 16384 bits with 9.3 KiB.
const BLOCK: usize = 16 * 1024;
/// What lengths are rounded up to: the smallest private half.
const GRAIN: usize = 32;
const GRAINS: usize = BLOCK / GRAIN;

/// The memory of this process.
static PROCESS: LazyLock<Arc<Arena>> = LazyLock::new(|| Arc::new(Arena::new(lock)));
/// Whether a lock has been refused.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Keys are in memory that is not locked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("keys are in memory that may be written to swap: the limit of locked memory is {}", shown(*.limit))]
pub struct Unlocked {
    /// The limit in bytes; `None` where there is none and something else forbids it.
    pub limit: Option<u64>,
}

impl Unlocked {
    /// The next thing to type.
    #[must_use]
    pub fn hint(&self) -> String {
        "raise it: `ulimit -l 8192` in a shell, `ulimits: {memlock: 8388608}` of the service in compose.yaml".to_owned()
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "not known".to_owned(), |bytes| format!("{bytes} bytes"))
}

/// Says whether keys are in memory that is not locked, because a lock was refused.
#[must_use]
pub fn unlocked() -> Option<Unlocked> {
    REFUSED.load(Ordering::Relaxed).then(|| Unlocked { limit: getrlimit(Resource::Memlock).current })
}

/// Tries to lock memory for a key, so that a person can be told before there is one.
#[must_use]
pub fn would_be_unlocked() -> Option<Unlocked> {
    drop(LockedBytes::new(&[0; 1]));
    unlocked()
}

/// Zeroes all private halves of this process, whoever holds them still; nothing can be signed with afterwards. For the
/// end of the process, when tasks that nobody waits for may still have a hold.
pub fn wipe() {
    PROCESS.wipe();
}

/// How a block is locked; `None` where that is refused.
type Locker = fn(&Bytes) -> Option<LockGuard>;

fn lock(bytes: &Bytes) -> Option<LockGuard> {
    let refused = |error| {
        if !REFUSED.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "memory for keys cannot be locked and may be swapped out");
        }
    };
    region::lock(bytes, BLOCK).map_err(refused).ok()
}

/// A block's bytes, with pages of their own wherever a page is not larger than they are.
#[repr(align(16384))]
struct Bytes([u8; BLOCK]);

const _: () = assert!(align_of::<Bytes>() == BLOCK && size_of::<Bytes>() == BLOCK);

struct Block {
    bytes: Box<Bytes>,
    /// Which grains are somebody's.
    taken: [bool; GRAINS],
    /// Kept for what its drop does.
    _lock: Option<LockGuard>,
}

impl Block {
    fn new(locker: Locker) -> Self {
        let bytes = Box::new(Bytes([0; BLOCK]));
        let lock = locker(&bytes);
        Self { bytes, taken: [false; GRAINS], _lock: lock }
    }

    /// The first run of so many grains that are nobody's.
    fn room(&self, grains: usize) -> Option<usize> {
        self.taken.windows(grains).position(|run| run.iter().all(|taken| !taken))
    }
}

/// Blocks, and who has which part of them.
pub(crate) struct Arena {
    blocks: RwLock<Vec<Block>>,
    locker: Locker,
}

impl Arena {
    fn new(locker: Locker) -> Self {
        Self { blocks: RwLock::default(), locker }
    }

    /// A panic while they were held leaves them whole: a place is taken before it is filled.
    fn write(&self) -> RwLockWriteGuard<'_, Vec<Block>> {
        self.blocks.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Block>> {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of `secret`; `None` for nothing and for what is longer than a block.
    fn store(self: &Arc<Self>, secret: &[u8]) -> Option<LockedBytes> {
        let grains = secret.len().div_ceil(GRAIN);
        if !(1..=GRAINS).contains(&grains) {
            return None;
        }
        let mut blocks = self.write();
        let found = blocks.iter().enumerate().find_map(|(block, held)| Some((block, held.room(grains)?)));
        let (block, first) = found.unwrap_or_else(|| {
            blocks.push(Block::new(self.locker));
            (blocks.len() - 1, 0)
        });
        let held = LockedBytes { arena: Arc::clone(self), block, first, length: secret.len() };
        blocks[block].taken[first..first + grains].fill(true);
        blocks[block].bytes.0[held.range()].copy_from_slice(secret);
        Some(held)
    }

    fn wipe(&self) {
        self.write().iter_mut().for_each(|block| block.bytes.0.zeroize());
    }
}

/// Bytes in locked memory, zeroed when dropped.
pub(crate) struct LockedBytes {
    arena: Arc<Arena>,
    block: usize,
    /// The first grain.
    first: usize,
    length: usize,
}

impl LockedBytes {
    /// A copy of `secret` in this process's locked memory; `None` for nothing and for more than 16 KiB.
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        PROCESS.store(secret)
    }

    /// Shows the bytes. Others can read theirs meanwhile; whoever adds or drops any waits.
    pub(crate) fn with<R>(&self, see: impl FnOnce(&[u8]) -> R) -> R {
        see(&self.arena.read()[self.block].bytes.0[self.range()])
    }

    fn range(&self) -> std::ops::Range<usize> {
        let start = self.first * GRAIN;
        start..start + self.length
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        let mut blocks = self.arena.write();
        let block = &mut blocks[self.block];
        block.bytes.0[self.range()].zeroize();
        block.taken[self.first..self.first + self.length.div_ceil(GRAIN)].fill(false);
    }
}
