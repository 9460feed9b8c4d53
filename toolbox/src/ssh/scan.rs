//! Asking a host for its keys, without logging in there.
//!
//! A server proves one key for each handshake, so there is a connection for each type of key. The keys are proven, not
//! trusted: whether they are the host's is for a person to compare.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{Config, Handler, connect_stream};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Disconnect, Preferred};

use super::channel::Overflow;
use super::config::{Chosen, PLAIN, config};
use super::connection::shake_hands;
use super::handler::{SessionError, SessionNotes};
use super::host_key::{HostKeyPolicy, Standing, public_key_line};
use super::road::{self, Road, Stream};
use super::tap::Tap;
use super::{AgentDialer, SshError, Target, Way};

/// What a host presents, and what is on file about it.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The host as known_hosts names it: `address` or `[address]:port`.
    pub host: String,
    /// A key of each type that the server has.
    pub keys: Vec<OfferedKey>,
    /// What is on file.
    pub standing: Standing,
}

/// A key that a server has proven to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedKey {
    /// Its type, such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// The line of known_hosts that would trust it.
    pub line: String,
}

/// Connects to the host for its keys of all types. Nobody logs in there, only at hops before it, and nothing is
/// written.
///
/// # Errors
/// Whatever keeps a handshake from its end; [`SshError::HostKeyChanged`] and [`SshError::HostKeyRevoked`] where that
/// is what the files say.
pub async fn scan(target: &Target, agent: &AgentDialer) -> Result<Scan, SshError> {
    let (policy, chosen) = (HostKeyPolicy::of(target)?, Chosen::of(target)?);
    // One login there for all types.
    let _hop = match &target.way {
        Way::Hop(hop) => Some(hop.connection(agent, Overflow::Fail).await?),
        _ => None,
    };
    let mut keys = Vec::new();
    for algorithms in types() {
        let mut config = config(&policy, &chosen, &target.timeouts, PLAIN, false);
        config.preferred =
            Preferred { key: algorithms.into(), host_key_certificates: Vec::new().into(), ..config.preferred };
        let Road { stream, hop: _hop, command, .. } = Road::open(target, agent, Overflow::Fail).await?;
        match ask(target, config, stream).await {
            Ok(key) => keys.extend(key),
            Err(error) => return Err(road::instead_of(command, error).await),
        }
    }
    let host = target.known_hosts_name();
    let standing = policy.standing(&keys)?;
    let keys = keys.iter().map(|key| OfferedKey {
        algorithm: key.algorithm().to_string(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        line: format!("{host} {}", public_key_line(key)),
    });
    Ok(Scan { keys: keys.collect(), host, standing })
}

/// The signature algorithms of each type of key.
fn types() -> [Vec<Algorithm>; 5] {
    let ecdsa = |curve| vec![Algorithm::Ecdsa { curve }];
    let rsa = [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) });
    [
        vec![Algorithm::Ed25519],
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        rsa.to_vec(),
    ]
}

/// The key that the server has of the types that the settings prefer; `None` where it has none.
async fn ask(target: &Target, config: Config, stream: Box<dyn Stream>) -> Result<Option<PublicKey>, SshError> {
    let seen = Arc::new(Mutex::new(None));
    let (stream, heard) = Tap::new(stream);
    let handshake = connect_stream(Arc::new(config), stream, Listener(seen.clone()));
    match shake_hands(handshake, target, &heard, &SessionNotes::default()).await {
        Ok(handle) => {
            let _ = handle.disconnect(Disconnect::ByApplication, "done", "").await;
            Ok(seen.lock().unwrap_or_else(PoisonError::into_inner).take())
        }
        Err(SshError::NoCommonAlgorithm { kind: "host key", .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps the key; the handshake ends only where the server holds its private half.
struct Listener(Arc<Mutex<Option<PublicKey>>>);

impl Handler for Listener {
    type Error = SessionError;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, SessionError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(presented.public_key().clone());
        Ok(true)
    }
}
