//! Keys that are not in memory: FIDO authenticators and PKCS#11 tokens, through OpenSSH's own helper programs.
//!
//! Contract: no library of a device is loaded into this process. `ssh-sk-helper` and `ssh-pkcs11-helper` load it in
//! theirs, spoken to over a socket as OpenSSH's agent does; a helper that dies, lies or hangs costs the one signature
//! it was asked for. Every signature is verified with its public key before it is handed out.
//!
//! | module | holds |
//! |---|---|
//! | `providers` | which libraries may be named (`-P`), and pattern lists |
//! | `process` | a helper that runs, and one question to it at a time |
//! | `sk` | FIDO keys: one `ssh-sk-helper` for each signature, PINs, the restriction for web origins |
//! | `pkcs11` | tokens: one `ssh-pkcs11-helper` for each library, its keys and certificates |
//!
//! Absent on purpose: enrolling FIDO keys and reading resident ones, which `ssh-keygen` and `ssh-add -K` do without an
//! agent; PINs that are kept after a signature (a token's helper holds its session itself).

mod pkcs11;
mod process;
mod providers;
mod sk;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use russh::keys::signature::Verifier as _;
use ssh_key::Signature;
use ssh_key::public::KeyData;
use thiserror::Error;

pub(crate) use pkcs11::{TokenKey, TokenProvider, identities};
pub(crate) use providers::{FidoProvider, Library, is_internal};
pub(crate) use sk::wire::FidoWire;
pub(crate) use sk::{FidoKey, Usage};

use super::shown::shown;

/// How long a helper may take for one answer. A person may have to find the device, touch it, or type on its keypad.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Largest RSA key whose signatures are verified here, in bits: the arithmetic used stops there.
const MOST_VERIFIED_BITS: u32 = 8192;

/// Why a helper made no signature or gave no keys. Clients name libraries and applications: those are shown escaped.
#[derive(Debug, Error)]
pub(crate) enum HelperError {
    #[error(
        "{program} is not installed (tried {tried}): it comes with OpenSSH's client (Debian, Ubuntu: \
         openssh-client), or set {variable} to its path"
    )]
    NotInstalled { program: &'static str, variable: &'static str, tried: String },
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{} ended without an answer", program.display())]
    Died { program: PathBuf },
    #[error("{} gave no answer within {} seconds", program.display(), PATIENCE.as_secs())]
    Silent { program: PathBuf },
    #[error("{} answered what is not its protocol: {what}", program.display())]
    Garbled { program: PathBuf, what: &'static str },
    #[error("{} speaks version {got} of its protocol, not {wanted}: install another release of OpenSSH", program.display())]
    Version { program: PathBuf, got: u8, wanted: u8 },
    #[error("a PIN, path or name with a NUL byte")]
    Nul,
    #[error("{bytes} bytes to sign are more than {program} takes")]
    TooLong { program: &'static str, bytes: usize },
    #[error("{}: no such library", shown(path))]
    NoLibrary { path: String, source: io::Error },
    #[error("{} is not allowed: the list of libraries (-P) is {list}", shown(path))]
    NotAllowed { path: String, list: String },
    #[error("not a FIDO private key, or damaged")]
    NotFido,
    #[error("the FIDO key wants its PIN, and it was wrong or nobody could be asked: set SSH_ASKPASS")]
    PinWanted,
    #[error("no FIDO device that holds this key is plugged in")]
    NoDevice,
    #[error("the FIDO device or its library cannot do this")]
    Unsupported,
    #[error("the FIDO device refused, or its library cannot be loaded: {} (code -{code})", shown(provider))]
    Refused { provider: String, code: u32 },
    #[error("the FIDO key is for {}, and signs only what looks like SSH", shown(application))]
    NotSsh { application: String },
    #[error("{} shows no keys: no token is there, it holds none, or its PIN is wrong", shown(library))]
    NoKeys { library: String },
    #[error("{} does not work as a PKCS#11 library (code {code})", shown(library))]
    BadLibrary { library: String, code: u32 },
    #[error("{}: {reason}", shown(library))]
    Token { library: String, reason: &'static str },
    #[error("the token refused to sign: {}", shown(library))]
    TokenRefused { library: String },
    #[error("the helper of {} has ended: remove the token and add it again", shown(library))]
    Gone { library: String },
    #[error("the identity was removed, has expired or was locked away while the device was waited for")]
    Removed,
    #[error("the signature that came back is not one by this key")]
    WrongSignature,
}

/// Passes a signature blob on if it is one by that key over that data.
fn verified(key: &KeyData, data: &[u8], blob: Vec<u8>) -> Result<Vec<u8>, HelperError> {
    let signature = Signature::try_from(blob.as_slice()).map_err(|_| HelperError::WrongSignature)?;
    let unverifiable = key.rsa().is_some_and(|rsa| rsa.key_size() > MOST_VERIFIED_BITS);
    match unverifiable || key.verify(data, &signature).is_ok() {
        true => Ok(blob),
        false => Err(HelperError::WrongSignature),
    }
}
