//! Lock and unlock, and how fast passphrases can be guessed.
//!
//! Contract: a wrong attempt makes only its own client wait, 100 ms for each failure since the lock, at most 10 s. A few
//! attempts may wait at one time ([`GUESSES`](crate::agent::GUESSES)); further ones are looked at when one of those has
//! been answered, so that many connections guess hardly faster than one. Whoever gives up does not shorten the wait.
//! Nobody else waits, nor does the keyring's mutex while passphrases are digested.

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
pub(crate) async fn unlock(agent: &Agent, passphrase: Zeroizing<Vec<u8>>) -> bool {
    let Ok(_turn) = agent.shared.guesses.acquire().await else { return false };
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
