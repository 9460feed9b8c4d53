//! A private key at rest, and the signatures made with it: the one place where private halves are kept and used.
//!
//! Contract: [`SealedKey::seal`] checks that the halves belong together. The algorithm of a signature is the key's own;
//! for rsa the request's flags choose the hash as OpenSSH's agent chooses it, SHA-1 only for a request without flags.
//! All arithmetic is ssh-key 0.7's (0.6's rsa signing is broken).

use russh::keys::signature::{Signer as _, Verifier as _};
use ssh_agent_lib::proto::signature::{RSA_SHA2_256, RSA_SHA2_512};
use ssh_key::encoding::Encode as _;
use ssh_key::private::KeypairData;
use ssh_key::{HashAlg, PrivateKey, Signature};

/// A private key that can sign. Its memory is zeroed when it is dropped.
pub(crate) struct SealedKey {
    key: PrivateKey,
}

impl SealedKey {
    /// Takes a key in; `None` if its private half does not belong to its public one. Takes as long as one signature.
    pub(crate) fn seal(key: PrivateKey) -> Option<Self> {
        const TRIAL: &[u8] = b"toolbox: a trial signature";
        let signature = raw_signature(&key, TRIAL, RSA_SHA2_512)?;
        // Signing with rsa has checked the numbers against each other; verifying stops at 8192 bits there.
        let fits = matches!(key.key_data(), KeypairData::Rsa(_))
            || key.public_key().key_data().verify(TRIAL, &signature).is_ok();
        fits.then_some(Self { key })
    }

    /// Signs `data`; `flags` are the agent protocol's. The signature in SSH's wire form: `string algorithm, string
    /// signature`.
    pub(crate) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let mut blob = Vec::new();
        raw_signature(&self.key, data, flags)?.encode(&mut blob).ok()?;
        Some(blob)
    }
}

fn raw_signature(key: &PrivateKey, data: &[u8], flags: u32) -> Option<Signature> {
    match key.key_data() {
        KeypairData::Rsa(rsa) => (rsa, rsa_hash(flags)).try_sign(data).ok(),
        other => other.try_sign(data).ok(),
    }
}

/// OpenSSH looks at the flag for SHA-256 first and ignores the flags that it does not know.
fn rsa_hash(flags: u32) -> Option<HashAlg> {
    match flags {
        flags if flags & RSA_SHA2_256 != 0 => Some(HashAlg::Sha256),
        flags if flags & RSA_SHA2_512 != 0 => Some(HashAlg::Sha512),
        _ => None,
    }
}
