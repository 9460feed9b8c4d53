//! Signatures, the one place where a private key is used.
//!
//! Contract: the algorithm is the key's own; for rsa the request's flags choose the hash as OpenSSH's agent chooses it,
//! SHA-1 only for a request without flags. All arithmetic is ssh-key 0.7's (0.6's rsa signing is broken).

use russh::keys::signature::{Signer as _, Verifier as _};
use ssh_agent_lib::proto::signature::{RSA_SHA2_256, RSA_SHA2_512};
use ssh_key::private::KeypairData;
use ssh_key::{HashAlg, PrivateKey, Signature};

/// Signs `data`; `flags` are the agent protocol's. `None` if the key's parts do not fit each other.
pub(super) fn sign(key: &PrivateKey, data: &[u8], flags: u32) -> Option<Signature> {
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

/// Whether the private half belongs to the public one, by a trial signature.
pub(super) fn halves_match(key: &PrivateKey) -> bool {
    const TRIAL: &[u8] = b"toolbox: a trial signature";
    let Some(signature) = sign(key, TRIAL, RSA_SHA2_512) else {
        return false;
    };
    // Signing with rsa has checked the numbers against each other; verifying stops at 8192 bits there.
    matches!(key.key_data(), KeypairData::Rsa(_)) || key.public_key().key_data().verify(TRIAL, &signature).is_ok()
}
