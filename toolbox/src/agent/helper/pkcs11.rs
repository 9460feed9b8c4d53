//! PKCS#11 tokens, signed with by `ssh-pkcs11-helper`.
//!
//! Contract: one helper for each library, which holds the session that the PIN opened; the PIN is forgotten here once
//! it was sent. Requests to it stand in a queue and are asked one after the other by a task of their own, so that a
//! client that goes away leaves no answer behind for the next one. The helper ends with the last [`TokenProvider`], at
//! [`TokenProvider::stop`], and when it has answered nonsense or nothing; its keys can then be removed and added again.
//!
//! The helper's protocol is private to OpenSSH and changed in 10.1: see `dialect`.

use std::sync::Arc;

use ssh_key::public::KeyData;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use zeroize::Zeroizing;

use super::process::{Helper, Kind, Program, put_text};
use super::providers::Library;
use super::{HelperError, verified};
use crate::agent::certificate::{Certificate, public_key};
use crate::agent::private_wire::take_string;
use dialect::Dialect;

mod dialect;
#[cfg(test)]
mod tests;

/// Requests that wait for the helper's turn; further clients wait to get in line.
const QUEUE: usize = 16;
/// Longest message that the helper takes, in bytes (ssh-pkcs11-helper.c); a longer one ends it.
const LONGEST_REQUEST: usize = 10240;

/// `SSH_AGENTC_ADD_SMARTCARD_KEY`
const ADD: u8 = 20;
/// `SSH2_AGENT_IDENTITIES_ANSWER`
const KEYS: u8 = 12;
/// `SSH_AGENT_FAILURE`
const FAILURE: u8 = 5;
/// `SSH2_AGENT_FAILURE`
const FAILURE_2: u8 = 30;

/// A question and where its answer goes.
struct Request {
    body: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, HelperError>>,
}

/// A library with its helper.
pub(crate) struct TokenProvider {
    library: Library,
    dialect: Dialect,
    requests: mpsc::Sender<Request>,
    task: AbortHandle,
}

impl TokenProvider {
    /// Starts a helper, has it load the library and log in with the PIN, and gives the keys that it shows, in its
    /// order: each once, with its label or, where it has none, the library's path. Inside a tokio runtime.
    ///
    /// # Errors
    /// [`HelperError`]; no helper is left behind then.
    pub(crate) async fn load(library: Library, pin: &[u8]) -> Result<(Arc<Self>, Vec<TokenKey>), HelperError> {
        Self::load_with(&Program::find(Kind::Token)?, library, pin).await
    }

    async fn load_with(
        program: &Program,
        library: Library,
        pin: &[u8],
    ) -> Result<(Arc<Self>, Vec<TokenKey>), HelperError> {
        let (mut helper, dialect) = dialect::start(program).await?;
        let mut body = Zeroizing::new(Vec::with_capacity(library.bytes().len() + pin.len() + 16));
        body.push(ADD);
        put_text(&mut body, library.bytes())?;
        put_text(&mut body, pin)?;
        refuse_long(&body)?;
        let answer = helper.ask(&body).await?;
        let keys = keys(&helper, &library, &answer)?;
        let provider = Arc::new(Self::run(helper, library, dialect));
        let keys = keys.into_iter().map(|(blob, key, label)| TokenKey::new(&provider, blob, key, label)).collect();
        Ok((provider, keys))
    }

    fn run(helper: Helper, library: Library, dialect: Dialect) -> Self {
        let (requests, waiting) = mpsc::channel(QUEUE);
        let task = tokio::spawn(serve(helper, waiting)).abort_handle();
        Self { library, dialect, requests, task }
    }

