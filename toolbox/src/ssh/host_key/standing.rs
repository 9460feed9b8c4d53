//! What is on file about the keys that a host offers, before any of them is trusted.

use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::{Entry, HostKeyPolicy, Marker};
use crate::ssh::{Place, SshError};

/// What the files or the inventory say about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A key that it offers is on file, here.
    OnFile(Vec<Place>),
    /// An authority is on file, which vouches for its certificates.
    Authority(Place),
    /// Nothing is on file.
    Unknown,
}

impl HostKeyPolicy {
    /// Compares what a host offers with what is on file.
    ///
    /// # Errors
    /// [`SshError::HostKeyRevoked`]; [`SshError::HostKeyChanged`] where another key of the host is on file, of an
    /// offered type or instead of all that are offered.
    pub(in crate::ssh) fn standing(&self, offered: &[PublicKey]) -> Result<Standing, SshError> {
        for key in offered {
            self.refuse_revoked(key.key_data(), "the key is marked @revoked")?;
        }
        let is_offered = |entry: &&Entry| offered.iter().any(|key| key.key_data() == entry.key());
        let (known, others): (Vec<&Entry>, Vec<&Entry>) =
            self.known.about(&self.host).filter(|entry| entry.marker().is_none()).partition(is_offered);
        // As in a login: another key of a type counts only where none of that type is right.
        let is_conflict = |entry: &&&Entry| {
            let same = |key: &KeyData| key.algorithm() == entry.key().algorithm();
            let settled = known.iter().any(|right| self.pinned || same(right.key()));
            !settled && (known.is_empty() || offered.iter().any(|key| same(key.key_data())))
        };
        let conflicts: Vec<&Entry> = others.iter().filter(is_conflict).copied().collect();
        let of_type = |key: &&PublicKey| conflicts.iter().any(|entry| entry.key().algorithm() == key.algorithm());
        if let Some(key) = offered.iter().find(of_type).or(offered.first()).filter(|_| !conflicts.is_empty()) {
            return Err(self.changed(key, &conflicts));
        }
        let places = self.with_marker(None).filter(is_offered).map(|entry| entry.place().clone());
        let places: Vec<Place> = places.collect();
        let authority = self.with_marker(Some(Marker::CertAuthority)).next();
        Ok(match (places.is_empty(), authority) {
            (false, _) => Standing::OnFile(places),
            (true, Some(authority)) => Standing::Authority(authority.place().clone()),
            (true, None) => Standing::Unknown,
        })
    }
}
