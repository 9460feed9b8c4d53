//! Lock and unlock, and how fast passphrases can be guessed.
//!
//! Contract: a wrong attempt makes only its own client wait, 100 ms for each failure since the lock, at most 10 s. A few
//! attempts may wait at one time ([`GUESSES`](crate::agent::GUESSES)); further ones are looked at when one of those has
//! been answered, so that many connections guess hardly faster than one. Nobody else waits, nor does the keyring's mutex
//! while passphrases are digested.
//!
//! Local clients and those that may be on another host have places of their own, so that no host that the agent is
//! forwarded to delays the person's own unlock. Whoever hangs up in the queue leaves it; once an attempt has its place it
//! keeps it for as long as it waits, client or not, so that giving up saves no time. A right passphrase is never refused
//! for want of a place: behind wrong attempts of the same user's processes, which could end the agent anyway, it waits
//! for the first place that becomes free, and for those that queued before it and are still there.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::connection::Connection;
use super::wire::Request;
use crate::agent::Agent;
use crate::agent::keyring::{Digest, Salt, UnlockError};

/// Whether a request is not for a locked agent. A binding that is not made for that has failed: what the client forwards
/// later must not look as if it had come from here.
pub(crate) fn refuses(agent: &Agent, connection: &mut Connection, request: &Request) -> bool {
    let refused = agent.keyring().is_locked() && !matches!(request, Request::List | Request::Unlock(_));
    if refused && matches!(request, Request::Bind(_)) {
        connection.bindings.fail();
    }
    if refused {
        tracing::debug!("a request was refused: the agent is locked");
    }
    refused
}

/// Locks; says whether it did. An empty passphrase locks nothing.
pub(crate) async fn lock(agent: &Agent, passphrase: Zeroizing<Vec<u8>>) -> bool {
    let Some(salt) = Salt::random() else { return false };
    let digest = digest(salt, passphrase).await;
    digest.is_some_and(|digest| agent.keyring().lock(digest))
}

/// Unlocks, or waits as long as a wrong attempt has to; says whether it did.
pub(crate) async fn unlock(agent: &Agent, connection: &Connection, passphrase: Zeroizing<Vec<u8>>) -> bool {
    let shared = &agent.shared;
    let places = if connection.may_be_remote() { &shared.remote_guesses } else { &shared.guesses };
    let Ok(turn) = Arc::clone(places).acquire_owned().await else { return false };
    let agent = agent.clone();
    // A task of its own: who hangs up now does not end it.
    let attempt = tokio::spawn(async move {
        let opened = attempt(&agent, passphrase).await;
        drop(turn);
        opened
    });
    attempt.await.unwrap_or(false)
}

async fn attempt(agent: &Agent, passphrase: Zeroizing<Vec<u8>>) -> bool {
    let Some(salt) = agent.keyring().salt() else { return false };
    let attempt = digest(salt, passphrase).await;
    let opened = agent.keyring().unlock(attempt.as_ref());
    if let Err(UnlockError::Wrong(wait)) = opened {
        tracing::debug!(?wait, "a wrong attempt to unlock waits");
        tokio::time::sleep(wait).await;
    }
    opened.is_ok()
}

async fn digest(salt: Salt, passphrase: Zeroizing<Vec<u8>>) -> Option<Digest> {
    tokio::task::spawn_blocking(move || salt.digest(&passphrase)).await.ok()?
}
