//! One signature: who may have it, and whether a person agrees.
//!
//! Contract: the checks of `process_sign_request2` in OpenSSH's ssh-agent.c. A key with destination constraints signs
//! requests for authentication only, in the session that its connection was bound to last. While a person is asked the
//! private half is not held here, and after the answer the very same identity must still be there: one that was removed,
//! replaced, locked away or has expired meanwhile does not sign. The same holds after a device has signed, and before it is
//! asked again; and nothing comes from the agent behind ours once ours is locked.

use std::sync::Arc;

use super::connection::Connection;
use super::userauth::UserAuth;
use super::wire::{Answer, SignRequest};
use crate::agent::helper::Usage;
use crate::agent::keyring::bindings::Bindings;
use crate::agent::keyring::{Found, Profile};
use crate::agent::{Agent, clock};

/// Signs, if the client and the person may and want to.
pub(crate) async fn sign(agent: &Agent, connection: &mut Connection, request: SignRequest) -> Answer {
    match try_sign(agent, connection, request).await {
        Ok(signature) => Answer::Signature(signature),
        Err(why) => {
            tracing::debug!(why, "a signature was refused");
            Answer::Failure
        }
    }
}

async fn try_sign(agent: &Agent, connection: &mut Connection, request: SignRequest) -> Result<Vec<u8>, &'static str> {
    let SignRequest { blob, data, flags } = request;
    let (found, is_locked) = {
        let mut keyring = agent.keyring();
        (keyring.find(&blob, clock::now()), keyring.is_locked())
    };
    let Some(Found { ticket, profile, mut holder }) = found else {
        // What is not ours may be the agent's behind ours.
        let theirs = if is_locked { None } else { connection.relay.sign(&blob, &data, flags).await };
        let theirs = theirs.ok_or("there is no such identity")?;
        return if agent.keyring().is_locked() { Err("the agent was locked meanwhile") } else { Ok(theirs) };
    };
    let purpose = purpose(&profile, &connection.bindings, &data)?;
    if profile.confirm {
        drop(holder);
        confirm(agent, &profile, purpose.as_deref()).await?;
        holder = agent.keyring().holder(ticket, clock::now()).ok_or("the identity is gone")?;
    }
    let is_there = || agent.keyring().holder(ticket, clock::now()).is_some();
    let (waits, questions) = (holder.is_device(), &agent.shared.questions);
    let usage = Usage { settings: agent.settings(), purpose: purpose.as_deref(), questions, is_there: &is_there };
    let signature = holder.sign(data, flags, &usage).await.ok_or("the key did not sign")?;
    // A device may have been waited for long.
    if waits && !is_there() { Err("the identity is gone") } else { Ok(signature) }
}

/// What a key with destination constraints is about to be used for; an error where it may not be.
fn purpose(profile: &Profile, bindings: &Bindings, data: &[u8]) -> Result<Option<String>, &'static str> {
    if profile.destinations.is_empty() {
        return Ok(None);
    }
    let last = bindings.recorded().last().ok_or("the connection is bound to no session")?;
    let request = UserAuth::parse(data, &profile.blob).ok_or("this is no request for authentication")?;
    if !profile.is_permitted(bindings, Some(request.user)) {
        return Err("the destination is not permitted");
    }
    if request.session != last.session {
        return Err("this is another session than the one that was bound last");
    }
    match request.host_key {
        Some(key) if key != last.key.blob() => Err("this is another host key than the one that was bound last"),
        None if bindings.recorded().len() > 1 => Err("over a forwarding the host key must be named"),
        _ => {
            let user = String::from_utf8_lossy(request.user);
            Ok(Some(format!("public key authentication request for user \"{user}\" to listed host")))
        }
    }
}

/// Asks in OpenSSH's words, one question at a time.
async fn confirm(agent: &Agent, profile: &Profile, purpose: Option<&str>) -> Result<(), &'static str> {
    let askpass = agent.settings().askpass.clone().ok_or("there is nobody to ask")?;
    let comment = String::from_utf8_lossy(&profile.comment);
    let fingerprint = agent.settings().fingerprint_hash.fingerprint(profile.plain_key());
    let purpose = purpose.map_or_else(String::new, |purpose| format!("\n{purpose}"));
    let question = format!("Allow use of key {comment}?\nKey fingerprint {fingerprint}.{purpose}");
    let turn = Arc::clone(&agent.shared.questions).acquire_owned().await.map_err(|_| "there is nobody to ask")?;
    let agreed = tokio::task::spawn_blocking(move || {
        // Kept until the question is answered, though its client may have hung up.
        let _turn = turn;
        askpass.confirm(&question)
    })
    .await;
    agreed.unwrap_or(false).then_some(()).ok_or("the person did not agree")
}
