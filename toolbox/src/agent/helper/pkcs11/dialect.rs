//! The two forms of a request to sign that `ssh-pkcs11-helper` has had.
//!
//! Contract: to 10.0 the helper makes the raw operation: `string key, string what is to be signed, u32 0`, answered by
//! the bare signature, for rsa over a DigestInfo and for ecdsa, in DER, over a digest. From 10.1 on it signs the
//! message: `string key, string data, string algorithm, u32 0`, answered by a signature in SSH's wire form.
//!
//! Which one a helper speaks is asked before it has seen a library or a PIN, and without any token: about a key that it
//! cannot know. It says no to the new form in both versions, because the old one ignores what is too much; to the old
//! form the old one says no, and the new one ends, because something is missing.

use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use ssh_key::encoding::Encode as _;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Signature};

use super::super::HelperError;
use super::super::process::{Helper, Program};
use super::{FAILURE, FAILURE_2};
use crate::agent::keyring::signer::rsa_hash;
use crate::agent::private_wire::{put_string, take_string};

/// `SSH2_AGENTC_SIGN_REQUEST`
const SIGN: u8 = 13;
/// `SSH2_AGENT_SIGN_RESPONSE`
const SIGNATURE: u8 = 14;

/// What stands before the digest in PKCS#1's DigestInfo (RFC 8017, section 9.2).
const SHA1_INFO: [u8; 15] = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];
const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
const SHA512_INFO: [u8; 19] =
    [0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40];

/// The form that a helper speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// To 10.0.
    Raw,
    /// From 10.1 on.
    Message,
}

/// Starts a helper and finds its form.
pub(super) async fn start(program: &Program) -> Result<(Helper, Dialect), HelperError> {
    let mut helper = Helper::start(program)?;
    let stranger = strings(&[b"ssh-ed25519", &[1; 32]]);
    refused(&helper.ask(&sign_request(&stranger, b"?", Some(b""))).await?, &helper)?;
    match helper.ask(&sign_request(&stranger, b"?", None)).await {
        Ok(answer) => refused(&answer, &helper).map(|()| (helper, Dialect::Raw)),
        Err(HelperError::Died { .. }) => Ok((Helper::start(program)?, Dialect::Message)),
        Err(error) => Err(error),
    }
}

fn refused(answer: &[u8], helper: &Helper) -> Result<(), HelperError> {
    match answer.first() {
        Some(&(FAILURE | FAILURE_2)) => Ok(()),
        _ => Err(helper.garbled("no refusal of a key that it cannot have")),
    }
}

impl Dialect {
    /// A request to sign; `None` for a type of key that this form has no signatures of.
    pub(super) fn request(self, blob: &[u8], key: &KeyData, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        match self {
            Self::Raw => Some(sign_request(blob, &to_be_signed(key, data, flags)?, None)),
            Self::Message => {
                let name = match (key, rsa_hash(flags)) {
                    (KeyData::Rsa(_), Some(HashAlg::Sha256)) => "rsa-sha2-256",
                    (KeyData::Rsa(_), Some(_)) => "rsa-sha2-512",
                    _ => "",
                };
                Some(sign_request(blob, data, Some(name.as_bytes())))
            }
        }
    }

    /// The signature in SSH's wire form out of the one in an answer.
    pub(super) fn signature(self, key: &KeyData, flags: u32, answered: &[u8]) -> Option<Vec<u8>> {
        if self == Self::Message {
            let signature = Signature::try_from(answered).ok()?;
            return (signature.algorithm() == algorithm(key, flags)).then(|| answered.to_vec());
        }
        let raw = match key {
            KeyData::Rsa(_) => answered.to_vec(),
            KeyData::Ecdsa(_) => ecdsa_from_der(answered)?,
            _ => return None,
        };
        let mut blob = Vec::new();
        Signature::new(algorithm(key, flags), raw).ok()?.encode(&mut blob).ok()?;
        Some(blob)
    }
}

