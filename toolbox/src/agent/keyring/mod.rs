//! Identities in memory: what an agent holds, without any protocol.
//!
//! Contract: an identity is found by its public key blob, and the blobs are unique. Time is a parameter, so that what
//! expires and when can be told without waiting: every method that could show or use an identity drops the expired ones
//! first. While locked nothing is listed, used or changed. The private halves zero themselves when the last holder lets
//! go; a signature that is being made may hold one a little longer.
//!
//! Absent on purpose, and refused where asked for: confirmation, destination constraints, certificates, tokens. They
//! become further fields of [`Entry`] and checks in [`Keyring::holder`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh_key::{Algorithm, PrivateKey, PublicKey};
use thiserror::Error;

use holder::Holder;
use lock::Lock;
use signer::SealedKey;

mod holder;
mod lock;
pub(crate) mod signer;
#[cfg(test)]
mod tests;

/// Most identities that are held.
pub const MOST_IDENTITIES: usize = 1024;
/// Most bytes that the list of identities may take: clients refuse a longer answer, and would then see none at all.
const LONGEST_LIST: usize = crate::agent::protocol::LONGEST_FRAME - 5;
/// RSA keys that are taken, in bits.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=16384;

/// Why a key was not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddError {
    /// The table or the list is full.
    #[error("the agent is full: it holds {0} identities")]
    Full(usize),
    /// The agent is locked.
    #[error("the agent is locked")]
    Locked,
    /// The public half is not the private half's.
    #[error("the private key does not belong to its public key, or is damaged")]
    Mismatch,
    /// RSA outside the sizes that are taken.
    #[error("an rsa key of {0} bits is not taken: 2048 to 16384 are")]
    RsaSize(u32),
    /// A type that is not signed with.
    #[error("keys of type {0} are not supported")]
    Unsupported(String),
}

/// What [`Keyring::unlock`] says of a wrong attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UnlockError {
    NotLocked,
    /// Wrong; the one who tried waits this long for the answer.
    Wrong(Duration),
}

/// The public side of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The public key in SSH's wire form.
    pub blob: Vec<u8>,
    /// The comment it was added with.
    pub comment: String,
}

impl Identity {
    /// The public key with its comment; `None` only for a blob that no key of ours has.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        let mut key = PublicKey::from_bytes(&self.blob).ok()?;
        key.set_comment(self.comment.as_str());
        Some(key)
    }
}

/// A key that has been checked and can be added.
pub(crate) struct Checked {
    identity: Identity,
    holder: Holder,
}

impl Checked {
    /// Checks a key: its type, its size, and that its halves belong together. Takes as long as one signature, and so
    /// stands apart from [`Keyring::add`], which is called under a lock.
    pub(crate) fn new(key: PrivateKey) -> Result<Self, AddError> {
        let unsupported = || AddError::Unsupported(key.algorithm().to_string());
        match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => {}
            Algorithm::Rsa { .. } => refuse_rsa_size(&key)?,
            _ => return Err(unsupported()),
        }
        let blob = key.public_key().to_bytes().map_err(|_| unsupported())?;
        let comment = key.comment().as_str_lossy().to_owned();
        let key = SealedKey::seal(key).ok_or(AddError::Mismatch)?;
        Ok(Self { identity: Identity { blob, comment }, holder: Holder::Memory(Arc::new(key)) })
    }
}

fn refuse_rsa_size(key: &PrivateKey) -> Result<(), AddError> {
    let bits = key.key_data().rsa().map_or(0, |rsa| rsa.key_size());
    match RSA_BITS.contains(&bits) {
        true => Ok(()),
        false => Err(AddError::RsaSize(bits)),
    }
}

struct Entry {
    identity: Identity,
    holder: Holder,
    /// The moment from which it is no longer there.
    expires: Option<Instant>,
}

/// The identities, and whether they are locked away.
#[derive(Default)]
pub(crate) struct Keyring {
    entries: Vec<Entry>,
    lock: Option<Lock>,
}

impl Keyring {
    /// Adds an identity. One with the same public key is replaced in its place, with its comment and lifetime, as in
    /// OpenSSH's agent.
    pub(crate) fn add(&mut self, new: Checked, expires: Option<Instant>, now: Instant) -> Result<(), AddError> {
        self.expire(now);
        if self.lock.is_some() {
            return Err(AddError::Locked);
        }
        let place = self.place(&new.identity.blob);
        self.refuse_full(&new.identity, place)?;
        let entry = Entry { identity: new.identity, holder: new.holder, expires };
        match place {
            Some(place) => self.entries[place] = entry,
            None => self.entries.push(entry),
        }
        Ok(())
    }

    /// What there is, in the order of adding; nothing while locked.
    pub(crate) fn identities(&mut self, now: Instant) -> Vec<Identity> {
        self.expire(now);
        match self.lock {
            Some(_) => Vec::new(),
            None => self.entries.iter().map(|entry| entry.identity.clone()).collect(),
        }
    }

    /// Who signs for a public key blob; `None` while locked.
    pub(crate) fn holder(&mut self, blob: &[u8], now: Instant) -> Option<Holder> {
        self.expire(now);
        let place = self.place(blob).filter(|_| self.lock.is_none())?;
        Some(self.entries[place].holder.clone())
    }

    /// Removes one; says whether it was there. Nothing is removed while locked.
    pub(crate) fn remove(&mut self, blob: &[u8], now: Instant) -> bool {
        self.expire(now);
        let place = self.place(blob).filter(|_| self.lock.is_none());
        place.map(|place| self.entries.remove(place)).is_some()
    }

    /// Removes all; says whether it did, which it does not while locked.
    pub(crate) fn remove_all(&mut self) -> bool {
        if self.lock.is_none() {
            self.entries.clear();
        }
        self.lock.is_none()
    }

    /// Locks with a passphrase that is not empty; says whether it did, which it does not when locked already.
    pub(crate) fn lock(&mut self, passphrase: &[u8]) -> bool {
        if self.lock.is_some() || passphrase.is_empty() {
            return false;
        }
        self.lock = Lock::new(passphrase);
        self.lock.is_some()
    }

    /// Unlocks, if the passphrase is the one that locked.
    pub(crate) fn unlock(&mut self, passphrase: &[u8]) -> Result<(), UnlockError> {
        let lock = self.lock.as_mut().ok_or(UnlockError::NotLocked)?;
        lock.try_open(passphrase).map_err(UnlockError::Wrong)?;
        self.lock = None;
        Ok(())
    }

    /// Drops what has expired by `now`, locked or not.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.entries.retain(|entry| entry.expires.is_none_or(|expires| now < expires));
    }

    fn place(&self, blob: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.identity.blob == blob)
    }

    fn refuse_full(&self, new: &Identity, replaces: Option<usize>) -> Result<(), AddError> {
        let kept = self.entries.iter().enumerate().filter(|(place, _)| Some(*place) != replaces);
        let (count, bytes) =
            kept.fold((1, listed(new)), |(count, bytes), (_, entry)| (count + 1, bytes + listed(&entry.identity)));
        match count > MOST_IDENTITIES || bytes > LONGEST_LIST {
            true => Err(AddError::Full(self.entries.len())),
            false => Ok(()),
        }
    }
}

/// The bytes that an identity takes in the list: two strings, each with its length before it.
fn listed(identity: &Identity) -> usize {
    identity.blob.len() + identity.comment.len() + 8
}
