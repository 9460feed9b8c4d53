//! Private keys in: OpenSSH, PKCS#8 and PEM (PKCS#1, SEC1), plain or encrypted.
//!
//! Contract: [`parse`] either gives a key that [`Agent::add_with`](crate::agent::Agent::add_with) takes, or says which of
//! the things that go wrong with key files went wrong. No error holds a byte of the key or of the passphrase.
//!
//! Read: ed25519, ecdsa (nistp256, nistp384, nistp521), rsa and FIDO (`sk-`) keys. OpenSSH's format with bcrypt and any
//! of aes-cbc, aes-ctr, aes-gcm, chacha20-poly1305; PKCS#8 with PBES2 (PBKDF2 or scrypt, AES); old PEM with AES-CBC.
//! Refused by name: dsa, PuTTY files, 3DES and DES, PBES1, SSH2 (ssh.com) files, DER without armour.

use pkcs8::der::{Decode as _, ErrorKind, SecretDocument, SliceReader, asn1::AnyRef, asn1::OctetStringRef};
use pkcs8::{AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef, pkcs5};
use russh::keys::pkcs8::decode_pkcs8;
use secrecy::{ExposeSecret as _, SecretString};
use ssh_key::{Algorithm, PrivateKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::agent::memory::scrub::scrubbed_deep;

pub(super) mod certificate;
mod legacy_pem;
pub(super) mod load;
mod openssh_format;
mod pem;
pub(super) mod secret_file;
pub(super) mod source;
#[cfg(test)]
mod tests;

use pem::{Block, Form};

/// Why a text gave no private key.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Nothing but white space, or nothing at all.
    #[error("it is empty")]
    Empty,
    /// Not text: DER, a keystore, a picture.
    #[error("it is not text; a private key is wanted in OpenSSH, PKCS#8 or PEM form")]
    Binary,
    /// Text with no key in it.
    #[error("there is no private key in it")]
    NoKey,
    /// The public half, or a certificate.
    #[error("it is a public key; the private one is wanted")]
    Public,
    /// PuTTY's own format.
    #[error("it is a PuTTY key (.ppk), which is not read")]
    Putty,
    /// A BEGIN line without its END line.
    #[error("the private key is cut off: its END line is missing")]
    Truncated,
    /// BEGIN and END are there, but on one line with the rest.
    #[error("the private key has lost its line breaks")]
    LineBreaksLost,
    /// The armour is right and what is inside is not.
    #[error("the {form} private key is damaged: {reason}")]
    Damaged {
        /// The format, as people call it.
        form: &'static str,
        /// What is wrong, without any of the content.
        reason: String,
    },
    /// Encrypted, and no passphrase came with it.
    #[error("the private key is encrypted and no passphrase was given")]
    Encrypted,
    /// Encrypted with another passphrase.
    #[error("the passphrase does not open the private key")]
    WrongPassphrase,
    /// A cipher or key derivation that is not read.
    #[error("the private key is encrypted with {0}, which is not supported")]
    UnsupportedCipher(String),
    /// A kind of key that is not signed with.
    #[error("keys of type {0} are not supported")]
    UnsupportedType(String),
    /// A private key in another program's format.
    #[error("private keys of the form `{0}` are not read")]
    UnsupportedFormat(String),
}

impl KeyError {
    /// The next thing to type, where there is one; `file` is what the key was read from.
    #[must_use]
    pub fn hint(&self, file: &str) -> Option<String> {
        Some(match self {
            Self::Public => match file.strip_suffix(".pub") {
                Some(private) => format!("give the file without .pub: {private}"),
                None => "name the private key's file".to_owned(),
            },
            Self::Putty => format!("convert it: puttygen {file} -O private-openssh -o {file}.key"),
            Self::Truncated | Self::Damaged { .. } => {
                format!("compare it with the original: ssh-keygen -y -f {file}")
            }
            Self::LineBreaksLost => "keep the newlines: in a shell, quote it as \"$(cat KEYFILE)\"".to_owned(),
            Self::Encrypted => "run it at a terminal, set SSH_ASKPASS, or name a file that holds the passphrase in \
                 TOOLBOX_SSH_PASSPHRASE_FILE"
                .to_owned(),
            Self::WrongPassphrase => format!("try the passphrase by hand: ssh-keygen -y -f {file}"),
            Self::UnsupportedCipher(_) => {
                format!("re-encrypt it in OpenSSH's format: ssh-keygen -p -f {file}")
            }
            Self::UnsupportedType(_) => "make one that is: ssh-keygen -t ed25519".to_owned(),
            Self::UnsupportedFormat(_) => format!("convert it: ssh-keygen -i -f {file}"),
            Self::Binary => format!("if it is DER, convert it: openssl pkey -inform DER -in {file} -out {file}.pem"),
            Self::Empty | Self::NoKey => return None,
        })
    }

    /// Whether another passphrase could help.
    #[must_use]
    pub fn wants_passphrase(&self) -> bool {
        matches!(self, Self::Encrypted | Self::WrongPassphrase)
    }
}

/// Reads the first private key of `text`. A passphrase for a key that is not encrypted is ignored, as OpenSSH does.
/// PEM and PKCS#8 hold no comment; the key then has an empty one.
///
/// # Errors
/// Every [`KeyError`].
pub fn parse(text: &[u8], passphrase: Option<&SecretString>) -> Result<Box<PrivateKey>, KeyError> {
    scrubbed_deep(|| {
        let first = pem::private_keys(text)?.blocks.into_iter().next().ok_or(KeyError::NoKey)?;
        decode(&first?, passphrase)
    })
}