    /// The library's canonical path.
    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    /// Whether the helper still runs. A library whose helper runs is not loaded a second time by OpenSSH.
    pub(crate) fn is_alive(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Ends the helper now, whoever still holds this: what waits for it gets [`HelperError::Gone`].
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// A signature by the key of a public key blob, in SSH's wire form, verified; `flags` are the agent protocol's.
    ///
    /// # Errors
    /// [`HelperError`].
    pub(crate) async fn sign(
        &self,
        blob: &[u8],
        key: &KeyData,
        data: &[u8],
        flags: u32,
    ) -> Result<Vec<u8>, HelperError> {
        let body = self.dialect.request(blob, key, data, flags).ok_or_else(|| self.refused())?;
        refuse_long(&body)?;
        let answer = self.ask(body).await?;
        let signature = dialect::take_signature(&answer).ok_or_else(|| self.refused())?;
        let signature = self.dialect.signature(key, flags, signature).ok_or(HelperError::WrongSignature)?;
        verified(key, data, signature)
    }

    async fn ask(&self, body: Vec<u8>) -> Result<Vec<u8>, HelperError> {
        let (answer, answered) = oneshot::channel();
        let gone = || HelperError::Gone { library: self.library.to_string() };
        self.requests.send(Request { body, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    fn refused(&self) -> HelperError {
        HelperError::TokenRefused { library: self.library.to_string() }
    }
}

impl Drop for TokenProvider {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for TokenProvider {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenProvider").field("library", &self.library).finish_non_exhaustive()
    }
}

/// Asks the helper what comes, until it has failed once.
async fn serve(mut helper: Helper, mut waiting: mpsc::Receiver<Request>) {
    while let Some(Request { body, answer }) = waiting.recv().await {
        // Whoever has gone away while it waited needs no touch or keypad of a person.
        if answer.is_closed() {
            continue;
        }
        let result = helper.ask(&body).await;
        let failed = result.is_err();
        if failed {
            waiting.close();
        }
        let _ = answer.send(result);
        if failed {
            return;
        }
    }
}

fn refuse_long(body: &[u8]) -> Result<(), HelperError> {
    match body.len() > LONGEST_REQUEST {
        true => Err(HelperError::TooLong { program: Kind::Token.name(), bytes: body.len() }),
        false => Ok(()),
    }
}

type Shown = (Vec<u8>, KeyData, String);

/// The keys of an answer. Keys of types that nothing can be verified with are left out.
fn keys(helper: &Helper, library: &Library, answer: &[u8]) -> Result<Vec<Shown>, HelperError> {
    let garbled = || helper.garbled("neither keys nor a failure");
    let (kind, mut reader) = answer.split_first().ok_or_else(garbled)?;
    let number = take_u32(&mut reader);
    match *kind {
        FAILURE | FAILURE_2 => Err(failure(library, number.unwrap_or(0))),
        KEYS => {
            let shown = take_keys(number.ok_or_else(garbled)?, reader, library).ok_or_else(garbled)?;
            match shown.is_empty() {
                true => Err(HelperError::NoKeys { library: library.to_string() }),
                false => Ok(shown),
            }
        }
        _ => Err(garbled()),
    }
}

fn take_keys(number: u32, mut reader: &[u8], library: &Library) -> Option<Vec<Shown>> {
    let mut shown: Vec<Shown> = Vec::new();
    for _ in 0..number {
        let blob = take_string(&mut reader)?;
        let label = match take_string(&mut reader)? {
            b"" => library.to_string(),
            label => String::from_utf8_lossy(label).into_owned(),
        };
        let new = !shown.iter().any(|(known, _, _)| known == blob);
        if let Some(key) = public_key(blob).filter(|_| new) {
            shown.push((blob.to_vec(), key, label));
        }
    }
    Some(shown)
}

/// What the helper's numbers mean (ssh-pkcs11.h).
fn failure(library: &Library, code: u32) -> HelperError {
    let token = |reason| HelperError::Token { library: library.to_string(), reason };
    match code {
        0 => HelperError::NoKeys { library: library.to_string() },
        2 => token("the token did not take the PIN"),
        3 => token("no reader with a token is there"),
        4 => token("the token wants its PIN"),
        5 => token("the PIN is locked after too many wrong ones"),
        code => HelperError::BadLibrary { library: library.to_string(), code },
    }
}

fn take_u32(reader: &mut &[u8]) -> Option<u32> {
    let (number, rest) = reader.split_first_chunk::<4>()?;
    *reader = rest;
    Some(u32::from_be_bytes(*number))
}

/// A key on a token, or a certificate of one. Clones are the same key.
#[derive(Clone, Debug)]
pub(crate) struct TokenKey {
    provider: Arc<TokenProvider>,
    /// What it is listed as: the public key, or the certificate.
    blob: Vec<u8>,
    /// What the token knows it as.
    public: Vec<u8>,
    plain: KeyData,
    label: String,
}

impl TokenKey {
    fn new(provider: &Arc<TokenProvider>, blob: Vec<u8>, plain: KeyData, label: String) -> Self {
        Self { provider: Arc::clone(provider), public: blob.clone(), blob, plain, label }
    }

    /// The public key, or the certificate, in SSH's wire form.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The public key without its certificate, in SSH's wire form.
    pub(crate) fn plain_key(&self) -> &[u8] {
        &self.public
    }

    /// What it is listed with as its comment.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whose key it is.
    pub(crate) fn provider(&self) -> &Arc<TokenProvider> {
        &self.provider
    }

    /// Signs `data`: the signature in SSH's wire form, verified.
    ///
    /// # Errors
    /// [`HelperError`].
    pub(crate) async fn sign(&self, data: &[u8], flags: u32) -> Result<Vec<u8>, HelperError> {
        self.provider.sign(&self.public, &self.plain, data, flags).await
    }

    /// The same key, listed as a certificate of it; `None` if it is another key's.
    fn certified(&self, certificate: &Certificate) -> Option<Self> {
        let is_ours = public_key(certificate.plain_key()).as_ref() == Some(&self.plain);
        is_ours.then(|| Self { blob: certificate.blob().to_vec(), ..self.clone() })
    }
}

/// What a token's keys are listed as, in OpenSSH's order: each key's certificates among those that the adder gave, then
/// the key itself, unless only certificates are wanted. Certificates of other keys are left out.
pub(crate) fn identities(keys: &[TokenKey], certificates: &[Certificate], only_certificates: bool) -> Vec<TokenKey> {
    let mut identities = Vec::new();
    for key in keys {
        identities.extend(certificates.iter().filter_map(|certificate| key.certified(certificate)));
        identities.extend((!only_certificates).then(|| key.clone()));
    }
    identities
}
