//! Identities in memory: what an agent holds, without any protocol.
//!
//! Contract: an identity is found by its public key blob (a certificate's is its own), and the blobs are unique. Time is
//! a parameter, so that what expires and when can be told without waiting: every method that could show or use an
//! identity drops the expired ones first. While locked nothing is listed, used or changed, but [`Keyring::wipe`] still
//! empties it. Whoever asks is known by the [`Bindings`] of their connection: what those do not permit is not there for
//! them. The private halves zero themselves when the last holder lets go; a signature that is being made may hold one a
//! little longer. A token's helper ends with the last of its identities.
//!
//! Absent on purpose: asking a person to confirm, which takes long; [`Profile::confirm`] only says that it must be done.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ssh_key::PublicKey;

use super::certificate::public_key;
use super::helper::{Library, TokenProvider};
pub(crate) use bindings::Bindings;
pub use checked::AddError;
pub(crate) use checked::Checked;
pub(crate) use destination::Destination;
pub(crate) use holder::Holder;
use lock::Lock;
pub(crate) use lock::{Digest, Salt};

pub(crate) mod bindings;
mod checked;
pub(crate) mod destination;
mod holder;
mod lock;
pub(crate) mod signer;
#[cfg(test)]
mod tests;

/// Most identities that are held.
pub const MOST_IDENTITIES: usize = 1024;
/// Most bytes that the list of identities may take: clients refuse a longer answer, and would then see none at all.
const LONGEST_LIST: usize = crate::agent::protocol::LONGEST_FRAME - 5;

/// Longest comment, in bytes.
const LONGEST_COMMENT: usize = 1024;
/// Most bytes that the destinations of all identities may take.
const MOST_DESTINATION_BYTES: usize = 4 << 20;

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
    /// The public key, or the certificate, in SSH's wire form.
    pub blob: Vec<u8>,
    /// The comment it was added with.
    pub comment: String,
}

impl Identity {
    /// The public key with its comment; `None` for a certificate, which [`Certificate`](crate::agent::Certificate)
    /// reads.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        let mut key = PublicKey::from(public_key(&self.blob)?);
        key.set_comment(self.comment.as_str());
        Some(key)
    }
}

/// On what terms an identity is held.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    /// The moment from which it is no longer there.
    pub(crate) expires: Option<Instant>,
    /// Whether a person must agree to each use.
    pub(crate) confirm: bool,
    /// Where it may be used; everywhere if empty.
    pub(crate) destinations: Vec<Destination>,
}

/// What is known of an identity besides its private half.
pub(crate) struct Profile {
    pub(crate) blob: Vec<u8>,
    certified: Option<Vec<u8>>,
    pub(crate) comment: Vec<u8>,
    pub(crate) confirm: bool,
    pub(crate) destinations: Vec<Destination>,
}

impl Profile {
    /// The public key without its certificate.
    pub(crate) fn plain_key(&self) -> &[u8] {
        self.certified.as_ref().unwrap_or(&self.blob)
    }

    /// Whether it may be seen, or used for `user`, over a connection with these bindings.
    pub(crate) fn is_permitted(&self, bindings: &Bindings, user: Option<&[u8]>) -> bool {
        // The clock is read for those only that need it.
        self.destinations.is_empty() || destination::permitted(&self.destinations, bindings, user, seconds_since_1970())
    }

    /// The bytes that it takes in the list: two strings, each with its length before it.
    fn listed(&self) -> usize {
        self.blob.len() + self.comment.len() + 8
    }