/// Reads one key out of its block. It is boxed, since what moves through stacks stays there; the caller scrubs this one.
fn decode(block: &Block, passphrase: Option<&SecretString>) -> Result<Box<PrivateKey>, KeyError> {
    let key = match block.form {
        Form::OpenSsh => openssh_format::decode(&block.bytes, passphrase)?,
        Form::Pkcs8Encrypted => pkcs8_encrypted(&block.bytes, passphrase)?,
        Form::Pkcs8 => from_der(block.form, &block.bytes)?,
        Form::Pkcs1 | Form::Sec1 => match &block.dek {
            None => traditional(block.form, &block.bytes)?,
            Some(dek) => {
                let passphrase = passphrase.ok_or(KeyError::Encrypted)?;
                let plain = legacy_pem::decrypt(dek, &block.bytes, passphrase)?;
                // The padding is right by chance for one wrong passphrase in 256: then the DER is not.
                traditional(block.form, &plain).map_err(|_| KeyError::WrongPassphrase)?
            }
        },
    };
    known(key).map(Box::new)
}

fn pkcs8_encrypted(der: &[u8], passphrase: Option<&SecretString>) -> Result<PrivateKey, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|error| match (&error, other_scheme(der)) {
        (_, Some(scheme)) => unsupported_cipher(scheme),
        (pkcs8::Error::Asn1(asn1), None) => match asn1.kind() {
            ErrorKind::OidUnknown { oid } => unsupported_cipher(oid),
            _ => damaged(Form::Pkcs8Encrypted, &error),
        },
        _ => damaged(Form::Pkcs8Encrypted, &error),
    })?;
    let passphrase = passphrase.ok_or(KeyError::Encrypted)?;
    let plain = info.decrypt(passphrase.expose_secret()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::UnsupportedAlgorithm { oid }) => unsupported_cipher(oid),
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::NoPbes1CryptSupport) => {
            KeyError::UnsupportedCipher("PBES1 (DES, RC2 or RC4)".into())
        }
        _ => KeyError::WrongPassphrase,
    })?;
    match from_der(Form::Pkcs8, plain.as_bytes()) {
        // As in old PEM, the padding may fit by chance.
        Err(KeyError::Damaged { .. }) => Err(KeyError::WrongPassphrase),
        done => done,
    }
}

/// The scheme that encrypts a PKCS#8 key, where it is not PBES2.
fn other_scheme(der: &[u8]) -> Option<ObjectIdentifier> {
    const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
    let mut inside = SliceReader::new(AnyRef::from_der(der).ok()?.value()).ok()?;
    Some(AlgorithmIdentifierRef::decode(&mut inside).ok()?.oid).filter(|oid| *oid != PBES2)
}

fn unsupported_cipher(oid: ObjectIdentifier) -> KeyError {
    const NAMES: [(&str, &str); 5] = [
        ("1.2.840.113549.3.7", "DES-EDE3-CBC"),
        ("1.2.840.113549.1.12.1.3", "PBE-SHA1-3DES"),
        ("1.2.840.113549.1.12.1.1", "PBE-SHA1-RC4-128"),
        ("1.2.840.113549.1.5.3", "PBE-MD5-DES"),
        ("1.2.392.200011.61.1.1.1.4", "CAMELLIA-256-CBC"),
    ];
    let oid = oid.to_string();
    let name = NAMES.iter().find(|(known, _)| *known == oid).map(|(_, name)| (*name).to_owned());
    KeyError::UnsupportedCipher(name.unwrap_or_else(|| format!("the algorithm {oid}")))
}

/// PKCS#1 and SEC1. The reader for PKCS#8 takes SEC1 as well; PKCS#1 it takes in PKCS#8's envelope.
fn traditional(form: Form, der: &[u8]) -> Result<PrivateKey, KeyError> {
    const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    if form == Form::Sec1 {
        return from_der(form, der);
    }
    let algorithm = AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) };
    let envelope = OctetStringRef::new(der)
        .and_then(|key| SecretDocument::encode_msg(&PrivateKeyInfoRef::new(algorithm, key)))
        .map_err(|error| damaged(form, &error))?;
    from_der(form, envelope.as_bytes())
}

fn from_der(form: Form, der: &[u8]) -> Result<PrivateKey, KeyError> {
    decode_pkcs8(der, None).map_err(|error| match error {
        russh::keys::Error::UnknownAlgorithm(oid) => KeyError::UnsupportedType(oid.to_string()),
        error => damaged(form, &error),
    })
}

fn damaged(form: Form, error: &dyn std::fmt::Display) -> KeyError {
    KeyError::Damaged { form: form.name(), reason: error.to_string() }
}

/// Refuses the types that parse and that no agent of today signs with.
fn known(key: PrivateKey) -> Result<PrivateKey, KeyError> {
    match key.algorithm() {
        Algorithm::Ed25519
        | Algorithm::Ecdsa { .. }
        | Algorithm::Rsa { .. }
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256 => Ok(key),
        other => Err(KeyError::UnsupportedType(other.to_string())),
    }
}

/// Private keys, each in a box: a key in line leaves a copy wherever it is moved from.
#[allow(clippy::vec_box, reason = "see above; the lint thinks of speed")]
pub type PrivateKeys = Vec<Box<PrivateKey>>;

/// Text that zeroes itself, for the readers of sources.
pub(super) type SecretBytes = Zeroizing<Vec<u8>>;
