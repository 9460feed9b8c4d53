//! Whether an archive's release is signed by a key of a keyring.
//!
//! As apt's: one good signature is enough. A key counts that is neither revoked nor expired now, is bound by
//! signatures of its own primary key, and may sign; SHA-1 and MD5 do not count.

use std::time::{SystemTime, UNIX_EPOCH};

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

/// What is wrong with a signature or a keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The keyring cannot be read.
    #[error("the keyring is none: {reason}")]
    Keyring {
        /// What is wrong with it.
        reason: String,
    },
    /// The release is not a signed text.
    #[error("it is not signed in its text (InRelease): {reason}")]
    Form {
        /// What is wrong with it.
        reason: String,
    },
    /// None of its signatures is good.
    #[error("no signature on it is good: {}", reasons.join("; "))]
    NotGood {
        /// One for each signature.
        reasons: Vec<String>,
    },
}

/// The text that a key of the keyring has signed, out of an `InRelease` file (RFC 9580 section 7). `keyring` is a
/// keyring as apt takes it, binary or armored.
///
/// # Errors
/// [`SignatureError`].
pub fn signed_text(in_release: &str, keyring: &[u8]) -> Result<String, SignatureError> {
    let keys = keys(keyring)?;
    let form = |e: pgp::errors::Error| SignatureError::Form { reason: e.to_string() };
    let (message, _) = CleartextSignedMessage::from_string(in_release).map_err(form)?;
    let (text, now) = (message.signed_text(), now());
    let mut reasons = Vec::new();
    for signature in message.signatures() {
        match check(signature, text.as_bytes(), &keys, now) {
            Ok(()) => return Ok(text),
            Err(reason) => reasons.push(reason),
        }
    }
    if reasons.is_empty() {
        reasons.push("there is none".to_owned());
    }
    Err(SignatureError::NotGood { reasons })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn keys(keyring: &[u8]) -> Result<Vec<SignedPublicKey>, SignatureError> {
    let wrong = |e: pgp::errors::Error| SignatureError::Keyring { reason: e.to_string() };
    let keys = if keyring.starts_with(b"-----BEGIN") {
        SignedPublicKey::from_armor_many(keyring).map_err(wrong)?.0
    } else {
        SignedPublicKey::from_bytes_many(keyring).map_err(wrong)?
    };
    // A key of a kind that is not known here says nothing about the others.
    let keys: Vec<SignedPublicKey> = keys.filter_map(Result::ok).collect();
    if keys.is_empty() { Err(SignatureError::Keyring { reason: "it has no key".to_owned() }) } else { Ok(keys) }
}

fn check(signature: &Signature, text: &[u8], keys: &[SignedPublicKey], now: u64) -> Result<(), String> {
    if !is_strong(signature) {
        return Err("its hash is too weak".to_owned());
    }
    if !lasts(signature.created(), signature.signature_expiration_time(), now) {
        return Err("the signature has expired, or is of the future".to_owned());
    }
    let mut reason = format!("made by a key that is not in the keyring ({})", issuer(signature));
    for key in keys {
        let good = signature.verify(key, text).is_ok();
        match good.then(|| usable_primary(key, now)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(why)) => reason = format!("key {}: {why}", key.fingerprint()),
            None => {}
        }
        for subkey in key.public_subkeys.iter().filter(|subkey| signature.verify(&subkey.key, text).is_ok()) {
            match usable_subkey(key, subkey, now) {
                Ok(()) => return Ok(()),
                Err(why) => reason = format!("key {}: {why}", subkey.key.fingerprint()),
            }
        }
    }
    Err(reason)
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(ToString::to_string);
    fingerprint
        .or_else(|| signature.issuer_key_id().first().map(ToString::to_string))
        .unwrap_or_else(|| "unnamed".into())
}

fn is_strong(signature: &Signature) -> bool {
    use HashAlgorithm::{Sha224, Sha256, Sha384, Sha512};
    matches!(signature.hash_alg(), Some(Sha224 | Sha256 | Sha384 | Sha512))
}

/// Begun, and not over: a length of 0 is no limit.
fn lasts(begin: Option<pgp::types::Timestamp>, length: Option<pgp::types::Duration>, now: u64) -> bool {
    let Some(begin) = begin.map(|time| u64::from(time.as_secs())) else { return false };
    let length = length.map_or(0, |length| u64::from(length.as_secs()));
    begin <= now && (length == 0 || now < begin + length)
}

fn usable_primary(key: &SignedPublicKey, now: u64) -> Result<(), &'static str> {
    let own = standing(key, now)?;
    let flags = own.key_flags();
    if flags.sign() || flags == KeyFlags::default() { Ok(()) } else { Err("it may not sign") }
}

/// The latest signature of a primary key about itself, where it is in force.
fn standing(key: &SignedPublicKey, now: u64) -> Result<&Signature, &'static str> {
    let primary = &key.primary_key;
    let details = &key.details;
    if details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err("it is revoked");
    }
    let direct = details.direct_signatures.iter().filter(|own| own.verify_key(primary).is_ok());
    let of_users = details.users.iter().flat_map(|user| {
        let good = |own: &&Signature| {
            own.is_certification() && own.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(good)
    });
    let latest = direct.chain(of_users).max_by_key(|own| own.created().map(|time| time.as_secs()));
    let own = latest.ok_or("it is not signed by itself")?;
    if lasts(Some(primary.created_at()), own.key_expiration_time(), now) { Ok(own) } else { Err("it has expired") }
}

fn usable_subkey(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: u64) -> Result<(), &'static str> {
    standing(key, now)?;
    let bound = |signature: &&Signature| signature.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok();
    let of = |kind| subkey.signatures.iter().filter(move |signature| signature.typ() == Some(kind)).filter(bound);
    if of(SignatureType::SubkeyRevocation).next().is_some() {
        return Err("it is revoked");
    }
    let latest = of(SignatureType::SubkeyBinding).max_by_key(|binding| binding.created().map(|time| time.as_secs()));
    let binding = latest.ok_or("it is not bound to its primary key")?;
    let back = binding.embedded_signature();
    if !binding.key_flags().sign()
        || back.is_none_or(|back| back.verify_primary_key_binding(&subkey.key, &key.primary_key).is_err())
    {
        return Err("it may not sign");
    }
    let lasts = lasts(Some(subkey.key.created_at()), binding.key_expiration_time(), now);
    if lasts { Ok(()) } else { Err("it has expired") }
}
