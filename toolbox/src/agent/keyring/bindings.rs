//! The sessions that a connection to the agent is bound to: over which hosts it came.
//!
//! Contract: the rules of OpenSSH's agent (`session-bind@openssh.com`, PROTOCOL.agent section 1). A binding counts when
//! the host key's signature over the session's identifier is good. The same binding again is accepted and changes
//! nothing. A failed binding is remembered for the connection's life; see [`destination`](super::destination).

use thiserror::Error;

use crate::agent::certificate::{Certificate, is_certificate, public_key, verify};

#[cfg(test)]
mod tests;

/// Most sessions of one connection.
const MOST_BINDINGS: usize = 16;
/// Longest identifier of a session, in bytes.
const LONGEST_SESSION: usize = 128;

/// Why a connection was not bound.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum BindError {
    #[error("the request is malformed")]
    Malformed,
    #[error("the host key is malformed, or of an unknown type")]
    HostKey,
    #[error("the session's identifier is empty, or longer than {LONGEST_SESSION} bytes")]
    Session,
    #[error("the host key's signature is not good")]
    Signature,
    #[error("the connection is already bound for authentication")]
    Authentication,
    #[error("the session is already bound to another host key")]
    OtherKey,
    #[error("the connection is already bound to {MOST_BINDINGS} sessions")]
    TooMany,
}

/// A host's public key, or its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostKey {
    blob: Vec<u8>,
    certificate: Option<Certificate>,
}

impl HostKey {
    /// Reads a blob; `None` for what is no key of a known type.
    pub(crate) fn from_blob(blob: &[u8]) -> Option<Self> {
        let certificate = match is_certificate(blob) {
            true => Some(Certificate::from_blob(blob).ok()?),
            false => public_key(blob).map(|_| None)?,
        };
        Some(Self { blob: blob.to_vec(), certificate })
    }

    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        verify(self.certificate.as_ref().map_or(&self.blob, |certificate| certificate.plain_key()), message, signature)
    }
}

/// One session that a connection is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) key: HostKey,
    /// The exchange hash of the session's first key exchange.
    pub(crate) session: Vec<u8>,
    /// Whether the agent was forwarded to that host; if not, the session is for authentication there.
    pub(crate) forwarded: bool,
}

/// All of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    recorded: Vec<Binding>,
    failed: bool,
}

impl Bindings {
    /// The bindings in the order of the hops.
    pub(crate) fn recorded(&self) -> &[Binding] {
        &self.recorded
    }

    /// Whether any binding has failed.
    pub(crate) fn have_failed(&self) -> bool {
        self.failed
    }

    /// Whether any binding was tried, so that the client may be on another host.
    pub(crate) fn were_tried(&self) -> bool {
        self.failed || !self.recorded.is_empty()
    }

    /// Notes that a binding was tried and not made.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// Binds to a session, if `signature` is the host key's over it.
    pub(crate) fn bind(&mut self, binding: Binding, signature: &[u8]) -> Result<(), BindError> {
        let bound = self.try_bind(binding, signature);
        self.failed |= bound.is_err();
        bound
    }

    fn try_bind(&mut self, binding: Binding, signature: &[u8]) -> Result<(), BindError> {
        if !(1..=LONGEST_SESSION).contains(&binding.session.len()) {
            return Err(BindError::Session);
        }
        if !binding.key.has_signed(&binding.session, signature) {
            return Err(BindError::Signature);
        }
        // In the order of the hops, as in OpenSSH: a known forwarding is found before a later authentication forbids.
        for earlier in &self.recorded {
            match (earlier.forwarded, earlier.session == binding.session) {
                (false, _) => return Err(BindError::Authentication),
                (true, true) if earlier.key == binding.key => return Ok(()),
                (true, true) => return Err(BindError::OtherKey),
                (true, false) => {}
            }
        }
        if self.recorded.len() >= MOST_BINDINGS {
            return Err(BindError::TooMany);
        }
        self.recorded.push(binding);
        Ok(())
    }
}
