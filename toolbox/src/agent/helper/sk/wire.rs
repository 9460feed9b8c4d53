//! A FIDO private key in SSH's wire form, as it stands in OpenSSH's files, in add requests and in the helper's.
//!
//! Contract: what is read is kept as it came, byte for byte, and only the helper and its device make anything of the
//! key handle. Source: PROTOCOL.u2f, PROTOCOL.agent, PROTOCOL.certkeys.

use ssh_key::Certificate;
use ssh_key::public::KeyData;
use zeroize::Zeroizing;

use crate::agent::private_wire::{put_string, take_string};

/// The types of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FidoKind {
    /// `sk-ssh-ed25519@openssh.com`
    Ed25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`
    Ecdsa,
    /// `sk-ssh-ed25519-cert-v01@openssh.com`
    Ed25519Certificate,
    /// `sk-ecdsa-sha2-nistp256-cert-v01@openssh.com`
    EcdsaCertificate,
}

impl FidoKind {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"sk-ssh-ed25519@openssh.com" => Some(Self::Ed25519),
            b"sk-ecdsa-sha2-nistp256@openssh.com" => Some(Self::Ecdsa),
            b"sk-ssh-ed25519-cert-v01@openssh.com" => Some(Self::Ed25519Certificate),
            b"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com" => Some(Self::EcdsaCertificate),
            _ => None,
        }
    }

    /// OpenSSH's short name, as it stands in its questions.
    pub(super) fn short_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ED25519-SK",
            Self::Ecdsa => "ECDSA-SK",
            Self::Ed25519Certificate => "ED25519-SK-CERT",
            Self::EcdsaCertificate => "ECDSA-SK-CERT",
        }
    }
}

/// A FIDO private key.
pub(crate) struct FidoWire {
    pub(super) kind: FidoKind,
    /// The public key, or the certificate, in wire form.
    pub(super) blob: Vec<u8>,
    /// The web origin or `ssh:…` that the key was made for.
    pub(super) application: Vec<u8>,
    /// sk-api.h's flags.
    pub(super) flags: u8,
    /// All of it, from the name of the type to the reserved string.
    pub(super) serialised: Zeroizing<Vec<u8>>,
}

impl FidoWire {
    /// Whether what follows in a request is a FIDO key, by the name of its type.
    pub(crate) fn begins(mut request: &[u8]) -> bool {
        take_string(&mut request).is_some_and(|name| FidoKind::of(name).is_some())
    }

    /// Takes a key from its type's name to its reserved string, and leaves the reader behind it: in an add request at
    /// the comment. `None` for what is not one, and for a certificate of another key.
    pub(crate) fn take(reader: &mut &[u8]) -> Option<Self> {
        let whole = *reader;
        let name = take_string(reader)?;
        let kind = FidoKind::of(name)?;
        let public = Public::take(kind, name, reader)?;
        let application = take_string(reader)?;
        let (flags, rest) = reader.split_first()?;
        *reader = rest;
        let (_handle, _reserved) = (take_string(reader)?, take_string(reader)?);
        let blob = public.blob(application)?;
        let serialised = Zeroizing::new(whole[..whole.len() - reader.len()].to_vec());
        Some(Self { kind, blob, application: application.to_vec(), flags: *flags, serialised })
    }
}

/// The public half as it stands before the application.
enum Public<'a> {
    /// The bytes of a public key blob but for the application at its end.
    Plain(Vec<u8>),
    Certificate {
        blob: &'a [u8],
        point: Option<&'a [u8]>,
    },
}

impl<'a> Public<'a> {
    fn take(kind: FidoKind, name: &[u8], reader: &mut &'a [u8]) -> Option<Self> {
        let first = take_string(reader)?;
        Some(match kind {
            FidoKind::Ed25519 => Self::Plain(strings(&[name, first])),
            FidoKind::Ecdsa => Self::Plain(strings(&[name, first, take_string(reader)?])),
            // Only OpenSSH's ed25519 keys repeat the point behind the certificate.
            FidoKind::Ed25519Certificate => Self::Certificate { blob: first, point: Some(take_string(reader)?) },
            FidoKind::EcdsaCertificate => Self::Certificate { blob: first, point: None },
        })
    }

    fn blob(self, application: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Plain(mut blob) => {
                put_string(&mut blob, application);
                Some(blob)
            }
            Self::Certificate { blob, point } => fits(blob, point, application).then(|| blob.to_vec()),
        }
    }
}

/// Whether a certificate is that of the key beside it.
fn fits(certificate: &[u8], point: Option<&[u8]>, application: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_bytes(certificate) else { return false };
    match certificate.public_key() {
        KeyData::SkEd25519(key) => {
            key.application().as_bytes() == application && point.is_some_and(|point| point == key.public_key().as_ref())
        }
        KeyData::SkEcdsaSha2NistP256(key) => key.application().as_bytes() == application && point.is_none(),
        _ => false,
    }
}

fn strings(fields: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for field in fields {
        put_string(&mut wire, field);
    }
    wire
}
