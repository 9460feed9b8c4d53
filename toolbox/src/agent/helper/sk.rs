//! FIDO keys, signed with by `ssh-sk-helper`.
//!
//! Contract: one helper for each attempt, one attempt at a time in the whole process, because a device does one thing
//! at a time. What a person sees is OpenSSH's: a notice while the device waits for a touch, and one question for the
//! PIN after the device has asked for it, in its turn among all questions. An identity that has gone meanwhile starts no
//! helper and asks nothing. A key whose application is not SSH's signs only what looks like SSH.
//!
//! The helper's protocol is private to OpenSSH (ssh-sk.h); its version 5 is what 9.2 to 10.6 speak.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use ssh_key::HashAlg;
use ssh_key::public::KeyData;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::process::{Helper, Kind, Program, put_text};
use super::providers::{FidoProvider, matches};
use super::{HelperError, verified};
use crate::agent::certificate::public_key;
use crate::agent::private_wire::{put_string, take_string};
use crate::agent::settings::Settings;
use wire::FidoWire;

mod notice;
#[cfg(test)]
mod tests;
mod websafe;
pub(crate) mod wire;

/// The version of the helper's protocol.
const VERSION: u8 = 5;
/// The type of a request to sign, and of its answer.
const SIGN: u32 = 1;
/// The type of an answer that is an error.
const ERROR: u32 = 0;
/// The device wants a touch (sk-api.h).
const USER_PRESENCE: u8 = 0x01;

/// Who may speak to devices now.
static DEVICES: Semaphore = Semaphore::const_new(1);

/// A FIDO key: its private half is the device's, which the handle in `wire` means something to.
pub(crate) struct FidoKey {
    provider: FidoProvider,
    wire: FidoWire,
    plain: KeyData,
}

/// The circumstances of one signature.
pub(crate) struct Usage<'a> {
    pub(crate) settings: &'a Settings,
    /// A line for the notice, such as for which user and host.
    pub(crate) purpose: Option<&'a str>,
    /// Who may ask a person now.
    pub(crate) questions: &'a Arc<Semaphore>,
    /// Whether the identity is still there, and not locked away.
    pub(crate) is_there: &'a (dyn Fn() -> bool + Sync),
}

impl Usage<'_> {
    fn refuse_gone(&self) -> Result<(), HelperError> {
        (self.is_there)().then_some(()).ok_or(HelperError::Removed)
    }
}

impl FidoKey {
    /// Takes a key in.
    ///
    /// # Errors
    /// The helper is not installed, or the key is damaged.
    pub(crate) fn new(wire: FidoWire, provider: FidoProvider) -> Result<Self, HelperError> {
        Program::find(Kind::Fido)?;
        let plain = public_key(&wire.plain).ok_or(HelperError::NotFido)?;
        Ok(Self { provider, wire, plain })
    }

    /// The public key, or the certificate, in SSH's wire form.
    pub(crate) fn blob(&self) -> &[u8] {
        self.wire.blob()
    }

    /// The public key without its certificate, in SSH's wire form.
    pub(crate) fn plain_key(&self) -> &[u8] {
        self.wire.plain_key()
    }

    /// Signs `data`: the signature in SSH's wire form, verified. Waits for a person. Inside a tokio runtime.
    ///
    /// # Errors
    /// [`HelperError`].
    pub(crate) async fn sign(&self, data: &[u8], usage: &Usage<'_>) -> Result<Vec<u8>, HelperError> {
        self.sign_with(&Program::find(Kind::Fido)?, data, usage).await
    }

    async fn sign_with(&self, program: &Program, data: &[u8], usage: &Usage<'_>) -> Result<Vec<u8>, HelperError> {
        self.refuse_web(data, usage.settings)?;
        let signature = match self.touched(program, data, usage).await {
            Err(HelperError::PinWanted) => {
                let pin = self.ask_pin(usage).await?;
                self.attempt(program, data, Some(pin.expose_secret().as_bytes()), usage).await?
            }
            other => other?,
        };
        verified(&self.plain, data, signature)
    }

    fn refuse_web(&self, data: &[u8], settings: &Settings) -> Result<(), HelperError> {
        let application = &self.wire.application;
        let free = !settings.restrict_websafe || matches(application, &settings.websafe_allow);
        match free || websafe::is_ssh(&self.wire.blob, data) {
            true => Ok(()),
            false => Err(HelperError::NotSsh { application: String::from_utf8_lossy(application).into_owned() }),
        }
    }

    /// The attempt without a PIN, with a notice where the device waits for a touch.
    async fn touched(&self, program: &Program, data: &[u8], usage: &Usage<'_>) -> Result<Vec<u8>, HelperError> {
        let askpass = usage.settings.askpass.as_ref().filter(|_| self.wants_touch());
        let shown = askpass.and_then(|askpass| notice::Notice::show(askpass, &self.notice(usage.purpose)));
        let signature = self.attempt(program, data, None, usage).await;
        drop(shown);
        signature
    }

