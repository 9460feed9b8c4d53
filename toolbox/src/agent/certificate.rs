//! OpenSSH certificates, read from their wire form (PROTOCOL.certkeys).
//!
//! Contract: a [`Certificate`] is whole, names a key of a known type, and carries a good signature of its authority, as
//! OpenSSH checks when it reads one. Whether the authority is trusted and whether the time is right is asked later, and
//! only of host certificates: [`Certificate::vouches_for_host`]. Bytes are kept as they came, since an identity is
//! found by them; that is why ssh-key's type, which refuses options that are not text, is not used.
//!
//! Absent on purpose: what user certificates permit. That is the server's business.

use std::borrow::Cow;

use base64ct::{Base64, Encoding as _};
use russh::keys::signature::Verifier as _;
use ssh_key::Signature;
use ssh_key::encoding::Decode as _;
use ssh_key::public::KeyData;
use thiserror::Error;

use super::pattern::{self, LONGEST_NAME};
use super::private_wire::{put_string, take_string};

#[cfg(test)]
mod tests;

/// What ends the name of a certificate's type.
const SUFFIX: &[u8] = b"-cert-v01@openssh.com";
/// Most principals in one certificate, as in OpenSSH.
const MOST_PRINCIPALS: usize = 256;
/// Smallest RSA key whose signature counts, in bits, as in OpenSSH.
const SMALLEST_RSA: u32 = 1024;

/// Types of certificates: name, the certified key's type, and how many strings that key has behind its type.
const TYPES: [(&str, &str, usize); 7] = [
    ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1),
    ("ssh-rsa-cert-v01@openssh.com", "ssh-rsa", 2),
    ("ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521", 2),
    ("sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", 3),
];

/// Why bytes or a text are no certificate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CertificateError {
    /// Not `type base64 [comment]`.
    #[error("this is not the text of a certificate")]
    Text,
    /// A type of certificate that is not known, or no certificate.
    #[error("this is not a certificate of a known type")]
    Type,
    /// Cut short, too long, or wrong inside.
    #[error("the certificate is malformed")]
    Malformed,
    /// The authority's signature is wrong, or of a kind that cannot be verified.
    #[error("the signature of the certificate's authority is not good")]
    Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Host,
}

/// A certificate whose authority did sign it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    blob: Vec<u8>,
    plain: Vec<u8>,
    kind: Kind,
    key_id: Vec<u8>,
    principals: Vec<Vec<u8>>,
    valid_after: u64,
    valid_before: u64,
    has_critical_options: bool,
    authority: Vec<u8>,
    signed_with: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate's blob.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, CertificateError> {
        let mut rest = blob;
        let name = take_string(&mut rest).ok_or(CertificateError::Malformed)?;
        let (plain_type, strings) = plain_type(name).ok_or(CertificateError::Type)?;
        let read = Self::read(blob, rest, plain_type, strings);
        let (certificate, signed, signature) = read.ok_or(CertificateError::Malformed)?;
        match verify(&certificate.authority, signed, signature) {
            true => Ok(certificate),
            false => Err(CertificateError::Signature),
        }
    }

    /// Reads the text of a `-cert.pub` file: type, base64, and perhaps a comment.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_openssh(text: &str) -> Result<Self, CertificateError> {
        let mut words = text.split_ascii_whitespace();
        let (name, encoded) = words.next().zip(words.next()).ok_or(CertificateError::Text)?;
        let blob = Base64::decode_vec(encoded).map_err(|_| CertificateError::Text)?;
        let certificate = Self::from_blob(&blob)?;
        match certificate.type_name() == name.as_bytes() {
            true => Ok(certificate),
            false => Err(CertificateError::Text),
        }
    }

    /// The certificate in SSH's wire form.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The certified public key in SSH's wire form.
    #[must_use]
    pub fn plain_key(&self) -> &[u8] {
        &self.plain
    }

    /// What the authority calls the key; shown where it is not UTF-8 as far as it is.
    #[must_use]
    pub fn key_id(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.key_id)
    }

    /// Whether it is a user's, to log in with.
    #[must_use]
    pub fn is_for_users(&self) -> bool {
        self.kind == Kind::User
    }

    /// The name of the certificate's type.
    pub(crate) fn type_name(&self) -> &[u8] {
        take_string(&mut self.blob.as_slice()).unwrap_or_default()
    }

    /// The public key of the authority that signed it.
    pub(crate) fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// Whether it is a host's certificate for the name `host` at the time `now` (seconds since 1970), by the rules of
    /// OpenSSH's `sshkey_cert_check_host`: principals are patterns and none of them is every host, critical options are
    /// not known for hosts, and signatures with SHA-1 do not count. A principal longer than any name matches nothing.
    pub(crate) fn vouches_for_host(&self, host: &[u8], now: u64) -> bool {
        let named = |principal: &Vec<u8>| principal.len() <= LONGEST_NAME && pattern::matches(host, principal);
        self.kind == Kind::Host
            && (self.valid_after..self.valid_before).contains(&now)
            && (self.principals.is_empty() || self.principals.iter().any(named))
            && !self.has_critical_options
            && !matches!(self.signed_with.as_slice(), b"ssh-rsa" | b"ssh-dss")
    }

    /// Everything but the verdict on the signature, then what was signed, and the signature. `rest` is what follows the
    /// type's name.
    fn read<'a>(
        blob: &'a [u8],
        mut rest: &'a [u8],
        plain_type: &str,
        strings: usize,
    ) -> Option<(Self, &'a [u8], &'a [u8])> {
        let _nonce = take_string(&mut rest)?;
        let plain = take_plain(&mut rest, plain_type, strings)?;
        let _serial = take_u64(&mut rest)?;
        let kind = take_kind(&mut rest)?;
        let key_id = take_string(&mut rest)?.to_vec();
        let principals = take_principals(&mut rest)?;
        let (valid_after, valid_before) = (take_u64(&mut rest)?, take_u64(&mut rest)?);
        let critical = take_options(&mut rest)?;
        let (_extensions, _reserved) = (take_options(&mut rest)?, take_string(&mut rest)?);
        let authority = take_string(&mut rest).filter(|key| !is_certificate(key))?.to_vec();
        let signed = &blob[..blob.len() - rest.len()];
        let signature = take_string(&mut rest)?;
        let certificate = Self {
            blob: blob.to_vec(),
            plain,
            kind,
            key_id,
            principals,
            valid_after,
            valid_before,
            has_critical_options: !critical.is_empty(),
            authority,
            signed_with: take_string(&mut &*signature)?.to_vec(),
        };
        rest.is_empty().then_some((certificate, signed, signature))
    }
}

