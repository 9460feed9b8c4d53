//! Constraints of a key that is being added (draft-ietf-sshm-ssh-agent section 4.2.7, PROTOCOL.agent sections 2 and 3).
//!
//! Contract: every constraint is understood and can be enforced, and stands there once, or the key is refused. A maximal
//! number of signatures is for XMSS keys only, of which there are none. A list of destinations that is empty is refused,
//! where OpenSSH takes the key without any restriction. So is a destination whose host or user is longer than any name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use super::wire::Refused;
use crate::agent::AddOptions;
use crate::agent::certificate::{Certificate, is_certificate, public_key};
use crate::agent::keyring::Destination;
use crate::agent::keyring::bindings::HostKey;
use crate::agent::keyring::destination::{Hop, HopKey};
use crate::agent::pattern::LONGEST_NAME;
use crate::agent::private_wire::take_string;

#[cfg(test)]
pub(crate) mod tests;

const LIFETIME: u8 = 1;
const CONFIRM: u8 = 2;
const MAXSIGN: u8 = 3;
const EXTENSION: u8 = 255;
/// Most destinations of one key, and most certificates of one token, as in OpenSSH.
const MOST_DESTINATIONS: usize = 1024;
const MOST_CERTIFICATES: usize = 1024;

/// What is being added: some constraints are for one of them only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Key,
    Token,
}

/// Certificates for the keys of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AssociatedCertificates {
    /// Whether the plain keys shall not be added.
    pub(crate) only: bool,
    pub(crate) certificates: Vec<Certificate>,
}

/// All constraints of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Constraints {
    lifetime: Option<Duration>,
    confirm: bool,
    destinations: Option<Vec<Destination>>,
    /// The library that speaks with the device of a FIDO key: a path, or the word `internal`.
    pub(crate) provider: Option<OsString>,
    /// Of tokens only.
    pub(crate) certificates: Option<AssociatedCertificates>,
}

impl Constraints {
    /// Reads the constraints that follow a key or a token.
    pub(crate) fn decode(mut rest: &[u8], subject: Subject) -> Result<Self, Refused> {
        let mut constraints = Self::default();
        while let [kind, after @ ..] = rest {
            rest = after;
            match *kind {
                LIFETIME => once(&mut constraints.lifetime, take_lifetime(&mut rest)?)?,
                CONFIRM if constraints.confirm => return Err(REPEATED),
                CONFIRM => constraints.confirm = true,
                MAXSIGN => return Err(Refused("a maximal number of signatures is for xmss keys only")),
                EXTENSION => constraints.extension(&mut rest, subject)?,
                _ => return Err(Refused("an unknown constraint")),
            }
        }
        Ok(constraints)
    }

    fn extension(&mut self, reader: &mut &[u8], subject: Subject) -> Result<(), Refused> {
        match (take(reader)?, subject) {
            (b"restrict-destination-v00@openssh.com", _) => once(&mut self.destinations, destinations(take(reader)?)?),
            (b"sk-provider@openssh.com", Subject::Key) => {
                once(&mut self.provider, OsString::from_vec(take_text(reader)?.to_vec()))
            }
            (b"associated-certs-v00@openssh.com", Subject::Token) => {
                once(&mut self.certificates, associated_certificates(reader)?)
            }
            _ => Err(Refused("an unknown constraint extension")),
        }
    }

    /// The constraints that any identity can have. A provider is not among them, as it must be allowed first.
    pub(crate) fn options(&self) -> AddOptions {
        AddOptions { lifetime: self.lifetime, confirm: self.confirm, provider: None }
    }

    /// The permitted destinations; everywhere if there are none.
    pub(crate) fn into_destinations(self) -> Vec<Destination> {
        self.destinations.unwrap_or_default()
    }
}

const MALFORMED: Refused = Refused("a malformed constraint");
const REPEATED: Refused = Refused("a constraint that is there twice");

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Refused> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(REPEATED),
    }
}

