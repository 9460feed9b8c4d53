//! Requests and answers in bytes (draft-ietf-sshm-ssh-agent, PROTOCOL.agent).
//!
//! Contract: what is decoded is exactly one message, so that it can neither borrow from the next nor hide constraints
//! behind its end. Passphrases, PINs and private keys go into memory that zeroes itself. Everything is read here and not
//! by ssh-agent-lib: its types hold ssh-key 0.6, do not zero, and refuse certificates with options that are not text.
//!
//! Type 9 is what `ssh-add -D` sends first, for agents of protocol 1.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use zeroize::Zeroizing;

use super::constraints::{Constraints, Subject};
use super::credential::Credential;
use super::frame::Message;
use crate::agent::certificate::Certificate;
use crate::agent::helper::FidoWire;
use crate::agent::keyring::bindings::{BindError, Binding, HostKey};
use crate::agent::private_wire::take_string;

#[cfg(test)]
mod tests;

const REMOVE_ALL_V1: u8 = 9;
pub(crate) const LIST: u8 = 11;
pub(crate) const SIGN: u8 = 13;
const ADD: u8 = 17;
const REMOVE: u8 = 18;
const REMOVE_ALL: u8 = 19;
const ADD_TOKEN: u8 = 20;
const REMOVE_TOKEN: u8 = 21;
const LOCK: u8 = 22;
pub(crate) const UNLOCK: u8 = 23;
const ADD_CONSTRAINED: u8 = 25;
const ADD_TOKEN_CONSTRAINED: u8 = 26;
const EXTENSION: u8 = 27;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
pub(crate) const IDENTITIES: u8 = 12;
const SIGNATURE: u8 = 14;
const EXTENSION_RESPONSE: u8 = 29;

const QUERY: &[u8] = b"query";
const SESSION_BIND: &[u8] = b"session-bind@openssh.com";
/// The extensions that are answered; `query` names itself as OpenSSH's does.
const EXTENSIONS: [&[u8]; 2] = [QUERY, SESSION_BIND];

/// What a client can ask for.
pub(crate) enum Request {
    List,
    Sign(SignRequest),
    Add(Box<AddKey>),
    AddSecurityKey(Box<AddSecurityKey>),
    Remove {
        blob: Vec<u8>,
    },
    RemoveAll,
    AddToken(Box<AddToken>),
    RemoveToken(Token),
    Lock(Zeroizing<Vec<u8>>),
    Unlock(Zeroizing<Vec<u8>>),
    Query,
    /// What follows the extension's name; read apart, as a malformed one counts as a failed binding.
    Bind(Vec<u8>),
}

/// A signature to be made.
pub(crate) struct SignRequest {
    /// The public key's blob.
    pub(crate) blob: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) flags: u32,
}

/// A key to be added.
pub(crate) struct AddKey {
    /// Both halves in SSH's wire form.
    pub(crate) pair: Zeroizing<Vec<u8>>,
    pub(crate) comment: Vec<u8>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) constraints: Constraints,
}

/// A FIDO key to be added.
pub(crate) struct AddSecurityKey {
    pub(crate) key: FidoWire,
    pub(crate) comment: Vec<u8>,
    pub(crate) constraints: Constraints,
}

/// A PKCS#11 token.
pub(crate) struct Token {
    /// The library's path.
    pub(crate) provider: OsString,
    pub(crate) pin: Zeroizing<Vec<u8>>,
}

/// A token whose keys are to be added.
pub(crate) struct AddToken {
    pub(crate) token: Token,
    pub(crate) constraints: Constraints,
}

/// What a client is told, but for the list of identities, which is written where they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Failure,
    Success,
    /// A signature blob.
    Signature(Vec<u8>),
    Extensions,
}

/// A message that is malformed, or that asks for what is not done here, and why; nothing of the message is in it. The
/// client is told `Failure` in either case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

const MALFORMED: Refused = Refused("the request is malformed");

/// What a message asks for.
pub(crate) fn decode(message: &[u8]) -> Result<Request, Refused> {
    let (kind, mut rest) = message.split_first().ok_or(MALFORMED)?;
    match *kind {
        ADD | ADD_CONSTRAINED => return add(rest, *kind == ADD_CONSTRAINED),
        ADD_TOKEN | ADD_TOKEN_CONSTRAINED => return add_token(rest, *kind == ADD_TOKEN_CONSTRAINED),
        EXTENSION => return extension(rest),
        _ => {}
    }
    let reader = &mut rest;
    let request = match *kind {
        LIST => Request::List,
        SIGN => Request::Sign(sign(reader)?),
        REMOVE => Request::Remove { blob: take(reader)?.to_vec() },
        REMOVE_ALL | REMOVE_ALL_V1 => Request::RemoveAll,
        REMOVE_TOKEN => Request::RemoveToken(token(reader)?),
        LOCK => Request::Lock(secret(reader)?),
        UNLOCK => Request::Unlock(secret(reader)?),
        _ => return Err(Refused("a request of an unknown type")),
    };
    rest.is_empty().then_some(request).ok_or(MALFORMED)
}