    /// The bytes that its destinations take in memory.
    fn restricting(&self) -> usize {
        self.destinations.iter().map(Destination::size).sum()
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Names one adding of an identity: adding it again gives another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// What [`Keyring::find`] gives.
pub(crate) struct Found {
    pub(crate) ticket: Ticket,
    pub(crate) profile: Arc<Profile>,
    pub(crate) holder: Holder,
}

struct Entry {
    ticket: Ticket,
    profile: Arc<Profile>,
    holder: Holder,
    expires: Option<Instant>,
}

/// The identities, and whether they are locked away.
#[derive(Default)]
pub(crate) struct Keyring {
    entries: Vec<Entry>,
    /// The first moment at which something expires, so that looking for what has expired costs nothing before it.
    due: Option<Instant>,
    lock: Option<Lock>,
    tickets: u64,
}

impl Keyring {
    /// Adds an identity. One with the same public key is replaced in its place, with its comment and its terms, as in
    /// OpenSSH's agent, if it is there for who asks.
    pub(crate) fn add(
        &mut self,
        new: Checked,
        terms: Terms,
        bindings: &Bindings,
        now: Instant,
    ) -> Result<(), AddError> {
        self.expire(now);
        if self.is_locked() {
            return Err(AddError::Locked);
        }
        let place = self.place(&new.blob);
        if place.is_some_and(|place| !self.entries[place].profile.is_permitted(bindings, None)) {
            return Err(AddError::NotPermitted);
        }
        self.put(new, terms, place)
    }

    /// Adds an identity, unless one with the same public key is there; says whether it did.
    pub(crate) fn add_new(&mut self, new: Checked, terms: Terms, now: Instant) -> Result<bool, AddError> {
        self.expire(now);
        match self.place(&new.blob) {
            _ if self.is_locked() => Err(AddError::Locked),
            Some(_) => Ok(false),
            None => self.put(new, terms, None).map(|()| true),
        }
    }

    fn put(&mut self, new: Checked, terms: Terms, place: Option<usize>) -> Result<(), AddError> {
        let entry = self.entry(new, terms);
        self.refuse_full(&entry.profile, place)?;
        self.due = self.due.into_iter().chain(entry.expires).min();
        match place {
            Some(place) => self.entries[place] = entry,
            None => self.entries.push(entry),
        }
        Ok(())
    }

    fn entry(&mut self, new: Checked, terms: Terms) -> Entry {
        self.tickets += 1;
        let Checked { blob, certified, comment, holder } = new;
        let Terms { expires, confirm, destinations } = terms;
        let profile = Arc::new(Profile { blob, certified, comment, confirm, destinations });
        Entry { ticket: Ticket(self.tickets), profile, holder, expires }
    }

    /// What there is for who asks, in the order of adding; nothing while locked.
    pub(crate) fn visible(&mut self, bindings: &Bindings, now: Instant) -> impl Iterator<Item = &Profile> {
        self.expire(now);
        let entries = if self.is_locked() { &[][..] } else { &self.entries };
        entries.iter().map(|entry| &*entry.profile).filter(|profile| profile.is_permitted(bindings, None))
    }

    /// The bytes that the list of all identities takes.
    pub(crate) fn list_size(&self) -> usize {
        self.entries.iter().map(|entry| entry.profile.listed()).sum()
    }

    /// How many identities there are, seen or not.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is an identity with this public key blob, seen or not.
    pub(crate) fn holds(&self, blob: &[u8]) -> bool {
        self.place(blob).is_some()
    }

    /// An identity by its public key blob; `None` while locked. Whether it may be used is not looked at.
    pub(crate) fn find(&mut self, blob: &[u8], now: Instant) -> Option<Found> {
        self.expire(now);
        let entry = &self.entries[self.place(blob).filter(|_| !self.is_locked())?];
        Some(Found { ticket: entry.ticket, profile: Arc::clone(&entry.profile), holder: entry.holder.clone() })
    }

    /// Who signs for an identity that was found before, if it is still there; `None` while locked.
    pub(crate) fn holder(&mut self, ticket: Ticket, now: Instant) -> Option<Holder> {
        self.expire(now);
        let entry = self.entries.iter().find(|entry| entry.ticket == ticket).filter(|_| !self.is_locked())?;
        Some(entry.holder.clone())
    }

    /// Removes one; says whether it was there for who asks. Nothing is removed while locked.
    pub(crate) fn remove(&mut self, blob: &[u8], bindings: &Bindings, now: Instant) -> bool {
        self.expire(now);
        let place = self.place(blob).filter(|_| !self.is_locked());
        let place = place.filter(|place| self.entries[*place].profile.is_permitted(bindings, None));
        place.map(|place| self.entries.remove(place)).is_some()
    }

    /// Whether a library's helper runs for an identity that is there.
    pub(crate) fn has_living_token(&mut self, library: &Library, now: Instant) -> bool {
        self.expire(now);
        self.entries.iter().filter_map(|entry| entry.holder.token(library)).any(TokenProvider::is_alive)
    }

    /// Removes all identities of a library's tokens, whoever asks, and ends its helper; says whether it did, which it
    /// does not while locked.
    pub(crate) fn remove_token(&mut self, library: &Library) -> bool {
        if !self.is_locked() {
            self.entries.retain(|entry| entry.holder.token(library).map(TokenProvider::stop).is_none());
        }
        !self.is_locked()
    }

    /// Removes all; says whether it did, which it does not while locked.
    pub(crate) fn remove_all(&mut self) -> bool {
        if !self.is_locked() {
            self.wipe();
        }
        !self.is_locked()
    }

    /// Removes all, locked or not.
    pub(crate) fn wipe(&mut self) {
        self.entries.clear();
        self.due = None;
    }

    /// Whether it is locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Locks with a passphrase's digest; says whether it did, which it does not when locked already.
    pub(crate) fn lock(&mut self, digest: Digest) -> bool {
        let locks = !self.is_locked();
        if locks {
            self.lock = Some(Lock::new(digest));
        }
        locks
    }

    /// What an attempt to unlock is digested with; `None` when nothing is locked.
    pub(crate) fn salt(&self) -> Option<Salt> {
        self.lock.as_ref().map(Lock::salt)
    }

    /// Unlocks, if the digest is of the passphrase that locked.
    pub(crate) fn unlock(&mut self, attempt: Option<&Digest>) -> Result<(), UnlockError> {
        let lock = self.lock.as_mut().ok_or(UnlockError::NotLocked)?;
        lock.try_open(attempt).map_err(UnlockError::Wrong)?;
        self.lock = None;
        Ok(())
    }

    /// To see in a test that an attempt has been looked at.
    #[cfg(test)]
    pub(crate) fn failures(&self) -> u32 {
        self.lock.as_ref().map_or(0, Lock::failures)
    }

    /// Drops what has expired by `now`, locked or not.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.entries.retain(|entry| entry.expires.is_none_or(|expires| now < expires));
            self.due = self.entries.iter().filter_map(|entry| entry.expires).min();
        }
    }

    /// A moment at which [`Keyring::expire`] may find something; `None` if never.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    fn place(&self, blob: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.profile.blob == blob)
    }

    fn refuse_full(&self, new: &Profile, replaces: Option<usize>) -> Result<(), AddError> {
        if new.comment.len() > LONGEST_COMMENT {
            return Err(AddError::LongComment(new.comment.len()));
        }
        let staying = self.entries.iter().enumerate().filter(|(place, _)| Some(*place) != replaces);
        let (mut count, mut listed, mut restricting) = (1, new.listed(), new.restricting());
        for (_, entry) in staying {
            count += 1;
            listed += entry.profile.listed();
            restricting += entry.profile.restricting();
        }
        match count > MOST_IDENTITIES || listed > LONGEST_LIST || restricting > MOST_DESTINATION_BYTES {
            true => Err(AddError::Full(self.entries.len())),
            false => Ok(()),
        }
    }
}