    async fn attempt(
        &self,
        program: &Program,
        data: &[u8],
        pin: Option<&[u8]>,
        usage: &Usage<'_>,
    ) -> Result<Vec<u8>, HelperError> {
        // Never closed; what waits here waits for its turn at the device.
        let _turn = DEVICES.acquire().await;
        usage.refuse_gone()?;
        sign(program, &self.provider, &self.wire.serialised, data, pin).await
    }

    async fn ask_pin(&self, usage: &Usage<'_>) -> Result<SecretString, HelperError> {
        let askpass = usage.settings.askpass.clone().ok_or(HelperError::PinWanted)?;
        let touch = if self.wants_touch() { " and confirm user presence " } else { " " };
        let question = format!("Enter PIN{touch}for {} key {}: ", self.wire.kind.short_name(), self.fingerprint());
        let turn = Arc::clone(usage.questions).acquire_owned().await.map_err(|_| HelperError::PinWanted)?;
        usage.refuse_gone()?;
        let answer = tokio::task::spawn_blocking(move || {
            // Kept until the question is answered, though its client may have hung up.
            let _turn = turn;
            askpass.ask(&question)
        });
        answer.await.ok().and_then(Result::ok).ok_or(HelperError::PinWanted)
    }

    fn notice(&self, purpose: Option<&str>) -> String {
        let purpose = purpose.map(|purpose| format!("\n{purpose}")).unwrap_or_default();
        format!("Confirm user presence for key {} {}{purpose}", self.wire.kind.short_name(), self.fingerprint())
    }

    fn wants_touch(&self) -> bool {
        self.wire.flags & USER_PRESENCE != 0
    }

    /// SHA-256 here whatever `-E` says, as in OpenSSH's agent; of the plain key for a certificate too.
    fn fingerprint(&self) -> String {
        self.plain.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl std::fmt::Debug for FidoKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FidoKey").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// One signature by one helper: `key` is a private key in SSH's wire form, and so is the signature that comes back.
/// It is not yet verified. Inside a tokio runtime.
///
/// # Errors
/// [`HelperError::PinWanted`] for a PIN that is missing or wrong; the others.
pub(crate) async fn sign(
    program: &Program,
    provider: &FidoProvider,
    key: &[u8],
    data: &[u8],
    pin: Option<&[u8]>,
) -> Result<Vec<u8>, HelperError> {
    let request = request(provider, key, data, pin.unwrap_or_default())?;
    let mut helper = Helper::start(program)?;
    let answer = helper.ask(&request).await?;
    let signature = signature(&helper, provider, &answer);
    helper.retire();
    signature
}

fn request(provider: &FidoProvider, key: &[u8], data: &[u8], pin: &[u8]) -> Result<Zeroizing<Vec<u8>>, HelperError> {
    // Room for all of it at once: a buffer that grows would leave copies of the PIN behind.
    let length = key.len() + data.len() + pin.len() + provider.bytes().len() + 64;
    let mut body = Zeroizing::new(Vec::with_capacity(length));
    body.push(VERSION);
    body.extend(SIGN.to_be_bytes());
    // Its log: not on standard error, and nothing at all (SYSLOG_LEVEL_QUIET).
    body.push(0);
    body.extend(0_u32.to_be_bytes());
    put_string(&mut body, key);
    put_text(&mut body, provider.bytes())?;
    put_string(&mut body, data);
    // No name of an algorithm, and no compatibility flags.
    put_string(&mut body, b"");
    body.extend(0_u32.to_be_bytes());
    put_text(&mut body, pin)?;
    Ok(body)
}

fn signature(helper: &Helper, provider: &FidoProvider, mut answer: &[u8]) -> Result<Vec<u8>, HelperError> {
    let garbled = || helper.garbled("neither a signature nor an error");
    let (version, rest) = answer.split_first().ok_or_else(garbled)?;
    if *version != VERSION {
        let program = helper.program().to_owned();
        return Err(HelperError::Version { program, got: *version, wanted: VERSION });
    }
    answer = rest;
    match take_u32(&mut answer).ok_or_else(garbled)? {
        ERROR => Err(error(provider, take_u32(&mut answer).ok_or_else(garbled)?)),
        SIGN => {
            let signature = take_string(&mut answer).filter(|_| answer.is_empty()).ok_or_else(garbled)?;
            Ok(signature.to_vec())
        }
        _ => Err(garbled()),
    }
}

fn take_u32(reader: &mut &[u8]) -> Option<u32> {
    let (number, rest) = reader.split_first_chunk::<4>()?;
    *reader = rest;
    Some(u32::from_be_bytes(*number))
}

/// What OpenSSH's error numbers (ssherr.h, without their sign) mean when they come from a device (ssh-sk.c).
fn error(provider: &FidoProvider, code: u32) -> HelperError {
    match code {
        43 => HelperError::PinWanted,
        59 => HelperError::Unsupported,
        60 => HelperError::NoDevice,
        code => HelperError::Refused { provider: provider.to_string(), code },
    }
}
