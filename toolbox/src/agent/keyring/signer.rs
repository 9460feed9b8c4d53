//! A private key at rest, and the signatures made with it: the one place where private halves are kept and used.
//!
//! Contract: at rest a private half is serialised in locked memory and nowhere else: ed25519's seed, ecdsa's scalar, an
//! rsa key's PKCS#8. For each signature the key is built anew and dropped at once: keeping what was built would save an
//! eighth of a signature's time and leave it where it could be swapped out. [`SealedKey::seal`] checks that the halves
//! belong together. The algorithm of a signature is the key's own; for rsa the request's flags choose the hash as
//! OpenSSH's agent chooses it, SHA-1 only for a request without flags.
//!
//! The arithmetic is aws-lc's, which zeroes what it frees and blinds rsa. What it does not do is ssh-key 0.7's (0.6's rsa
//! signing is broken): SHA-1, and rsa keys that it does not take, such as those above 8192 bits.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};
use russh::keys::pkcs8::{decode_pkcs8, encode_pkcs8};
use russh::keys::signature::{Signer as _, Verifier as _};
use ssh_agent_lib::proto::signature::{RSA_SHA2_256, RSA_SHA2_512};
use ssh_key::encoding::Encode as _;
use ssh_key::private::KeypairData;
use ssh_key::{EcdsaCurve, HashAlg, PrivateKey, Signature};
use zeroize::Zeroizing;

use crate::agent::memory::locked::LockedBytes;
use crate::agent::memory::scrub::{scrubbed, scrubbed_deep};
use crate::agent::private_wire::put_string;

#[cfg(test)]
mod tests;

/// The largest rsa signature that can be verified here, by the key's size in bits.
const VERIFIED_RSA_BITS: u32 = 8192;

/// A private key that can sign. Its memory is locked, and zeroed when it is dropped.
pub(crate) struct SealedKey {
    kind: Kind,
    private: LockedBytes,
}

/// What is not secret of a key, and is needed to build it.
enum Kind {
    Ed25519 {
        public: [u8; 32],
    },
    Ecdsa {
        curve: EcdsaCurve,
        /// The public point, not compressed.
        point: Vec<u8>,
    },
    Rsa,
}

impl SealedKey {
    /// Takes a key in; `None` if its private half does not belong to its public one. Takes as long as one signature.
    pub(crate) fn seal(key: &PrivateKey) -> Option<Self> {
        scrubbed_deep(|| {
            let sealed = Self::serialise(key.key_data())?;
            sealed.fits(key).then_some(sealed)
        })
    }

