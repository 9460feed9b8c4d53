//! One client's conversation with the agent, over any stream of bytes.
//!
//! Contract: one answer for each request, in order; a request that is malformed or unknown is answered with failure and
//! the conversation goes on. It ends at the client's end of stream, at a frame that is too long, and at an error of the
//! stream. Signatures are made off the runtime's threads and outside the keyring's mutex, so that no client waits for
//! another's; a wrong unlock makes only its own client wait. The next request is read when the answer to the one before
//! has been taken, so that a client that never reads costs one answer.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{self, Answer, Request};
use crate::agent::Agent;
use crate::agent::keyring::UnlockError;

/// Answers requests until the client is done.
///
/// # Errors
/// Those of the stream; what the client does wrong is not one.
pub(crate) async fn serve(agent: Agent, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(frame) = wire::read_frame(&mut stream).await? {
        let request = wire::decode(&frame);
        drop(frame);
        let answer = match request {
            Ok(request) => answer(&agent, request).await,
            Err(wire::Refused) => Answer::Failure,
        };
        wire::write_frame(&mut stream, &wire::encode(&answer)).await?;
    }
    Ok(())
}

async fn answer(agent: &Agent, request: Request) -> Answer {
    match request {
        Request::List => Answer::Identities(agent.identities()),
        Request::Sign { blob, data, flags } => sign(agent, &blob, data, flags).await,
        Request::Add { key, lifetime } => {
            let lifetime = lifetime.map(|seconds| Duration::from_secs(seconds.into()));
            success(agent.add(*key, lifetime).await.is_ok())
        }
        Request::Remove { blob } => success(agent.keyring().remove(&blob, Instant::now())),
        Request::RemoveAll => success(agent.keyring().remove_all()),
        Request::Lock(passphrase) => success(agent.keyring().lock(&passphrase)),
        Request::Unlock(passphrase) => unlock(agent, &passphrase).await,
        Request::Query => Answer::Extensions,
    }
}

fn success(done: bool) -> Answer {
    match done {
        true => Answer::Success,
        false => Answer::Failure,
    }
}

async fn sign(agent: &Agent, blob: &[u8], data: Vec<u8>, flags: u32) -> Answer {
    let Some(holder) = agent.keyring().holder(blob, Instant::now()) else {
        return Answer::Failure;
    };
    holder.sign(data, flags).await.map_or(Answer::Failure, Answer::Signature)
}

async fn unlock(agent: &Agent, passphrase: &[u8]) -> Answer {
    let attempt = agent.keyring().unlock(passphrase);
    if let Err(UnlockError::Wrong(wait)) = attempt {
        tokio::time::sleep(wait).await;
    }
    success(attempt.is_ok())
}
