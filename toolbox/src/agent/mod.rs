//! The embedded SSH agent: keys in memory, and OpenSSH's agent protocol over a stream or a socket.
//!
//! A side tower: it imports nothing of the rest of the toolbox. The deployer sees it through [`Agent::connect`] only,
//! as russh's `AgentClient` over a stream in memory, so that no private key type leaves this module.
//!
//! | module | holds |
//! |---|---|
//! | `keyfile` | private keys in: where a key's text comes from, what it means, passphrases |
//! | `helper` | keys in devices: FIDO keys and PKCS#11 tokens, through OpenSSH's helper programs |
//! | `keyring` | identities, their terms, their lock and their signatures, without any protocol |
//! | `protocol` | messages, one client's conversation, the socket and who may use it |
//! | `client` | the other side: requests to an agent behind a socket |
//! | `upstream` | the person's own agent, behind this one |
//! | `certificate`, `fingerprint`, `pattern` | what OpenSSH means by these |
//! | `askpass`, `settings` | whom to ask, and how to behave |
//! | `expiry`, `clock` | wiping at the right time |
//! | `memory` | what keeps secrets from lying about |
//! | `private_wire` | strings and private keys in SSH's wire form |
//! | `shown` | text of others, fit for the log |
//!
//! Log: russh's agent client writes requests and identities to the `log` at debug level (`russh::keys::agent`); whoever
//! starts tracing caps that target at info. This module logs what was refused and why, at debug level, and never a
//! request, key, passphrase or signature.

mod askpass;
mod certificate;
pub mod client;
mod clock;
mod expiry;
mod fingerprint;
mod helper;
mod keyfile;
mod keyring;
mod memory;
mod pattern;
mod private_wire;
mod protocol;
mod settings;
mod shown;
#[cfg(test)]
mod tests;
mod upstream;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ssh_key::PrivateKey;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::Semaphore;

pub use askpass::Askpass;
pub use certificate::{Certificate, CertificateError};
pub use keyfile::certificate::{CertificateFileError, certificate_beside};
pub use keyfile::load::{
    Ask, LoadError, Loaded, LoadedKey, PASSPHRASE_FILE_VARIABLE, Passphrases, Which, load, passphrase_file,
    password_file,
};
pub use keyfile::secret_file::SecretFileError;
pub use keyfile::source::{KEY_VARIABLE, KeySource, SourceError};
pub use keyfile::{KeyError, PrivateKeys, parse};
pub use keyring::{AddError, Identity, MOST_IDENTITIES};
pub use memory::locked::{Unlocked, unlocked, wipe, would_be_unlocked};
pub use memory::process::{harden, relax};
pub use protocol::socket::{AgentSocket, SocketError};
pub use settings::{FingerprintHash, Settings};
pub use upstream::{SOCKET_VARIABLE, Upstream, UpstreamError};

use helper::{FidoKey, FidoProvider, FidoWire, TokenKey};
use keyring::{Bindings, Checked, Destination, Keyring, Terms};
use memory::scrub::scrubbed_deep;
use protocol::{session, socket};

/// Bytes in flight in each direction on a stream in memory; a frame may be longer, and then takes several turns.
const DUPLEX: usize = 64 * 1024;
/// Wrong attempts to unlock that wait for their answers at one time. Further ones queue, so that guessing over many
/// connections is at most this much faster than over one, and fewer delay nobody but themselves.
const GUESSES: usize = 4;

/// On what terms a key is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddOptions {
    /// After this time it is wiped; `None` is the agent's default ([`Settings::default_lifetime`]).
    pub lifetime: Option<Duration>,
    /// Whether each use must be confirmed, through [`Settings::askpass`].
    pub confirm: bool,
    /// For a FIDO key: the library that speaks with its device, as `SSH_SK_PROVIDER` names it; `None` and `internal` are
    /// the helper's own way over USB. The caller's word counts: [`Settings::allowed_providers`] is for clients.
    pub provider: Option<OsString>,
}

/// The agent. Clones are the same agent; its keys are gone when the last clone and the last client are.
#[derive(Clone, Default)]
pub struct Agent {
    shared: Arc<Shared>,
}

struct Shared {
    keyring: Mutex<Keyring>,
    settings: Settings,
    timer: Mutex<Option<expiry::Timer>>,
    /// Attempts to unlock that may be looked at: those of local clients.
    guesses: Arc<Semaphore>,
    /// The same for clients that may be on another host.
    remote_guesses: Arc<Semaphore>,
    /// Questions that may be asked of a person: one at a time.
    questions: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            keyring: Mutex::default(),
            settings: Settings::default(),
            timer: Mutex::default(),
            guesses: Arc::new(Semaphore::new(GUESSES)),
            remote_guesses: Arc::new(Semaphore::new(GUESSES)),
            questions: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Shared {
    /// A panic while it was held leaves the keyring whole: its methods change it in one step.
    fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// An agent without identities.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An agent without identities that behaves as told.
    #[must_use]
    pub fn with_settings(settings: Settings) -> Self {
        Self { shared: Arc::new(Shared { settings, ..Shared::default() }) }
    }

    /// How it was told to behave.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Adds a key, for `lifetime` or the agent's default. Inside a tokio runtime.
    ///
    /// # Errors
    /// [`AddError`]; the key is zeroed then.
    pub fn add(
        &self,
        key: impl Into<Box<PrivateKey>>,
        lifetime: Option<Duration>,
    ) -> impl Future<Output = Result<(), AddError>> + Send {
        // Boxed before there is a future: a future's memory may be anywhere, and keeps what has been moved out of it.
        self.add_with(key.into(), AddOptions { lifetime, ..AddOptions::default() })
    }

    /// Adds a key on these terms. One that is there already is replaced. Inside a tokio runtime.
    ///
    /// # Errors
    /// [`AddError`]; the key is zeroed then.
    pub async fn add_with(&self, key: Box<PrivateKey>, options: AddOptions) -> Result<(), AddError> {
        self.insert_own(key, None, options).await
    }

    /// Adds a certificate with its private key: an identity of its own beside the plain key, with the key's comment.
    /// Inside a tokio runtime.
    ///
    /// # Errors
    /// [`AddError`], [`AddError::OtherCertificate`] among them; the key is zeroed then.
    pub async fn add_certificate(
        &self,
        certificate: Certificate,
        key: Box<PrivateKey>,
        options: AddOptions,
    ) -> Result<(), AddError> {
        self.insert_own(key, Some(certificate), options).await
    }

    /// The public sides of what it holds, in the order of adding; none while locked.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        let mut keyring = self.keyring();
        let local = Bindings::default();
        let identity = |profile: &keyring::Profile| Identity {
            blob: profile.blob.clone(),
            comment: String::from_utf8_lossy(&profile.comment).into_owned(),
        };
        keyring.visible(&local, clock::now()).map(identity).collect()
    }