/// Whether a public key's blob says that it is a certificate.
pub(crate) fn is_certificate(blob: &[u8]) -> bool {
    take_string(&mut &*blob).is_some_and(is_certificate_type)
}

/// Whether the name of a key's type is a certificate's.
pub(crate) fn is_certificate_type(name: &[u8]) -> bool {
    name.ends_with(SUFFIX)
}

/// The public key of a blob; `None` for a certificate, a type that is not known, and what is malformed.
pub(crate) fn public_key(blob: &[u8]) -> Option<KeyData> {
    let mut rest = blob;
    let key = KeyData::decode(&mut rest).ok().filter(|_| rest.is_empty())?;
    (!matches!(key, KeyData::Other(_) | KeyData::Certificate(_))).then_some(key)
}

/// Whether `signature` (a signature's blob) over `message` was made with the key of the blob `key`.
pub(crate) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let mut rest = signature;
    let (Some(key), Ok(signature)) = (public_key(key), Signature::decode(&mut rest)) else {
        return false;
    };
    let too_small = key.rsa().is_some_and(|rsa| rsa.key_size() < SMALLEST_RSA);
    rest.is_empty() && !too_small && key.verify(message, &signature).is_ok()
}

/// The type of the certified key, and how many strings it has, for the name of a certificate's type.
fn plain_type(name: &[u8]) -> Option<(&'static str, usize)> {
    TYPES.iter().find(|(certificate, ..)| certificate.as_bytes() == name).map(|(_, plain, strings)| (*plain, *strings))
}

fn take_plain(reader: &mut &[u8], plain_type: &str, strings: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    put_string(&mut plain, plain_type.as_bytes());
    for _ in 0..strings {
        put_string(&mut plain, take_string(reader)?);
    }
    public_key(&plain).map(|_| plain)
}

fn take_u64(reader: &mut &[u8]) -> Option<u64> {
    let (number, rest) = reader.split_first_chunk()?;
    *reader = rest;
    Some(u64::from_be_bytes(*number))
}

fn take_kind(reader: &mut &[u8]) -> Option<Kind> {
    let (kind, rest) = reader.split_first_chunk()?;
    *reader = rest;
    match u32::from_be_bytes(*kind) {
        1 => Some(Kind::User),
        2 => Some(Kind::Host),
        _ => None,
    }
}

fn take_principals(reader: &mut &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = take_string(reader)?;
    let mut principals = Vec::new();
    while !list.is_empty() {
        principals.push(take_string(&mut list)?.to_vec());
    }
    (principals.len() <= MOST_PRINCIPALS).then_some(principals)
}

/// Options are pairs of strings; what they say is not looked at.
fn take_options<'a>(reader: &mut &'a [u8]) -> Option<&'a [u8]> {
    let options = take_string(reader)?;
    let mut list = options;
    while !list.is_empty() {
        let (_name, _value) = (take_string(&mut list)?, take_string(&mut list)?);
    }
    Some(options)
}
