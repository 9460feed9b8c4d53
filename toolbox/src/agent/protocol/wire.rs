//! The agent protocol's edge: frames and messages, in bytes here and in our types behind.
//!
//! Contract: a frame is at most 262144 bytes, checked before anything is allocated for it; what is decoded is exactly
//! one frame, so that a message can neither borrow from the next nor hide constraints behind its end. Public messages
//! and constraints are decoded by ssh-agent-lib. Those that hold a private key or a passphrase are read here, so that
//! no copy is left in types that do not zero it and no key meets ssh-key 0.6. Answers are few and flat, and written here.
//!
//! The protocol: draft-ietf-sshm-ssh-agent; type 9 is what `ssh-add -D` sends first, for agents of protocol 1.

use std::io;

use ssh_agent_lib::proto::{self, KeyConstraint};
use ssh_agent_lib::ssh_encoding::{Decode as _, Encode as _};
use ssh_key::PrivateKey;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::agent::keyring::Identity;
use crate::agent::private_wire::{put_string, take_keypair, take_string};

#[cfg(test)]
mod tests;

/// Most bytes in one message, as in OpenSSH's agent and in russh's client.
pub(crate) const LONGEST_FRAME: usize = 256 * 1024;

const REMOVE_ALL_V1: u8 = 9;
const ADD: u8 = 17;
const ADD_CONSTRAINED: u8 = 25;
const LOCK: u8 = 22;
const UNLOCK: u8 = 23;

/// The extensions that are answered; `query` names itself as OpenSSH's does.
const EXTENSIONS: [&str; 1] = ["query"];

/// What a client can ask for here.
pub(crate) enum Request {
    List,
    Sign { blob: Vec<u8>, data: Vec<u8>, flags: u32 },
    Add { key: Box<PrivateKey>, lifetime: Option<u32> },
    Remove { blob: Vec<u8> },
    RemoveAll,
    Lock(Zeroizing<Vec<u8>>),
    Unlock(Zeroizing<Vec<u8>>),
    Query,
}

/// What it can be told.
pub(crate) enum Answer {
    Failure,
    Success,
    Identities(Vec<Identity>),
    /// A signature blob.
    Signature(Vec<u8>),
    Extensions,
}

/// A message that is malformed, or that asks for what is not done here. The client is told `Failure` in either case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// Reads one frame; `None` at the end of the stream or where a frame is longer than any may be.
pub(crate) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME {
        return Ok(None);
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut frame).await?;
    Ok(Some(frame))
}

/// Writes one frame.
pub(crate) async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend(length.to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// What a frame asks for.
pub(crate) fn decode(frame: &[u8]) -> Result<Request, Refused> {
    match frame {
        [REMOVE_ALL_V1] => Ok(Request::RemoveAll),
        // By hand, since ssh-agent-lib leaves the passphrase in memory and refuses one that is not UTF-8.
        [LOCK, rest @ ..] => passphrase(rest).map(Request::Lock),
        [UNLOCK, rest @ ..] => passphrase(rest).map(Request::Unlock),
        [ADD, rest @ ..] => add(rest, false),
        [ADD_CONSTRAINED, rest @ ..] => add(rest, true),
        _ => request(exactly(frame)?),
    }
}

fn passphrase(mut field: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let passphrase = take_string(&mut field).ok_or(Refused)?;
    match field.is_empty() {
        true => Ok(passphrase.to_vec().into()),
        false => Err(Refused),
    }
}

/// By hand as well: no private key passes through ssh-key 0.6, which refuses every second P-521 key.
fn add(mut rest: &[u8], constrained: bool) -> Result<Request, Refused> {
    let pair = take_keypair(&mut rest).ok_or(Refused)?;
    let comment = take_string(&mut rest).ok_or(Refused)?;
    let lifetime = match constrained {
        true => lifetime(rest)?,
        false if rest.is_empty() => None,
        false => return Err(Refused),
    };
    let key = PrivateKey::new(pair, comment).map_err(|_| Refused)?;
    Ok(Request::Add { key: Box::new(key), lifetime })
}

/// The lifetime in seconds. A constraint that cannot be enforced refuses the key: it is never left out.
fn lifetime(mut rest: &[u8]) -> Result<Option<u32>, Refused> {
    let mut lifetime = None;
    while !rest.is_empty() {
        match KeyConstraint::decode(&mut rest) {
            Ok(KeyConstraint::Lifetime(seconds)) if lifetime.is_none() => lifetime = Some(seconds),
            _ => return Err(Refused),
        }
    }
    Ok(lifetime)
}

fn exactly(frame: &[u8]) -> Result<proto::Request, Refused> {
    let mut rest = frame;
    let request = proto::Request::decode(&mut rest).map_err(|_| Refused)?;
    match rest.is_empty() {
        true => Ok(request),
        false => Err(Refused),
    }
}

fn request(request: proto::Request) -> Result<Request, Refused> {
    Ok(match request {
        proto::Request::RequestIdentities => Request::List,
        proto::Request::SignRequest(sign) => {
            Request::Sign { blob: blob(&sign.credential)?, data: sign.data, flags: sign.flags }
        }
        proto::Request::RemoveIdentity(remove) => Request::Remove { blob: blob(&remove.credential)? },
        proto::Request::RemoveAllIdentities => Request::RemoveAll,
        proto::Request::Extension(extension) if extension.name == "query" => Request::Query,
        _ => return Err(Refused),
    })
}

/// The blob of a public key: what an identity is found by.
fn blob(key: &proto::PublicCredential) -> Result<Vec<u8>, Refused> {
    let mut blob = Vec::new();
    key.encode(&mut blob).map_err(|_| Refused)?;
    Ok(blob)
}

/// An answer's bytes.
pub(crate) fn encode(answer: &Answer) -> Vec<u8> {
    match answer {
        Answer::Failure => vec![5],
        Answer::Success => vec![6],
        Answer::Identities(identities) => listing(identities),
        Answer::Signature(blob) => signed(blob),
        Answer::Extensions => extensions(),
    }
}

fn listing(identities: &[Identity]) -> Vec<u8> {
    let count = u32::try_from(identities.len()).unwrap_or(u32::MAX);
    let mut body = vec![12];
    body.extend(count.to_be_bytes());
    for identity in identities {
        put_string(&mut body, &identity.blob);
        put_string(&mut body, identity.comment.as_bytes());
    }
    body
}

fn signed(blob: &[u8]) -> Vec<u8> {
    let mut body = vec![14];
    put_string(&mut body, blob);
    body
}

/// The names follow each other to the end of the message, as OpenSSH writes and reads them.
fn extensions() -> Vec<u8> {
    let mut body = vec![29];
    put_string(&mut body, b"query");
    EXTENSIONS.iter().for_each(|name| put_string(&mut body, name.as_bytes()));
    body
}
