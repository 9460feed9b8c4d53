//! Destination constraints: over which hosts, to which host and for which user an identity may be used.
//!
//! Contract: the rules of OpenSSH's agent (`identity_permitted`, `permitted_by_dest_constraints` and `match_key_hop` in
//! ssh-agent.c). An identity without constraints is permitted everywhere, and a constrained one on a connection that is
//! bound to no session, where it is listed but never signs. On a bound connection each hop must be allowed by a
//! constraint; the user is known, and matched, at the last hop of a signature only.
//!
//! One rule is stricter than OpenSSH's: after any failed binding a connection sees no constrained identity ever again,
//! and not only until a binding succeeds. A hop that could not be recorded cannot be checked.

use super::bindings::{Bindings, HostKey};
use crate::agent::pattern;

#[cfg(test)]
mod tests;

/// A key by which a host of a constraint is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HopKey {
    /// The public key in SSH's wire form.
    pub(crate) blob: Vec<u8>,
    /// Whether it is the key of an authority that certifies the host.
    pub(crate) is_authority: bool,
}

/// One end of a constraint. Empty names stand for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    /// A pattern; empty for any user.
    pub(crate) user: Vec<u8>,
    /// Empty for the place where the agent runs.
    pub(crate) host: Vec<u8>,
    pub(crate) keys: Vec<HopKey>,
}

/// One permitted step, from a host to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) from: Hop,
    pub(crate) to: Hop,
}

impl Destination {
    /// The bytes that it takes in memory.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.from.content() + self.to.content()
    }
}

impl Hop {
    fn content(&self) -> usize {
        let keys = self.keys.iter().map(|key| size_of::<HopKey>() + key.blob.len());
        self.user.len() + self.host.len() + keys.sum::<usize>()
    }

    /// Whether a host that showed `key` is this one.
    fn is_known_by(&self, key: &HostKey, now: u64) -> bool {
        self.keys.iter().any(|known| match (key.certificate(), known.is_authority) {
            (None, false) => known.blob == key.blob(),
            (Some(certificate), true) => {
                certificate.authority() == known.blob && certificate.vouches_for_host(&self.host, now)
            }
            _ => false,
        })
    }

    fn is_origin(&self) -> bool {
        self.host.is_empty() && self.keys.is_empty()
    }
}

impl Destination {
    /// Whether it allows the step `from` (`None` is the origin) `to` (`None` is anywhere) as `user` (`None` is anyone).
    fn allows(&self, from: Option<&HostKey>, to: Option<&HostKey>, user: Option<&[u8]>, now: u64) -> bool {
        let leaves = from.map_or_else(|| self.from.is_origin(), |key| self.from.is_known_by(key, now));
        leaves
            && to.is_none_or(|key| self.to.is_known_by(key, now))
            && user.is_none_or(|user| self.to.user.is_empty() || pattern::matches(user, &self.to.user))
    }
}

/// Whether an identity with these constraints may be seen over a connection with these bindings, or, where a `user` is
/// given, may sign for that user. `now` is in seconds since 1970, for the validity of host certificates.
pub(crate) fn permitted(constraints: &[Destination], bindings: &Bindings, user: Option<&[u8]>, now: u64) -> bool {
    let allowed =
        |from, to, user: Option<&[u8]>| constraints.iter().any(|constraint| constraint.allows(from, to, user, now));
    if constraints.is_empty() {
        return true;
    }
    if bindings.have_failed() {
        return false;
    }
    let Some((last, forwardings)) = bindings.recorded().split_last() else {
        return true;
    };
    let mut from = None;
    for hop in forwardings {
        if !hop.forwarded || !allowed(from, Some(&hop.key), None) {
            return false;
        }
        from = Some(&hop.key);
    }
    // A key that may be used at the last host, but not beyond it, is nothing to show to that host's clients.
    let beyond = match (last.forwarded, user) {
        (true, Some(_)) => false,
        (true, None) => allowed(Some(&last.key), None, None),
        (false, _) => true,
    };
    beyond && allowed(from, Some(&last.key), user)
}
