//! The three messages of the agent protocol that a login needs: bind the session, list, sign.
//!
//! Our own because russh's client gives up on the whole list when one key in it is of a type that it
//! does not know. Protocol: draft-ietf-sshm-ssh-agent; session binding: OpenSSH's PROTOCOL.agent.

use std::io;

use russh::Signer;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use russh::keys::ssh_encoding::{Decode, Encode};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::AgentStream;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const EXTENSION: u8 = 27;
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;
const MAX_FRAME: usize = 256 * 1024;

/// Why a question to the agent has no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("it declined")]
    Declined,
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("{0}")]
    Nonsense(&'static str),
    #[error("the SSH session is gone")]
    SessionGone,
}

impl From<russh::SendError> for AgentError {
    fn from(_: russh::SendError) -> Self {
        Self::SessionGone
    }
}

impl From<russh::keys::ssh_encoding::Error> for AgentError {
    fn from(_: russh::keys::ssh_encoding::Error) -> Self {
        Self::Nonsense("its answer is malformed")
    }
}

/// A key that the agent lists.
#[derive(Debug, Clone)]
pub(super) enum Listed {
    Usable(Box<AgentIdentity>),
    /// Of a type that this program does not know; only named in messages.
    Unknown {
        algorithm: String,
        comment: String,
    },
}

impl Listed {
    /// The key itself; a certificate's is the one that it certifies.
    pub(super) fn key(&self) -> Option<&KeyData> {
        match self {
            Self::Usable(identity) => Some(match &**identity {
                AgentIdentity::PublicKey { key, .. } => key.key_data(),
                AgentIdentity::Certificate { certificate, .. } => certificate.public_key(),
            }),
            Self::Unknown { .. } => None,
        }
    }

    pub(super) fn is_certificate(&self) -> bool {
        matches!(self, Self::Usable(identity) if matches!(**identity, AgentIdentity::Certificate { .. }))
    }
}

/// A conversation with an agent over one stream.
pub(super) struct AgentClient {
    stream: Box<dyn AgentStream>,
}

impl AgentClient {
    pub(super) fn new(stream: Box<dyn AgentStream>) -> Self {
        Self { stream }
    }

    /// Tells the agent which session it signs for, so that it can serve keys restricted to a
    /// destination. An agent that knows no such extension declines, which does no harm.
    pub(super) async fn bind(&mut self, binding: &AgentSessionBinding) -> Result<(), AgentError> {
        let mut body = vec![EXTENSION];
        "session-bind@openssh.com".encode(&mut body)?;
        binding.host_key().encode(&mut body)?;
        binding.session_id().as_ref().encode(&mut body)?;
        binding.signature().encode(&mut body)?;
        body.push(0); // not a forwarded agent
        match self.ask(&body).await?.first() {
            Some(&SUCCESS) => Ok(()),
            _ => Err(AgentError::Declined),
        }
    }

