//! One client's conversation with the agent, over any stream of bytes.
//!
//! Contract: one answer for each request, in order; a request that is malformed or unknown is answered with failure and
//! the conversation goes on. It ends at the client's end of stream, at a frame that is too long, and at an error of the
//! stream. What takes long is done off the runtime's threads and outside the keyring's mutex: rsa, questions, digests,
//! large requests. No client waits for another's. The next request is read when the answer to the one before has been
//! taken, so that a client that never reads costs one answer. A signature, a list and an attempt to unlock that somebody
//! or something is waited for are given up when their client has hung up: its turn goes to the next, its helper ends, and
//! a question that nobody has seen is not asked. What changes the keyring is done, client or not.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use super::frame::{Frame, FrameReader, Message};
use super::wire::{self, AddKey, Answer, Refused, Request};
use super::{kind, locking, provider_requests, signing};
use crate::agent::keyring::{Identity, Keyring};
use crate::agent::private_wire::private_key;
use crate::agent::{AddError, Agent, clock, upstream};

#[cfg(test)]
mod tests;

/// Requests that are longer may hold many certificates to verify.
const QUICK_TO_DECODE: usize = 16 * 1024;
/// How often it is looked whether a client that waits for an answer is still there.
const GLANCE: Duration = Duration::from_millis(250);

/// Answers requests until the client is done.
///
/// # Errors
/// Those of the stream; what the client does wrong is not one.
pub(crate) async fn serve(agent: Agent, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    serve_while(agent, stream, |_| true).await
}

/// The same over a stream that can tell whether the client is there: one that has only stopped sending still is.
///
/// # Errors
/// Those of the stream.
pub(crate) async fn serve_while<S: AsyncRead + AsyncWrite + Unpin>(
    agent: Agent,
    mut stream: S,
    is_there: impl Fn(&S) -> bool,
) -> io::Result<()> {
    let (mut frames, mut connection) = (FrameReader::new(), Connection::new(agent.settings().upstream.clone()));
    while let Some(frame) = frames.read(&mut stream).await? {
        tracing::debug!(request = kind::name(&frame), "answering");
        let given_up_with_its_client = may_be_given_up(&frame);
        let answer = tokio::select! {
            biased;
            answer = respond(&agent, &mut connection, frame) => answer,
            () = hang_up(|| is_there(&stream)), if given_up_with_its_client => return Ok(()),
        };
        answer.write(&mut stream).await?;
    }
    Ok(())
}

/// Whether it changes nothing that a client could count on after it has hung up.
fn may_be_given_up(frame: &[u8]) -> bool {
    matches!(frame.first(), Some(&(wire::LIST | wire::SIGN | wire::UNLOCK)))
}

/// Waits until the client is gone.
async fn hang_up(is_there: impl Fn() -> bool) {
    loop {
        tokio::time::sleep(GLANCE).await;
        if !is_there() {
            return;
        }
    }
}

async fn respond(agent: &Agent, connection: &mut Connection, frame: Frame) -> Message {
    connection.relay.observe(&frame).await;
    match decode(frame).await {
        Ok(request) if locking::refuses(agent, connection, &request) => wire::encode(&Answer::Failure),
        Ok(request) => perform(agent, connection, request).await,
        Err(refused) => {
            tracing::debug!(why = refused.0, "a request was refused");
            wire::encode(&Answer::Failure)
        }
    }
}

async fn decode(frame: Frame) -> Result<Request, Refused> {
    if frame.len() <= QUICK_TO_DECODE {
        return wire::decode(&frame);
    }
    let decoding = tokio::task::spawn_blocking(move || wire::decode(&frame));
    decoding.await.unwrap_or(Err(Refused("decoding it failed")))
}

async fn perform(agent: &Agent, connection: &mut Connection, request: Request) -> Message {
    let now = clock::now();
    let answer = match request {
        Request::List => return list(agent, connection).await,
        Request::Sign(request) => signing::sign(agent, connection, request).await,
        Request::Add(request) => add(agent, connection, *request).await,
        Request::AddSecurityKey(request) => provider_requests::add_security_key(agent, connection, *request).await,
        Request::Remove { blob } => success(agent.keyring().remove(&blob, &connection.bindings, now)),
        Request::RemoveAll => success(agent.keyring().remove_all()),
        Request::AddToken(request) => provider_requests::add_token(agent, connection, *request).await,
        Request::RemoveToken(token) => provider_requests::remove_token(agent, connection, token).await,
        Request::Lock(passphrase) => success(locking::lock(agent, passphrase).await),
        Request::Unlock(passphrase) => success(locking::unlock(agent, connection, passphrase).await),
        Request::Bind(body) => success(bind(connection, &body)),
        Request::Query => Answer::Extensions,
    };
    wire::encode(&answer)
}

/// Written straight from the keyring, which lists nothing while locked; then what the agent behind ours lists.
async fn list(agent: &Agent, connection: &mut Connection) -> Message {
    let is_locked = agent.keyring().is_locked();
    let theirs = if is_locked { Vec::new() } else { connection.relay.identities().await };
    let mut keyring = agent.keyring();
    let mut message = Message::with_room(wire::IDENTITIES, 4 + keyring.list_size());
    message.number(0);
    let mut count = 0;
    for profile in keyring.visible(&connection.bindings, clock::now()) {
        message.string(&profile.blob);
        message.string(&profile.comment);
        count += 1;
    }
    for identity in following(theirs, &keyring) {
        message.string(&identity.blob);
        message.string(identity.comment.as_bytes());
        count += 1;
    }
    message.set_first_number(count);
    message
}

/// What may be listed behind ours; nothing if ours was locked while the other agent was asked.
fn following(theirs: Vec<Identity>, keyring: &Keyring) -> Vec<Identity> {
    match keyring.is_locked() || theirs.is_empty() {
        true => Vec::new(),
        false => upstream::following(theirs, keyring.len(), keyring.list_size(), |blob| keyring.holds(blob)),
    }
}

fn success(done: bool) -> Answer {
    match done {
        true => Answer::Success,
        false => Answer::Failure,
    }
}

async fn add(agent: &Agent, connection: &Connection, request: AddKey) -> Answer {
    let AddKey { pair, comment, certificate, constraints } = request;
    let (options, destinations) = (constraints.options(), constraints.into_destinations());
    let key = move || private_key(&pair, comment).ok_or(AddError::Malformed);
    let added = agent.insert(key, certificate, options, destinations, &connection.bindings).await;
    if let Err(why) = &added {
        tracing::debug!(%why, "a key was not added");
    }
    success(added.is_ok())
}

fn bind(connection: &mut Connection, body: &[u8]) -> bool {
    let bindings = &mut connection.bindings;
    let read = wire::binding(body).inspect_err(|_| bindings.fail());
    let bound = read.and_then(|(binding, signature)| bindings.bind(binding, signature));
    if let Err(why) = &bound {
        tracing::debug!(%why, "a connection was not bound to a session");
    }
    bound.is_ok()
}
