//! A FIDO private key in SSH's wire form, as it stands in OpenSSH's files, in add requests and in the helper's.
//!
//! Contract: what is read is kept as it came, byte for byte, and only the helper and its device make anything of the
//! key handle. Source: PROTOCOL.u2f, PROTOCOL.agent, PROTOCOL.certkeys.

use ssh_key::encoding::Encode as _;
use ssh_key::{Algorithm, PrivateKey};
use zeroize::Zeroizing;

use crate::agent::certificate::{Certificate, public_key};
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
    /// The public key without its certificate.
    pub(super) plain: Vec<u8>,
    /// The web origin or `ssh:…` that the key was made for.
    pub(super) application: Vec<u8>,
    /// sk-api.h's flags.
    pub(super) flags: u8,
    /// All of it, from the name of the type to the reserved string.
    pub(super) serialised: Zeroizing<Vec<u8>>,
}

impl FidoWire {
    /// The public key, or the certificate, in SSH's wire form.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The public key without its certificate.
    pub(crate) fn plain_key(&self) -> &[u8] {
        &self.plain
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
        let (blob, plain) = public.blobs(application)?;
        let serialised = Zeroizing::new(whole[..whole.len() - reader.len()].to_vec());
        Some(Self { kind, blob, plain, application: application.to_vec(), flags: *flags, serialised })
    }

    /// All of it, to make a request out of.
    #[cfg(test)]
    pub(crate) fn serialised(&self) -> &[u8] {
        &self.serialised
    }

    /// A key that was read from a file; `None` for one that is not a FIDO key.
    pub(crate) fn of(key: &PrivateKey) -> Option<Self> {
        // Only what holds no secret itself is written out.
        let (Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) = key.algorithm() else { return None };
        let pair = key.key_data();
        let mut wire = Zeroizing::new(Vec::with_capacity(pair.encoded_len().ok()?));
        pair.encode(&mut *wire).ok()?;
        Self::take(&mut wire.as_slice())
    }

    /// The same key with its certificate, as OpenSSH writes it; `None` for another key's certificate, and for a key that
    /// has one already.
    pub(crate) fn certified(&self, certificate: &Certificate) -> Option<Self> {
        let replaced = match self.kind {
            FidoKind::Ed25519 => 1,
            FidoKind::Ecdsa => 3,
            FidoKind::Ed25519Certificate | FidoKind::EcdsaCertificate => return None,
        };
        let mut rest = self.serialised.as_slice();
        for _ in 0..replaced {
            take_string(&mut rest)?;
        }
        let mut wire = Zeroizing::new(Vec::with_capacity(self.serialised.len() + 2 * certificate.blob().len()));
        put_string(&mut wire, certificate.type_name());
        put_string(&mut wire, certificate.blob());
        wire.extend(rest);
        Self::take(&mut wire.as_slice()).filter(|certified| certified.plain == self.plain)
    }
}

/// The public half as it stands before the application.
enum Public<'a> {
    /// The bytes of a public key blob but for the application at its end.
    Plain(Vec<u8>),
    Certified {
        certificate: Box<Certificate>,
        point: Option<&'a [u8]>,
    },
}

impl<'a> Public<'a> {
    fn take(kind: FidoKind, name: &[u8], reader: &mut &'a [u8]) -> Option<Self> {
        let first = take_string(reader)?;
        let certificate = || {
            let certificate = Certificate::from_blob(first).ok()?;
            (certificate.type_name() == name).then(|| Box::new(certificate))
        };
        Some(match kind {
            FidoKind::Ed25519 => Self::Plain(strings(&[name, first])),
            FidoKind::Ecdsa => Self::Plain(strings(&[name, first, take_string(reader)?])),
            // Only OpenSSH's ed25519 keys repeat the point behind the certificate.
            FidoKind::Ed25519Certificate => {
                Self::Certified { certificate: certificate()?, point: Some(take_string(reader)?) }
            }
            FidoKind::EcdsaCertificate => Self::Certified { certificate: certificate()?, point: None },
        })
    }

    /// The blob that the key is listed as, and the plain key's.
    fn blobs(self, application: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::Plain(mut blob) => {
                put_string(&mut blob, application);
                public_key(&blob).map(|_| (blob.clone(), blob))
            }
            Self::Certified { certificate, point } => {
                let plain = certificate.plain_key();
                fits(plain, point, application).then(|| (certificate.blob().to_vec(), plain.to_vec()))
            }
        }
    }
}

/// Whether the plain key in a certificate is that of the key beside it.
fn fits(mut plain: &[u8], point: Option<&[u8]>, application: &[u8]) -> bool {
    let mut fields = Vec::new();
    while let Some(field) = take_string(&mut plain) {
        fields.push(field);
    }
    match (fields.as_slice(), point) {
        ([_name, certified, last], Some(point)) => *certified == point && *last == application,
        ([_name, _curve, _point, last], None) => *last == application,
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
