//! The agent's lock: keeps a digest of the passphrase that locked it, and counts wrong attempts.
//!
//! Contract: no passphrase is kept; the digest is bcrypt's with a random salt and one round, as in OpenSSH's agent. It
//! takes a millisecond, and so is made apart from the keyring and without its mutex: a [`Salt`] makes a [`Digest`], and
//! only digests are compared under it. Waiting is the session's business, so that a wrong attempt delays only who made
//! it; here only the length is known.

use std::time::Duration;

use russh::keys::key::safe_rng;
use ssh_key::{Kdf, KdfAlg};
use zeroize::Zeroizing;

use crate::agent::memory::scrub::scrubbed_deep;

const DIGEST: usize = 32;
const ROUNDS: u32 = 1;
/// What one failure adds to the wait, and how many count: OpenSSH's figures.
const DELAY: Duration = Duration::from_millis(100);
const MOST_FAILURES: u32 = 100;

/// What makes the digests of one lock unlike those of any other.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Salt(Vec<u8>);

/// A passphrase's digest with a salt.
pub(crate) struct Digest {
    salt: Salt,
    digest: Box<Zeroizing<[u8; DIGEST]>>,
}

impl Salt {
    /// A random one; `None` where there is no randomness.
    pub(crate) fn random() -> Option<Self> {
        match Kdf::new(KdfAlg::Bcrypt, &mut safe_rng()).ok()? {
            Kdf::Bcrypt { salt, .. } => Some(Self(salt)),
            _ => None,
        }
    }

    /// The digest of a passphrase; `None` for an empty one. Takes about a millisecond.
    pub(crate) fn digest(&self, passphrase: &[u8]) -> Option<Digest> {
        let mut digest = Box::new(Zeroizing::new([0; DIGEST]));
        let kdf = Kdf::Bcrypt { salt: self.0.clone(), rounds: ROUNDS };
        // Boxed, and its stack overwritten: the key derivation keeps the passphrase in its hash's block.
        scrubbed_deep(|| kdf.derive(passphrase, &mut digest[..])).ok()?;
        Some(Digest { salt: self.clone(), digest })
    }
}

/// A locked state.
pub(crate) struct Lock {
    digest: Digest,
    failures: u32,
}

impl Lock {
    /// Locked by the passphrase of this digest.
    pub(crate) fn new(digest: Digest) -> Self {
        Self { digest, failures: 0 }
    }

    /// What attempts to open it are digested with.
    pub(crate) fn salt(&self) -> Salt {
        self.digest.salt.clone()
    }

    #[cfg(test)]
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the attempt opens it; if not, how long the one who tried has to wait for the answer. An attempt that
    /// could not be digested, or was for another lock, is a wrong one.
    pub(crate) fn try_open(&mut self, attempt: Option<&Digest>) -> Result<(), Duration> {
        let fits = |attempt: &Digest| attempt.salt == self.digest.salt && **attempt.digest == **self.digest.digest;
        // Digests of one length: an early exit in their comparison says nothing about the passphrase.
        if attempt.is_some_and(fits) {
            return Ok(());
        }
        self.failures = (self.failures + 1).min(MOST_FAILURES);
        Err(DELAY * self.failures)
    }
}
