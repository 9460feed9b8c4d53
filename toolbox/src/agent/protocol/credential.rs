//! A private key in an add request, with or without its certificate (`sshkey_private_serialize` of OpenSSH).
//!
//! Contract: what is taken are the strings that a key of the type has; whether they make a key is found out when it is
//! sealed. Until then private bytes are in memory that zeroes itself, and in no type that is copied about. A
//! certificate's request carries only the parts that the certificate does not, so that the key is put together here, in
//! the form that [`take_keypair`](crate::agent::private_wire::take_keypair) reads.

use zeroize::Zeroizing;

use super::wire::Refused;
use crate::agent::certificate::{Certificate, is_certificate_type};
use crate::agent::helper::FidoWire;
use crate::agent::private_wire::{put_string, take_string};

#[cfg(test)]
mod tests;

/// What can be added by its bytes.
pub(crate) enum Credential {
    /// The key pair in SSH's wire form.
    Key { pair: Zeroizing<Vec<u8>>, certificate: Option<Certificate> },
    /// A FIDO key: its private half is in a device, and what names it there is here.
    SecurityKey(FidoWire),
}

impl Credential {
    /// Takes a private key, and leaves the reader behind it.
    pub(crate) fn take(reader: &mut &[u8]) -> Result<Self, Refused> {
        let name = take_string(&mut &**reader).ok_or(MALFORMED)?;
        match (name.starts_with(b"sk-"), is_certificate_type(name)) {
            (true, _) => FidoWire::take(reader).map(Self::SecurityKey).ok_or(MALFORMED),
            (false, true) => take_certified(reader).ok_or(MALFORMED),
            (false, false) => take_plain(reader).ok_or(MALFORMED),
        }
    }
}

const MALFORMED: Refused = Refused("a private key that is malformed or of an unknown type");

/// A certificate whose type is the request's.
fn take_certificate(reader: &mut &[u8]) -> Option<Certificate> {
    let name = take_string(reader)?;
    let certificate = Certificate::from_blob(take_string(reader)?).ok()?;
    (certificate.type_name() == name).then_some(certificate)
}

/// How many public strings a key of this type has, and how many that are private or come again with those.
fn strings(name: &[u8]) -> Option<(usize, usize)> {
    match name {
        b"ssh-ed25519" => Some((0, 2)),
        b"ssh-rsa" => Some((2, 4)),
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" | b"ecdsa-sha2-nistp521" => Some((2, 1)),
        _ => None,
    }
}

fn take_plain(reader: &mut &[u8]) -> Option<Credential> {
    let mut pair = room(reader.len());
    let name = take_string(reader)?;
    put_string(&mut pair, name);
    let (public, private) = strings(name)?;
    take_strings(reader, public + private, &mut pair)?;
    Some(Credential::Key { pair, certificate: None })
}

fn take_certified(reader: &mut &[u8]) -> Option<Credential> {
    let certificate = take_certificate(reader)?;
    let mut pair = room(certificate.plain_key().len() + reader.len());
    let mut certified = certificate.plain_key();
    let name = take_string(&mut certified)?;
    put_string(&mut pair, name);
    let (public, private) = strings(name)?;
    if name == b"ssh-rsa" {
        // Public keys have the exponent before the modulus, and private ones behind it.
        let exponent = take_string(&mut certified)?;
        take_strings(&mut certified, 1, &mut pair)?;
        put_string(&mut pair, exponent);
    } else {
        take_strings(&mut certified, public, &mut pair)?;
    }
    take_strings(reader, private, &mut pair)?;
    Some(Credential::Key { pair, certificate: Some(certificate) })
}

/// Room for everything at once, as a vector that grows would leave its bytes behind.
fn room(bytes: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(bytes))
}

fn take_strings(reader: &mut &[u8], count: usize, into: &mut Vec<u8>) -> Option<()> {
    (0..count).try_for_each(|_| take_string(reader).map(|string| put_string(into, string)))
}
