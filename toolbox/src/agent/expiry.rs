//! Wipes what has expired at its time, while nobody asks.
//!
//! Contract: at most one task waits, for the first identity that will expire, however many have lifetimes. It holds no
//! agent alive. What expired while the machine was suspended is wiped within [`LONGEST_NAP`] after that.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::{Shared, clock};

/// How long it sleeps at a time.
const LONGEST_NAP: Duration = Duration::from_secs(30);

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
        // The runtime's clock stands still while the machine is suspended, and ours does not.
        while clock::now() < due && shared.strong_count() > 0 {
            tokio::time::sleep(due.saturating_duration_since(clock::now()).min(LONGEST_NAP)).await;
        }
        let Some(shared) = shared.upgrade() else { return };
        shared.keyring().expire(clock::now());
        *shared.timer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        arm(&shared);
    });
    waiting.abort_handle()
}

#[cfg(test)]
mod tests {
    use ssh_key::PrivateKey;
    use ssh_key::private::Ed25519Keypair;

    use super::*;
    use crate::agent::Agent;

    #[tokio::test(start_paused = true)]
    async fn what_expired_while_the_machine_slept_is_wiped_soon_after() {
        let agent = Agent::new();
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[1; 32]));
        agent.add(key, Some(Duration::from_secs(3600))).await.unwrap();
        tokio::time::sleep(LONGEST_NAP * 2).await;
        assert_eq!(agent.keyring().len(), 1);
        clock::tests::suspend(Duration::from_secs(3601));
        tokio::time::sleep(LONGEST_NAP * 2).await;
        assert_eq!(agent.keyring().len(), 0);
    }
}