    /// Removes and wipes everything, locked or not.
    pub fn remove_all(&self) {
        self.keyring().wipe();
    }

    /// A client's end of a new conversation in memory. Inside a tokio runtime.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(DUPLEX);
        tokio::spawn(session::serve(self.clone(), server));
        client
    }

    /// Serves the clients of a socket for as long as it is polled; the socket goes with it.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub async fn serve_unix(&self, socket: AgentSocket) -> Result<(), SocketError> {
        socket::serve(self, socket).await
    }

    /// Serves one client until it is done. What it does wrong is its own loss.
    pub async fn serve(&self, client: impl AsyncRead + AsyncWrite + Unpin) {
        let _ = session::serve(self.clone(), client).await;
    }

    fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.shared.keyring()
    }

    /// Checks and adds what the agent's own process brings.
    async fn insert_own(
        &self,
        key: Box<PrivateKey>,
        certificate: Option<Certificate>,
        options: AddOptions,
    ) -> Result<(), AddError> {
        match FidoWire::of(&key) {
            None => self.insert(|| Ok(key), certificate, options, Vec::new(), &Bindings::default()).await,
            Some(wire) => {
                let checked = fido(wire, &key, certificate.as_ref(), options.provider.as_ref())?;
                self.hold(checked, options, Vec::new(), &Bindings::default())
            }
        }
    }

    /// Checks and adds what a client with these bindings brings. The key is made where it is sealed, off the runtime's
    /// threads, so that its bytes are moved about as little as can be.
    async fn insert(
        &self,
        key: impl FnOnce() -> Result<Box<PrivateKey>, AddError> + Send + 'static,
        certificate: Option<Certificate>,
        options: AddOptions,
        destinations: Vec<Destination>,
        bindings: &Bindings,
    ) -> Result<(), AddError> {
        let check = move || scrubbed_deep(|| Checked::new(&*key()?, certificate));
        let checked = tokio::task::spawn_blocking(check).await;
        self.hold(checked.unwrap_or(Err(AddError::Mismatch))?, options, destinations, bindings)
    }

    /// Adds what was checked.
    fn hold(
        &self,
        checked: Checked,
        options: AddOptions,
        destinations: Vec<Destination>,
        bindings: &Bindings,
    ) -> Result<(), AddError> {
        let now = clock::now();
        let terms = self.terms(&options, destinations, now)?;
        self.keyring().add(checked, terms, bindings, now)?;
        expiry::arm(&self.shared);
        Ok(())
    }

    /// What identities that come at `now` are held on.
    fn terms(&self, options: &AddOptions, destinations: Vec<Destination>, now: Instant) -> Result<Terms, AddError> {
        if options.confirm && self.settings().askpass.is_none() {
            return Err(AddError::NobodyToAsk);
        }
        let lifetime = options.lifetime.or(self.settings().default_lifetime);
        // A lifetime past the clock's end is for ever.
        let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime));
        Ok(Terms { expires, confirm: options.confirm, destinations })
    }

    /// Adds those of a token's keys that are not there yet; says how many were added.
    fn hold_token(&self, keys: Vec<TokenKey>, terms: &Terms) -> Result<usize, AddError> {
        let mut keyring = self.keyring();
        let mut added = 0;
        for key in keys {
            match keyring.add_new(Checked::token(key), terms.clone(), clock::now()) {
                Ok(new) => added += usize::from(new),
                // What is there stays, as in OpenSSH's agent.
                Err(why) if added > 0 => {
                    tracing::warn!(%why, added, "not all keys of a token were added");
                    break;
                }
                Err(why) => return Err(why),
            }
        }
        drop(keyring);
        expiry::arm(&self.shared);
        Ok(added)
    }
}

/// Checks a FIDO key out of a file.
fn fido(
    wire: FidoWire,
    key: &PrivateKey,
    certificate: Option<&Certificate>,
    provider: Option<&OsString>,
) -> Result<Checked, AddError> {
    let wire = match certificate {
        Some(certificate) => wire.certified(certificate).ok_or(AddError::OtherCertificate)?,
        None => wire,
    };
    let provider = FidoProvider::trusted(provider.map_or(b"internal", |name| name.as_bytes()))?;
    Ok(Checked::fido(FidoKey::new(wire, provider)?, key.comment().as_bytes().to_vec()))
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Agent").finish_non_exhaustive()
    }
}
