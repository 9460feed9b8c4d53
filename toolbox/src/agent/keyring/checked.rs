//! Keys that have been checked and can be added: their type and size, and that their parts belong together.

use std::error::Error as _;
use std::sync::Arc;

use ssh_key::{Algorithm, PrivateKey};
use thiserror::Error;

use super::holder::Holder;
use super::signer::SealedKey;
use crate::agent::certificate::Certificate;
use crate::agent::helper::{FidoKey, HelperError, TokenKey};
use crate::agent::shown::shown;

/// RSA keys that are taken, in bits.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=16384;

/// Why a key was not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddError {
    /// The table, the list, or the room for destinations is full.
    #[error("the agent is full: it holds {0} identities")]
    Full(usize),
    /// A comment that would fill the list.
    #[error("the comment is {0} bytes long, and at most {MOST} are kept", MOST = super::LONGEST_COMMENT)]
    LongComment(usize),
    /// The agent is locked.
    #[error("the agent is locked")]
    Locked,
    /// What a client sent is no private key.
    #[error("the private key is malformed")]
    Malformed,
    /// The public half is not the private half's.
    #[error("the private key does not belong to its public key, or is damaged")]
    Mismatch,
    /// The certificate certifies another key.
    #[error("the certificate is for another key")]
    OtherCertificate,
    /// RSA outside the sizes that are taken.
    #[error("an rsa key of {0} bits is not taken: 2048 to 16384 are")]
    RsaSize(u32),
    /// A type that is not signed with.
    #[error("keys of type {} are not supported", shown(.0))]
    Unsupported(String),
    /// Each use shall be confirmed, and nobody can be asked.
    #[error("nobody can be asked to confirm the key's use: SSH_ASKPASS names no program")]
    NobodyToAsk,
    /// An identity with this public key is there, and restricted to other destinations than the client's.
    #[error("the key is there already, and not this client's to replace")]
    NotPermitted,
    /// The key is in a device, and OpenSSH's helper program or the device's library cannot be used.
    #[error("{0}")]
    Device(String),
}

impl From<HelperError> for AddError {
    fn from(error: HelperError) -> Self {
        match error.source() {
            Some(source) => Self::Device(format!("{error}: {source}")),
            None => Self::Device(error.to_string()),
        }
    }
}

/// A key that can be added.
pub(crate) struct Checked {
    pub(super) blob: Vec<u8>,
    /// The plain public key, where `blob` is a certificate.
    pub(super) certified: Option<Vec<u8>>,
    pub(super) comment: Vec<u8>,
    pub(super) holder: Holder,
}

impl Checked {
    /// Checks a key: its type, its size, and that its halves and its certificate belong together. Its comment becomes the
    /// identity's. Takes as long as one signature, and so stands apart from [`Keyring::add`](super::Keyring::add), which
    /// is called under a mutex.
    pub(crate) fn new(key: &PrivateKey, certificate: Option<Certificate>) -> Result<Self, AddError> {
        let unsupported = || AddError::Unsupported(key.algorithm().to_string());
        let is_slow = match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => false,
            Algorithm::Rsa { .. } => refuse_rsa_size(key).map(|()| true)?,
            _ => return Err(unsupported()),
        };
        let plain = key.public_key().to_bytes().map_err(|_| unsupported())?;
        let (blob, certified) = match certificate {
            None => (plain, None),
            Some(certificate) if certificate.plain_key() == plain => (certificate.blob().to_vec(), Some(plain)),
            Some(_) => return Err(AddError::OtherCertificate),
        };
        let comment = key.comment().as_bytes().to_vec();
        let key = Arc::new(SealedKey::seal(key).ok_or(AddError::Mismatch)?);
        let holder = if is_slow { Holder::Slow(key) } else { Holder::Quick(key) };
        Ok(Self { blob, certified, comment, holder })
    }
}

impl Checked {
    /// A FIDO key, or its certificate.
    pub(crate) fn fido(key: FidoKey, comment: Vec<u8>) -> Self {
        let (blob, plain) = (key.blob().to_vec(), key.plain_key().to_vec());
        Self::held(blob, plain, comment, Holder::Fido(Arc::new(key)))
    }

    /// A key of a token, or a certificate of one.
    pub(crate) fn token(key: TokenKey) -> Self {
        let (blob, plain) = (key.blob().to_vec(), key.plain_key().to_vec());
        let comment = key.label().as_bytes().to_vec();
        Self::held(blob, plain, comment, Holder::Token(Arc::new(key)))
    }

    fn held(blob: Vec<u8>, plain: Vec<u8>, comment: Vec<u8>, holder: Holder) -> Self {
        let certified = (blob != plain).then_some(plain);
        Self { blob, certified, comment, holder }
    }
}

fn refuse_rsa_size(key: &PrivateKey) -> Result<(), AddError> {
    let bits = key.key_data().rsa().map_or(0, |rsa| rsa.key_size());
    match RSA_BITS.contains(&bits) {
        true => Ok(()),
        false => Err(AddError::RsaSize(bits)),
    }
}