    /// Signs `data`; `flags` are the agent protocol's. The signature in SSH's wire form: `string algorithm, string
    /// signature`.
    pub(crate) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let quick = scrubbed(|| self.sign_by_aws_lc(data, flags));
        quick.or_else(|| scrubbed_deep(|| self.sign_by_ssh_key(data, flags)))
    }

    fn serialise(key: &KeypairData) -> Option<Self> {
        let (kind, private) = match key {
            KeypairData::Ed25519(pair) => {
                (Kind::Ed25519 { public: pair.public.0 }, LockedBytes::new(pair.private.as_ref()))
            }
            KeypairData::Ecdsa(pair) => {
                let kind = Kind::Ecdsa { curve: pair.curve(), point: pair.public_key_bytes().to_vec() };
                (kind, LockedBytes::new(pair.private_key_bytes()))
            }
            KeypairData::Rsa(_) => {
                let key = PrivateKey::new(key.clone(), "").ok()?;
                (Kind::Rsa, LockedBytes::new(&Zeroizing::new(encode_pkcs8(&key).ok()?)))
            }
            _ => return None,
        };
        Some(Self { kind, private: private? })
    }

    /// Whether a signature of the private half is one of the public half.
    fn fits(&self, key: &PrivateKey) -> bool {
        const TRIAL: &[u8] = b"toolbox: a trial signature";
        let signature = self.sign(TRIAL, RSA_SHA2_512).and_then(|blob| Signature::try_from(blob.as_slice()).ok());
        // Building an rsa key has checked its numbers against each other.
        let large = key.key_data().rsa().is_some_and(|rsa| rsa.key_size() > VERIFIED_RSA_BITS);
        signature.is_some_and(|signature| large || key.public_key().key_data().verify(TRIAL, &signature).is_ok())
    }

    /// `None` for what aws-lc does not do.
    fn sign_by_aws_lc(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Ed25519 { public } => {
                let pair = self.private.with(|seed| Ed25519KeyPair::from_seed_and_public_key(seed, public)).ok()?;
                Some(blob("ssh-ed25519", pair.try_sign(data).ok()?.as_ref()))
            }
            Kind::Ecdsa { curve, point } => self.sign_ecdsa(*curve, point, data),
            Kind::Rsa => self.sign_rsa(data, rsa_hash(flags)?),
        }
    }

    fn sign_ecdsa(&self, curve: EcdsaCurve, point: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        let (name, algorithm) = ecdsa_algorithm(curve);
        let build = |scalar: &[u8]| EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point).ok();
        let signature = self.private.with(build)?.sign(&SystemRandom::new(), data).ok()?;
        let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
        let mut numbers = Vec::with_capacity(2 * (r.len() + 5));
        put_number(&mut numbers, r);
        put_number(&mut numbers, s);
        Some(blob(name, &numbers))
    }

    fn sign_rsa(&self, data: &[u8], hash: HashAlg) -> Option<Vec<u8>> {
        let (name, padding) = match hash {
            HashAlg::Sha256 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
            _ => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
        };
        let pair = self.private.with(RsaKeyPair::from_pkcs8).ok()?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &SystemRandom::new(), data, &mut signature).ok()?;
        Some(blob(name, &signature))
    }

    /// Rsa in all its forms; `None` for the other types, which aws-lc refuses for a reason.
    fn sign_by_ssh_key(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let Kind::Rsa = self.kind else { return None };
        let key = self.private.with(|der| decode_pkcs8(der, None)).ok()?;
        let signature = (key.key_data().rsa()?, rsa_hash(flags)).try_sign(data).ok()?;
        let mut blob = Vec::new();
        signature.encode(&mut blob).ok()?;
        Some(blob)
    }
}

fn ecdsa_algorithm(curve: EcdsaCurve) -> (&'static str, &'static EcdsaSigningAlgorithm) {
    match curve {
        EcdsaCurve::NistP256 => ("ecdsa-sha2-nistp256", &ECDSA_P256_SHA256_FIXED_SIGNING),
        EcdsaCurve::NistP384 => ("ecdsa-sha2-nistp384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        EcdsaCurve::NistP521 => ("ecdsa-sha2-nistp521", &ECDSA_P521_SHA512_FIXED_SIGNING),
    }
}

/// OpenSSH looks at the flag for SHA-256 first and ignores the flags that it does not know.
pub(crate) fn rsa_hash(flags: u32) -> Option<HashAlg> {
    match flags {
        flags if flags & RSA_SHA2_256 != 0 => Some(HashAlg::Sha256),
        flags if flags & RSA_SHA2_512 != 0 => Some(HashAlg::Sha512),
        _ => None,
    }
}

/// A signature in SSH's wire form.
fn blob(algorithm: &str, signature: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(8 + algorithm.len() + signature.len());
    put_string(&mut blob, algorithm.as_bytes());
    put_string(&mut blob, signature);
    blob
}

/// Writes a positive number as an `mpint` (RFC 4251, section 5): no needless zeros, and one where the first bit is set.
fn put_number(body: &mut Vec<u8>, number: &[u8]) {
    let significant = &number[number.iter().take_while(|byte| **byte == 0).count()..];
    let sign = significant.first().is_some_and(|byte| *byte >= 0x80);
    put_string(body, &[&[0][..usize::from(sign)], significant].concat());
}
