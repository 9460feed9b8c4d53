//! Whether a message is one that SSH signs: a FIDO key for a web origin must not answer a web site's challenge.
//!
//! Contract: OpenSSH's own two shapes (ssh-agent.c), and nothing else: a request for public key authentication
//! (RFC 4252, section 7; with the host's key, PROTOCOL's `publickey-hostbound-v00@openssh.com`), and the signed data of
//! an SSH signature (PROTOCOL.sshsig). Signing certificates with such a key is refused, as it is there.

use crate::agent::certificate::{Certificate, public_key};
use crate::agent::private_wire::take_string;
use crate::agent::protocol::userauth::UserAuth;

/// Whether `message`, to be signed with the key of `blob`, is SSH's.
pub(super) fn is_ssh(blob: &[u8], message: &[u8]) -> bool {
    authenticates(blob, message) || is_signed_data(message)
}

fn authenticates(blob: &[u8], message: &[u8]) -> bool {
    UserAuth::parse(message, blob).is_some_and(|request| request.host_key.is_none_or(is_key))
}

fn is_signed_data(message: &[u8]) -> bool {
    let read = |mut rest: &[u8]| {
        let (_namespace, _reserved) = (take_text(&mut rest)?, take_string(&mut rest)?);
        let (_hash, _digest) = (take_text(&mut rest)?, take_string(&mut rest)?);
        rest.is_empty().then_some(())
    };
    message.strip_prefix(b"SSHSIG").and_then(read).is_some()
}

fn is_key(blob: &[u8]) -> bool {
    public_key(blob).is_some() || Certificate::from_blob(blob).is_ok()
}

/// A string without NUL bytes.
fn take_text<'a>(reader: &mut &'a [u8]) -> Option<&'a [u8]> {
    take_string(reader).filter(|text| !text.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::private_wire::put_string;

    const NAME: &[u8] = b"sk-ssh-ed25519@openssh.com";

    fn blob() -> Vec<u8> {
        let mut blob = Vec::new();
        for field in [NAME, &[1; 32], b"web"] {
            put_string(&mut blob, field);
        }
        blob
    }

    /// A request for public key authentication, its fields as given.
    fn request(session: &[u8], kind: u8, texts: [&[u8]; 3], follows: u8, algorithm: &[u8], key: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        put_string(&mut message, session);
        message.push(kind);
        texts.iter().for_each(|text| put_string(&mut message, text));
        message.push(follows);
        put_string(&mut message, algorithm);
        put_string(&mut message, key);
        message
    }

    #[test]
    fn authentication_is_ssh_s_and_its_likes_are_not() {
        let (key, service) = (blob(), &b"ssh-connection"[..]);
        let good = [&b"me"[..], service, b"publickey"];
        let bound = [&b"me"[..], service, b"publickey-hostbound-v00@openssh.com"];
        assert!(is_ssh(&key, &request(b"id", 50, good, 1, NAME, &key)));
        let mut with_host = request(b"id", 50, bound, 1, NAME, &key);
        assert!(!is_ssh(&key, &with_host), "no host key");
        put_string(&mut with_host, &key);
        assert!(is_ssh(&key, &with_host));
        let other = blob().into_iter().map(|byte| if byte == 1 { 2 } else { byte }).collect::<Vec<_>>();
        let ecdsa = b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com";
        for (what, wrong) in [
            ("no session", request(b"", 50, good, 1, NAME, &key)),
            ("another message", request(b"id", 51, good, 1, NAME, &key)),
            ("another service", request(b"id", 50, [b"me", b"ssh-userauth", b"publickey"], 1, NAME, &key)),
            ("another method", request(b"id", 50, [b"me", service, b"hostbased"], 1, NAME, &key)),
            ("a NUL in the user", request(b"id", 50, [b"m\0", service, b"publickey"], 1, NAME, &key)),
            ("no signature follows", request(b"id", 50, good, 0, NAME, &key)),
            ("another algorithm", request(b"id", 50, good, 1, ecdsa, &key)),
            ("another key", request(b"id", 50, good, 1, NAME, &other)),
            ("more behind it", [request(b"id", 50, good, 1, NAME, &key), vec![0]].concat()),
        ] {
            assert!(!is_ssh(&key, &wrong), "{what}");
        }
    }

    #[test]
    fn every_beginning_of_a_message_is_refused() {
        let key = blob();
        let request = request(b"id", 50, [b"me", b"ssh-connection", b"publickey"], 1, NAME, &key);
        let signed = ssh_key::SshSig::signed_data("file", ssh_key::HashAlg::Sha256, b"text").unwrap();
        for message in [request, signed] {
            assert!(is_ssh(&key, &message));
            for end in 0..message.len() {
                assert!(!is_ssh(&key, &message[..end]), "{end}");
            }
            assert!(!is_ssh(&key, &[&message[..], b"x"].concat()));
        }
    }
}