    /// The agent's keys in its order.
    pub(super) async fn identities(&mut self) -> Result<Vec<Listed>, AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES]).await?;
        match answer.split_first() {
            Some((&IDENTITIES_ANSWER, rest)) => read_list(rest),
            Some((&FAILURE, _)) => Err(AgentError::Declined),
            _ => Err(AgentError::Nonsense("its list of identities is malformed")),
        }
    }

    /// The signature blob (`string algorithm, string signature`).
    async fn sign(&mut self, key: &[u8], flags: u32, data: &[u8]) -> Result<Vec<u8>, AgentError> {
        let mut body = vec![SIGN_REQUEST];
        key.encode(&mut body)?;
        data.encode(&mut body)?;
        flags.encode(&mut body)?;
        let answer = self.ask(&body).await?;
        match answer.split_first() {
            Some((&SIGN_RESPONSE, mut rest)) => Ok(Vec::decode(&mut rest)?),
            Some((&FAILURE, _)) => Err(AgentError::Declined),
            _ => Err(AgentError::Nonsense("its signature is malformed")),
        }
    }

    async fn ask(&mut self, body: &[u8]) -> Result<Vec<u8>, AgentError> {
        let length = u32::try_from(body.len()).map_err(|_| AgentError::Nonsense("the request is too long"))?;
        self.stream.write_all(&length.to_be_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let length = self.stream.read_u32().await? as usize;
        if length > MAX_FRAME {
            return Err(AgentError::Nonsense("its answer is too long"));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

impl Signer for AgentClient {
    type Error = AgentError;

    /// russh wants what was signed with the signature behind it.
    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let (blob, algorithm) = match identity {
            AgentIdentity::PublicKey { key, .. } => (key.to_bytes(), key.algorithm()),
            AgentIdentity::Certificate { certificate, .. } => (certificate.to_bytes(), certificate.algorithm()),
        };
        let blob = blob.map_err(|_| AgentError::Nonsense("the key cannot be encoded"))?;
        let signature = self.sign(&blob, flags(&algorithm, hash), &to_sign).await?;
        refuse_weak(&signature)?;
        signature.encode(&mut to_sign)?;
        Ok(to_sign)
    }
}

fn flags(algorithm: &Algorithm, hash: Option<HashAlg>) -> u32 {
    match (algorithm, hash) {
        (Algorithm::Rsa { .. }, Some(HashAlg::Sha256)) => RSA_SHA2_256,
        (Algorithm::Rsa { .. }, _) => RSA_SHA2_512,
        _ => 0,
    }
}

/// An old agent ignores the flags and signs with SHA-1; that must not leave this process.
fn refuse_weak(signature: &[u8]) -> Result<(), AgentError> {
    match String::decode(&mut &signature[..])?.as_str() {
        "ssh-rsa" | "ssh-dss" => Err(AgentError::Nonsense("it signs with SHA-1 only")),
        _ => Ok(()),
    }
}

fn read_list(mut rest: &[u8]) -> Result<Vec<Listed>, AgentError> {
    let count = u32::decode(&mut rest)?;
    let mut listed = Vec::new();
    for _ in 0..count {
        let blob = Vec::<u8>::decode(&mut rest)?;
        let comment = String::from_utf8_lossy(&Vec::<u8>::decode(&mut rest)?).into_owned();
        listed.push(read_identity(&blob, comment));
    }
    Ok(listed)
}

fn read_identity(blob: &[u8], comment: String) -> Listed {
    let algorithm = String::decode(&mut &blob[..]).unwrap_or_default();
    if algorithm.ends_with("-cert-v01@openssh.com") {
        if let Ok(certificate) = Certificate::from_bytes(blob) {
            return Listed::Usable(Box::new(AgentIdentity::Certificate { certificate, comment }));
        }
    } else if let Ok(data) = KeyData::decode(&mut &blob[..])
        && !data.is_other()
        && !data.is_dsa()
    {
        return Listed::Usable(Box::new(AgentIdentity::PublicKey { key: PublicKey::new(data, ""), comment }));
    }
    Listed::Unknown { algorithm, comment }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn list(blobs: &[&[u8]]) -> Vec<u8> {
        let mut list = u32::try_from(blobs.len()).unwrap().to_be_bytes().to_vec();
        for blob in blobs {
            blob.encode(&mut list).unwrap();
            b"comment\xff".as_slice().encode(&mut list).unwrap();
        }
        list
    }

    fn blob(algorithm: &str) -> Vec<u8> {
        let mut blob = Vec::new();
        algorithm.encode(&mut blob).unwrap();
        b"something".as_slice().encode(&mut blob).unwrap();
        blob
    }

    #[test]
    fn keys_of_unknown_types_hide_no_others() {
        let known = PublicKey::from_openssh(ED25519).unwrap();
        let strange = [blob("ssh-dss"), blob("ssh-new@example.com"), blob("ssh-rsa-cert-v01@openssh.com"), vec![1, 2]];
        for strange in strange {
            let listed = read_list(&list(&[&strange, &known.to_bytes().unwrap()])).unwrap();
            assert!(matches!(&listed[0], Listed::Unknown { .. }), "{strange:?}");
            match &listed[1] {
                Listed::Usable(identity) => {
                    assert_eq!(identity.public_key().key_data(), known.key_data())
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_list_cut_short_is_an_error_not_a_shorter_list() {
        let known = PublicKey::from_openssh(ED25519).unwrap().to_bytes().unwrap();
        let whole = list(&[&known]);
        for length in 0..whole.len() {
            assert!(read_list(&whole[..length]).is_err(), "{length}");
        }
        assert_eq!(read_list(&whole).unwrap().len(), 1);
    }

    #[test]
    fn a_sha1_signature_of_an_old_agent_is_not_passed_on() {
        for (algorithm, passed) in
            [("ssh-rsa", false), ("ssh-dss", false), ("rsa-sha2-512", true), ("ssh-ed25519", true)]
        {
            assert_eq!(refuse_weak(&blob(algorithm)).is_ok(), passed, "{algorithm}");
        }
    }

    #[test]
    fn rsa_is_asked_for_with_a_hash_and_other_types_without() {
        let rsa = Algorithm::Rsa { hash: None };
        assert_eq!(flags(&rsa, Some(HashAlg::Sha256)), RSA_SHA2_256);
        assert_eq!(flags(&rsa, Some(HashAlg::Sha512)), RSA_SHA2_512);
        assert_eq!(flags(&rsa, None), RSA_SHA2_512);
        assert_eq!(flags(&Algorithm::Ed25519, None), 0);
    }
}
