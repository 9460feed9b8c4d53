//! The embedded SSH agent: keys in memory, and OpenSSH's agent protocol over a stream or a socket.
//!
//! A side tower: it imports nothing of the rest of the toolbox. The deployer sees it through [`Agent::connect`] only,
//! as russh's `AgentClient` over a stream in memory, so that no private key type leaves this module.
//!
//! | module | holds |
//! |---|---|
//! | `keyfile` | private keys in: where a key's text comes from, what it means, passphrases |
//! | `keyring` | identities, their lock and their signatures, without any protocol |
//! | `protocol` | messages, one client's conversation, the socket and who may use it |
//! | `askpass`, `settings` | whom to ask, and how to behave |
//! | `memory` | what keeps secrets from lying about |
//! | `private_wire` | strings and private keys in SSH's wire form |
//!
//! Absent on purpose, and refused when a client asks: certificates, FIDO and PKCS#11 keys, confirmation, destination
//! constraints and session binding. Not yet done: locked memory and a process that cannot be dumped.
//!
//! Log: russh's agent client writes requests and identities to the `log` at debug level (`russh::keys::agent`); whoever
//! starts tracing caps that target at info. Nothing in this module logs a request, key, passphrase or signature.

mod askpass;
#[expect(dead_code, reason = "the keyring does not hold such keys yet")]
mod helper;
mod keyfile;
mod keyring;
mod memory;
mod private_wire;
mod protocol;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ssh_key::PrivateKey;
use tokio::io::DuplexStream;

pub use askpass::Askpass;
pub use keyfile::load::{Ask, LoadError, PASSPHRASE_FILE_VARIABLE, Passphrases, load, passphrase_file};
pub use keyfile::secret_file::SecretFileError;
pub use keyfile::source::{KEY_VARIABLE, KeySource, SourceError};
pub use keyfile::{KeyError, parse};
pub use keyring::{AddError, Identity, MOST_IDENTITIES};
pub use protocol::socket::{AgentSocket, SocketError};
pub use settings::{FingerprintHash, Settings};

use keyring::{Checked, Keyring};
use protocol::{session, socket};

/// Bytes in flight in each direction on a stream in memory; a frame may be longer, and then takes several turns.
const DUPLEX: usize = 64 * 1024;

/// The agent. Clones are the same agent; its keys are gone when the last clone and the last client are.
#[derive(Clone, Default)]
pub struct Agent {
    keyring: Arc<Mutex<Keyring>>,
    settings: Arc<Settings>,
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
        Self { settings: Arc::new(settings), ..Self::default() }
    }

    /// Adds a key, for ever or for `lifetime`. Inside a tokio runtime.
    ///
    /// # Errors
    /// [`AddError`]; the key is zeroed then.
    pub async fn add(&self, key: PrivateKey, lifetime: Option<Duration>) -> Result<(), AddError> {
        let checked = tokio::task::spawn_blocking(move || Checked::new(key)).await;
        let checked = checked.unwrap_or(Err(AddError::Mismatch))?;
        let now = Instant::now();
        // A lifetime past the clock's end is for ever.
        let expires = lifetime.or(self.settings.default_lifetime).and_then(|lifetime| now.checked_add(lifetime));
        self.keyring().add(checked, expires, now)?;
        if let Some(expires) = expires {
            self.wipe_at(expires);
        }
        Ok(())
    }

    /// The public sides of what it holds, in the order of adding.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        self.keyring().identities(Instant::now())
    }

    /// A client's end of a new conversation in memory. Inside a tokio runtime.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(DUPLEX);
        tokio::spawn(session::serve(self.clone(), server));
        client
    }

    /// Serves the clients of a socket until it is dropped.
    pub async fn serve_unix(&self, socket: AgentSocket) {
        socket::serve(self, socket).await;
    }

    /// A panic while it was held leaves the keyring whole: its methods change it in one step.
    fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wipes what has expired at that time, even if nobody asks by then. Holds no agent alive.
    fn wipe_at(&self, expires: Instant) -> tokio::task::JoinHandle<()> {
        let keyring: Weak<Mutex<Keyring>> = Arc::downgrade(&self.keyring);
        tokio::spawn(async move {
            tokio::time::sleep_until(expires.into()).await;
            if let Some(keyring) = keyring.upgrade() {
                keyring.lock().unwrap_or_else(PoisonError::into_inner).expire(Instant::now());
            }
        })
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Agent").finish_non_exhaustive()
    }
}