fn take<'a>(reader: &mut &'a [u8]) -> Result<&'a [u8], Refused> {
    take_string(reader).ok_or(MALFORMED)
}

fn take_number(reader: &mut &[u8]) -> Result<u32, Refused> {
    let (number, rest) = reader.split_first_chunk().ok_or(MALFORMED)?;
    *reader = rest;
    Ok(u32::from_be_bytes(*number))
}

fn secret(reader: &mut &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
    take(reader).map(|secret| secret.to_vec().into())
}

fn sign(reader: &mut &[u8]) -> Result<SignRequest, Refused> {
    let (blob, data) = (take(reader)?.to_vec(), take(reader)?.to_vec());
    Ok(SignRequest { blob, data, flags: take_number(reader)? })
}

fn add(mut rest: &[u8], constrained: bool) -> Result<Request, Refused> {
    let credential = Credential::take(&mut rest)?;
    let comment = take_string(&mut rest).filter(|text| !text.contains(&0)).ok_or(MALFORMED)?.to_vec();
    let constraints = constraints(rest, Subject::Key, constrained)?;
    match credential {
        Credential::SecurityKey(key) => {
            Ok(Request::AddSecurityKey(Box::new(AddSecurityKey { key, comment, constraints })))
        }
        Credential::Key { .. } if constraints.provider.is_some() => {
            Err(Refused("a provider for a key that is in no device"))
        }
        Credential::Key { pair, certificate } => {
            Ok(Request::Add(Box::new(AddKey { pair, comment, certificate, constraints })))
        }
    }
}

/// The unconstrained form can have none.
fn constraints(rest: &[u8], subject: Subject, constrained: bool) -> Result<Constraints, Refused> {
    match constrained || rest.is_empty() {
        true => Constraints::decode(rest, subject),
        false => Err(MALFORMED),
    }
}

fn token(reader: &mut &[u8]) -> Result<Token, Refused> {
    let provider = take_string(reader).filter(|path| !path.contains(&0)).ok_or(MALFORMED)?;
    Ok(Token { provider: OsString::from_vec(provider.to_vec()), pin: secret(reader)? })
}

fn add_token(mut rest: &[u8], constrained: bool) -> Result<Request, Refused> {
    let token = token(&mut rest)?;
    let constraints = constraints(rest, Subject::Token, constrained)?;
    Ok(Request::AddToken(Box::new(AddToken { token, constraints })))
}

fn extension(mut rest: &[u8]) -> Result<Request, Refused> {
    match take(&mut rest)? {
        SESSION_BIND => Ok(Request::Bind(rest.to_vec())),
        QUERY if rest.is_empty() => Ok(Request::Query),
        _ => Err(Refused("an unknown extension")),
    }
}

/// A binding and the host key's signature over the session, from what follows the extension's name.
pub(crate) fn binding(mut rest: &[u8]) -> Result<(Binding, &[u8]), BindError> {
    let mut string = || take_string(&mut rest).ok_or(BindError::Malformed);
    let (key, session, signature) = (string()?, string()?.to_vec(), string()?);
    let [forwarded] = rest else { return Err(BindError::Malformed) };
    let key = HostKey::from_blob(key).ok_or(BindError::HostKey)?;
    Ok((Binding { key, session, forwarded: *forwarded != 0 }, signature))
}

/// An answer's message.
pub(crate) fn encode(answer: &Answer) -> Message {
    match answer {
        Answer::Failure => Message::new(FAILURE),
        Answer::Success => Message::new(SUCCESS),
        Answer::Signature(blob) => {
            let mut message = Message::with_room(SIGNATURE, 4 + blob.len());
            message.string(blob);
            message
        }
        Answer::Extensions => extensions(),
    }
}

/// The names follow each other to the end of the message, as OpenSSH writes and reads them.
fn extensions() -> Message {
    let mut message = Message::new(EXTENSION_RESPONSE);
    message.string(QUERY);
    EXTENSIONS.iter().for_each(|name| message.string(name));
    message
}
