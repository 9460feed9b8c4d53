//! Wipes what has expired at its time, while nobody asks.
//!
//! Contract: at most one task waits, for the first identity that will expire, however many have lifetimes. It holds no
//! agent alive. Time does not pass for it while the machine is suspended.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

use super::Shared;

/// The task that waits, and until when.
pub(super) struct Timer {
    at: Instant,
    task: AbortHandle,
}

/// Sees to it that what expires is wiped at its time. Called after each change that may bring that time nearer.
pub(super) fn arm(shared: &Arc<Shared>) {
    let Some(due) = shared.keyring().due() else { return };
    let mut timer = shared.timer.lock().unwrap_or_else(PoisonError::into_inner);
    if timer.as_ref().is_some_and(|timer| timer.at <= due) {
        return;
    }
    let task = wait_until(shared, due);
    if let Some(later) = timer.replace(Timer { at: due, task }) {
        later.task.abort();
    }
}

fn wait_until(shared: &Arc<Shared>, due: Instant) -> AbortHandle {
    let shared = Arc::downgrade(shared);
    let waiting = tokio::spawn(async move {
        tokio::time::sleep_until(due.into()).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.keyring().expire(Instant::now());
        *shared.timer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        arm(&shared);
    });
    waiting.abort_handle()
}
