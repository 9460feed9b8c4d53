//! The agent's lock: keeps a digest of the passphrase that locked it, and counts wrong attempts.
//!
//! Contract: no passphrase is kept; the digest is bcrypt's with a random salt and one round, as in OpenSSH's agent.
//! Waiting is the session's business, so that a wrong attempt delays only who made it; here only the length is known.

use std::time::Duration;

use russh::keys::key::safe_rng;
use ssh_key::{Kdf, KdfAlg};
use zeroize::Zeroizing;

const DIGEST: usize = 32;
const ROUNDS: u32 = 1;
/// What one failure adds to the wait, and how many count: OpenSSH's figures.
const DELAY: Duration = Duration::from_millis(100);
const MOST_FAILURES: u32 = 100;

/// A locked state.
pub(crate) struct Lock {
    kdf: Kdf,
    digest: Zeroizing<[u8; DIGEST]>,
    failures: u32,
}

impl Lock {
    /// Locks with `passphrase`; `None` if it cannot be digested (an empty one).
    pub(crate) fn new(passphrase: &[u8]) -> Option<Self> {
        let Kdf::Bcrypt { salt, .. } = Kdf::new(KdfAlg::Bcrypt, &mut safe_rng()).ok()? else {
            return None;
        };
        let kdf = Kdf::Bcrypt { salt, rounds: ROUNDS };
        let digest = digest(&kdf, passphrase)?;
        Some(Self { kdf, digest, failures: 0 })
    }

    /// Whether `passphrase` opens it; if not, how long the one who tried has to wait for the answer.
    pub(crate) fn try_open(&mut self, passphrase: &[u8]) -> Result<(), Duration> {
        // Digests of one length: an early exit in their comparison says nothing about the passphrase.
        if digest(&self.kdf, passphrase).is_some_and(|attempt| *attempt == *self.digest) {
            return Ok(());
        }
        self.failures = (self.failures + 1).min(MOST_FAILURES);
        Err(DELAY * self.failures)
    }
}

fn digest(kdf: &Kdf, passphrase: &[u8]) -> Option<Zeroizing<[u8; DIGEST]>> {
    let mut output = Zeroizing::new([0; DIGEST]);
    kdf.derive(passphrase, &mut output[..]).ok()?;
    Some(output)
}
