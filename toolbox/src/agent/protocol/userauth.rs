//! What a client wants signed when it logs in: the user authentication request of RFC 4252 section 7, and the form that
//! names the host key too (`publickey-hostbound-v00@openssh.com`, PROTOCOL section 3.1).
//!
//! Contract: the rules of `parse_userauth_request` in OpenSSH's ssh-agent.c. Only what is exactly such a request, for
//! the key that shall sign, is one. One for a user of more than [`LONGEST_NAME`] bytes is none, which OpenSSH does not say.

use crate::agent::pattern::LONGEST_NAME;
use crate::agent::private_wire::take_string;

#[cfg(test)]
mod tests;

const USERAUTH_REQUEST: u8 = 50;
const SERVICE: &[u8] = b"ssh-connection";
const METHOD: &[u8] = b"publickey";
const HOSTBOUND: &[u8] = b"publickey-hostbound-v00@openssh.com";

/// A request for authentication.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UserAuth<'a> {
    /// The identifier of the session that it is for.
    pub(crate) session: &'a [u8],
    pub(crate) user: &'a [u8],
    /// The blob of the server's host key, where the request names it.
    pub(crate) host_key: Option<&'a [u8]>,
}

impl<'a> UserAuth<'a> {
    /// Reads what `key` (a public key's blob) shall sign; `None` if it is anything else.
    pub(crate) fn parse(mut data: &'a [u8], key: &[u8]) -> Option<Self> {
        let reader = &mut data;
        let session = take_string(reader).filter(|session| !session.is_empty())?;
        take_byte(reader, USERAUTH_REQUEST)?;
        let user = take_text(reader).filter(|user| user.len() <= LONGEST_NAME)?;
        take_string(reader).filter(|service| *service == SERVICE)?;
        let method = take_string(reader)?;
        take_byte(reader, 1)?;
        let algorithm = take_string(reader)?;
        take_string(reader).filter(|signing| *signing == key && is_algorithm_of(algorithm, signing))?;
        let host_key = match method {
            METHOD => None,
            HOSTBOUND => Some(take_string(reader)?),
            _ => return None,
        };
        data.is_empty().then_some(Self { session, user, host_key })
    }
}

/// A string without zero bytes, as C has them.
fn take_text<'a>(reader: &mut &'a [u8]) -> Option<&'a [u8]> {
    take_string(reader).filter(|text| !text.contains(&0))
}

fn take_byte(reader: &mut &[u8], wanted: u8) -> Option<()> {
    let (byte, rest) = reader.split_first()?;
    *reader = rest;
    (*byte == wanted).then_some(())
}

/// Whether a key signs with the algorithm: each type has its own name's, and rsa three.
fn is_algorithm_of(algorithm: &[u8], key: &[u8]) -> bool {
    match take_string(&mut &*key) {
        Some(b"ssh-rsa") => matches!(algorithm, b"ssh-rsa" | b"rsa-sha2-256" | b"rsa-sha2-512"),
        Some(b"ssh-rsa-cert-v01@openssh.com") => matches!(
            algorithm,
            b"ssh-rsa-cert-v01@openssh.com"
                | b"rsa-sha2-256-cert-v01@openssh.com"
                | b"rsa-sha2-512-cert-v01@openssh.com"
        ),
        // WebAuthn's form is signed with the same type of key.
        Some(b"sk-ecdsa-sha2-nistp256@openssh.com") => {
            matches!(algorithm, b"sk-ecdsa-sha2-nistp256@openssh.com" | b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com")
        }
        name => name == Some(algorithm),
    }
}
