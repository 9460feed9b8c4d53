//! The other side of the protocol: requests to an agent behind a socket, ours or anybody's.
//!
//! Contract: one request, one answer, over a blocking stream. An answer is at most 262144 bytes, checked before
//! anything is allocated for it. What holds a key or a passphrase is zeroed when it has been sent. An agent that never
//! answers is waited for: it may be asking a person.
//!
//! Absent on purpose: signatures (the deployer makes them through russh's client) and tokens.
//!
//! The protocol: draft-ietf-sshm-ssh-agent; OpenSSH's PROTOCOL.agent for destination constraints.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use ssh_key::PrivateKey;
use ssh_key::encoding::Encode as _;
use thiserror::Error;
use zeroize::Zeroizing;

use super::private_wire::{put_string, take_string};
use super::protocol::LONGEST_FRAME;
use super::{Certificate, Identity};

mod constraints;
#[cfg(test)]
mod tests;

pub use constraints::{Constraints, Hop, HopHost};

/// Room for the longest key at once, which is rsa of 16384 bits: a buffer that grows would leave copies behind.
const LONGEST_PAIR: usize = 16 * 1024;

/// Why an agent did not do what it was asked.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("nobody answers: {0}")]
    Unreachable(#[source] io::Error),
    /// It hung up, or the stream broke.
    #[error("the agent did not answer: {0}")]
    Broken(#[source] io::Error),
    /// It said no.
    #[error("the agent refused")]
    Refused,
    /// It said something that is no answer to the question.
    #[error("the agent's answer is malformed")]
    Malformed,
    /// The key has no form in the protocol.
    #[error("the key cannot be sent to an agent")]
    Unsendable,
}

/// A conversation with an agent.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl From<UnixStream> for Client {
    fn from(stream: UnixStream) -> Self {
        Self { stream }
    }
}

impl Client {
    /// Speaks to the agent of a socket.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        UnixStream::connect(socket).map(Self::from).map_err(ClientError::Unreachable)
    }

    /// The identities it shows, in its order. Comments that are not UTF-8 are shown as far as they are.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn list(&mut self) -> Result<Vec<Identity>, ClientError> {
        let answer = self.ask(&[11])?;
        let mut body = answer.strip_prefix(&[12]).ok_or_else(|| refused_or_malformed(&answer))?;
        let (count, rest) = body.split_first_chunk::<4>().ok_or(ClientError::Malformed)?;
        body = rest;
        let mut identities = Vec::new();
        for _ in 0..u32::from_be_bytes(*count) {
            let blob = take_string(&mut body).ok_or(ClientError::Malformed)?.to_vec();
            let comment = take_string(&mut body).ok_or(ClientError::Malformed)?;
            identities.push(Identity { blob, comment: String::from_utf8_lossy(comment).into_owned() });
        }
        Ok(identities)
    }

    /// Gives it a key to keep, with the key's comment.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn add(&mut self, key: &PrivateKey, constraints: &Constraints) -> Result<(), ClientError> {
        self.add_pair(&encoded_pair(key)?, key, constraints)
    }

    /// Gives it a key with a certificate, which becomes an identity of its own. That they belong together is the
    /// caller's business; an agent refuses those that do not.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn add_certified(
        &mut self,
        key: &PrivateKey,
        certificate: &Certificate,
        constraints: &Constraints,
    ) -> Result<(), ClientError> {
        let (algorithm, blob) = (certificate.type_name(), certificate.blob());
        let pair = encoded_pair(key)?;
        let private = private_part(&pair).ok_or(ClientError::Unsendable)?;
        let mut certified = Zeroizing::new(Vec::with_capacity(algorithm.len() + blob.len() + private.len() + 8));
        put_string(&mut certified, algorithm);
        put_string(&mut certified, blob);
        certified.extend(private);
        self.add_pair(&certified, key, constraints)
    }

    fn add_pair(&mut self, pair: &[u8], key: &PrivateKey, constraints: &Constraints) -> Result<(), ClientError> {
        let conditions = constraints.encoded(key).ok_or(ClientError::Unsendable)?;
        let comment = key.comment().as_bytes();
        let mut body = Zeroizing::new(Vec::with_capacity(1 + pair.len() + 4 + comment.len() + conditions.len()));
        body.push(if conditions.is_empty() { 17 } else { 25 });
        body.extend(pair);
        put_string(&mut body, comment);
        body.extend(conditions);
        self.order(&body)
    }

    /// Makes it forget the identity with this public key blob.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] where it has none such.
    pub fn remove(&mut self, blob: &[u8]) -> Result<(), ClientError> {
        let mut body = vec![18];
        put_string(&mut body, blob);
        self.order(&body)
    }

    /// Makes it forget all.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn remove_all(&mut self) -> Result<(), ClientError> {
        self.order(&[19])
    }

    /// Locks it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn lock(&mut self, passphrase: &[u8]) -> Result<(), ClientError> {
        self.with_passphrase(22, passphrase)
    }

    /// Unlocks it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn unlock(&mut self, passphrase: &[u8]) -> Result<(), ClientError> {
        self.with_passphrase(23, passphrase)
    }

    fn with_passphrase(&mut self, kind: u8, passphrase: &[u8]) -> Result<(), ClientError> {
        let mut body = Zeroizing::new(Vec::with_capacity(passphrase.len() + 5));
        body.push(kind);
        put_string(&mut body, passphrase);
        self.order(&body)
    }

    /// A request that is answered with a yes or a no.
    fn order(&mut self, body: &[u8]) -> Result<(), ClientError> {
        match self.ask(body)?.as_slice() {
            [6] => Ok(()),
            answer => Err(refused_or_malformed(answer)),
        }
    }

    fn ask(&mut self, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        let length = u32::try_from(body.len()).map_err(|_| ClientError::Unsendable)?;
        let mut frame = Zeroizing::new(Vec::with_capacity(body.len() + 4));
        frame.extend(length.to_be_bytes());
        frame.extend(body);
        self.stream.write_all(&frame).map_err(ClientError::Broken)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(ClientError::Broken)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > LONGEST_FRAME {
            return Err(ClientError::Malformed);
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(ClientError::Broken)?;
        Ok(body)
    }
}

/// A key pair as add requests have it: `string algorithm`, then the fields of both halves.
fn encoded_pair(key: &PrivateKey) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let mut pair = Zeroizing::new(Vec::with_capacity(LONGEST_PAIR));
    key.key_data().encode(&mut *pair).map_err(|_| ClientError::Unsendable)?;
    Ok(pair)
}

/// What a certificate's add request repeats of an encoded pair: all but what the certificate says. (ed25519's private
/// half is written with its public one before it even there.)
fn private_part(mut pair: &[u8]) -> Option<&[u8]> {
    let said = match take_string(&mut pair)? {
        b"ssh-ed25519" | b"sk-ssh-ed25519@openssh.com" => 0,
        // rsa: n and e; ecdsa: the curve and the point.
        _ => 2,
    };
    for _ in 0..said {
        take_string(&mut pair)?;
    }
    Some(pair)
}

fn refused_or_malformed(answer: &[u8]) -> ClientError {
    match answer {
        [5] => ClientError::Refused,
        _ => ClientError::Malformed,
    }
}