/// The signature in an answer; `None` where it is a refusal.
pub(super) fn take_signature(answer: &[u8]) -> Option<&[u8]> {
    let (kind, mut rest) = answer.split_first()?;
    take_string(&mut rest).filter(|_| *kind == SIGNATURE)
}

fn sign_request(blob: &[u8], data: &[u8], algorithm: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![SIGN];
    put_string(&mut body, blob);
    put_string(&mut body, data);
    if let Some(algorithm) = algorithm {
        put_string(&mut body, algorithm);
    }
    body.extend(0_u32.to_be_bytes());
    body
}

fn to_be_signed(key: &KeyData, data: &[u8], flags: u32) -> Option<Vec<u8>> {
    Some(match key {
        KeyData::Rsa(_) => match rsa_hash(flags) {
            Some(HashAlg::Sha256) => [&SHA256_INFO[..], &Sha256::digest(data)].concat(),
            Some(_) => [&SHA512_INFO[..], &Sha512::digest(data)].concat(),
            None => [&SHA1_INFO[..], &Sha1::digest(data)].concat(),
        },
        KeyData::Ecdsa(key) => match key.curve() {
            EcdsaCurve::NistP256 => Sha256::digest(data).to_vec(),
            EcdsaCurve::NistP384 => Sha384::digest(data).to_vec(),
            EcdsaCurve::NistP521 => Sha512::digest(data).to_vec(),
        },
        _ => return None,
    })
}

fn algorithm(key: &KeyData, flags: u32) -> Algorithm {
    match key {
        KeyData::Rsa(_) => Algorithm::Rsa { hash: rsa_hash(flags) },
        other => other.algorithm(),
    }
}

/// Two numbers in DER's SEQUENCE as two in SSH's wire form (RFC 5656, section 3.1.2): their bytes are the same.
fn ecdsa_from_der(der: &[u8]) -> Option<Vec<u8>> {
    let mut rest = der;
    let mut sequence = take_der(&mut rest, 0x30).filter(|_| rest.is_empty())?;
    let (r, s) = (take_der(&mut sequence, 0x02)?, take_der(&mut sequence, 0x02)?);
    sequence.is_empty().then(|| strings(&[r, s]))
}

/// The content of a DER value of less than 256 bytes, as every one in an ecdsa signature is.
fn take_der<'a>(reader: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (length, rest) = match *reader {
        [found, 0x81, length, rest @ ..] if *found == tag => (*length, rest),
        [found, length @ 0..=0x7f, rest @ ..] if *found == tag => (*length, rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(usize::from(length))?;
    *reader = rest;
    Some(content)
}

fn strings(fields: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for field in fields {
        put_string(&mut wire, field);
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_becomes_wire_form() {
        let der = [0x30, 0x08, 0x02, 0x02, 0x00, 0x80, 0x02, 0x02, 0x12, 0x34];
        assert_eq!(ecdsa_from_der(&der).unwrap(), [0, 0, 0, 2, 0, 0x80, 0, 0, 0, 2, 0x12, 0x34]);
        let long = [&[0x30, 0x81, 0x88, 0x02, 0x42][..], &[1; 66], &[0x02, 0x42], &[2; 66]].concat();
        assert_eq!(ecdsa_from_der(&long).unwrap().len(), 140);
    }

    #[test]
    fn der_that_lies_is_none() {
        let whole = [0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];
        assert!(ecdsa_from_der(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(ecdsa_from_der(&whole[..end]), None);
        }
        for (at, wrong) in [(0, 0x31), (1, 0x07), (1, 0x80), (1, 0x82), (2, 0x03), (3, 0x02), (3, 0xff), (6, 0)] {
            let mut damaged = whole;
            damaged[at] = wrong;
            assert_eq!(ecdsa_from_der(&damaged), None, "{at} {wrong}");
        }
        assert_eq!(ecdsa_from_der(&[&whole[..], &[0]].concat()), None);
    }
}