fn take<'a>(reader: &mut &'a [u8]) -> Result<&'a [u8], Refused> {
    take_string(reader).ok_or(MALFORMED)
}

/// A string without zero bytes, as C has them.
fn take_text<'a>(reader: &mut &'a [u8]) -> Result<&'a [u8], Refused> {
    take_string(reader).filter(|text| !text.contains(&0)).ok_or(MALFORMED)
}

/// A host's or a user's name. It is matched while the keyring is held, against patterns that clients choose as well.
fn take_name(reader: &mut &[u8]) -> Result<Vec<u8>, Refused> {
    match take_text(reader)? {
        name if name.len() > LONGEST_NAME => Err(Refused("a destination whose host or user is too long")),
        name => Ok(name.to_vec()),
    }
}

fn take_byte(reader: &mut &[u8]) -> Result<u8, Refused> {
    let (byte, rest) = reader.split_first().ok_or(MALFORMED)?;
    *reader = rest;
    Ok(*byte)
}

fn take_lifetime(reader: &mut &[u8]) -> Result<Duration, Refused> {
    let (seconds, rest) = reader.split_first_chunk().ok_or(MALFORMED)?;
    *reader = rest;
    Ok(Duration::from_secs(u32::from_be_bytes(*seconds).into()))
}

fn destinations(mut list: &[u8]) -> Result<Vec<Destination>, Refused> {
    let mut destinations = Vec::new();
    while !list.is_empty() {
        if destinations.len() >= MOST_DESTINATIONS {
            return Err(Refused("too many destinations"));
        }
        destinations.push(destination(take(&mut list)?)?);
    }
    match destinations.is_empty() {
        true => Err(Refused("a restriction to no destination at all")),
        false => Ok(destinations),
    }
}

fn destination(mut body: &[u8]) -> Result<Destination, Refused> {
    let (from, to) = (hop(take(&mut body)?)?, hop(take(&mut body)?)?);
    no_extensions(&mut body)?;
    let starts = from.host.is_empty() == from.keys.is_empty() && from.user.is_empty();
    let ends = !to.host.is_empty() && !to.keys.is_empty();
    match body.is_empty() && starts && ends {
        true => Ok(Destination { from, to }),
        false => Err(Refused("an inconsistent destination")),
    }
}

fn hop(mut body: &[u8]) -> Result<Hop, Refused> {
    let (user, host) = (take_name(&mut body)?, take_name(&mut body)?);
    no_extensions(&mut body)?;
    let mut keys = Vec::new();
    while !body.is_empty() {
        let key = HostKey::from_blob(take(&mut body)?).ok_or(Refused("a destination with an unknown key"))?;
        keys.push(HopKey { blob: key.blob().to_vec(), is_authority: take_byte(&mut body)? != 0 });
    }
    Ok(Hop { user, host, keys })
}

/// A place for what later versions may want to say.
fn no_extensions(reader: &mut &[u8]) -> Result<(), Refused> {
    match take(reader)? {
        [] => Ok(()),
        _ => Err(Refused("an unknown extension of a destination")),
    }
}

/// Plain keys among them are left out, as they are by OpenSSH.
fn associated_certificates(reader: &mut &[u8]) -> Result<AssociatedCertificates, Refused> {
    let only = take_byte(reader)? != 0;
    let mut list = take(reader)?;
    let mut certificates = Vec::new();
    for number in 0.. {
        if list.is_empty() {
            break;
        }
        match take(&mut list)? {
            _ if number >= MOST_CERTIFICATES => return Err(Refused("too many certificates")),
            blob if is_certificate(blob) => certificates.push(Certificate::from_blob(blob).map_err(|_| MALFORMED)?),
            blob => drop(public_key(blob).ok_or(MALFORMED)?),
        }
    }
    Ok(AssociatedCertificates { only, certificates })
}
