//! Logging in: the agent's identities are offered one after the other: first those that the target names, then the
//! others in the agent's order, and a key's certificates before the key itself, as ssh does.
//!
//! A server counts the keys that it refuses and hangs up after some (`MaxAuthTries`). Nobody connects again then to go on
//! guessing: servers punish that (`PerSourcePenalties`). Public key method only. A key is signed with only after the server said that it would accept it,
//! so that an agent which asks for confirmation asks for the right key alone.

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};

use super::agent_client::{AgentClient, AgentError, Listed};
use super::handler::{SessionHandler, SessionNotes};
use super::refusal::{AuthRefusal, TriedIdentity};
use super::{AgentDialer, SshError, Target};

/// Logs in as the target's user, or says what was tried. Gives the key that was accepted.
pub(super) async fn log_in(
    handle: &mut Handle<SessionHandler>,
    target: &Target,
    agent: &AgentDialer,
    notes: &SessionNotes,
) -> Result<PublicKey, SshError> {
    let mut agent = AgentClient::new(agent.dial().await.map_err(|source| SshError::AgentUnreachable { source })?);
    if let Some(binding) = handle.agent_session_binding() {
        match agent.bind(binding).await {
            Ok(()) | Err(AgentError::Declined) => {}
            Err(error) => return Err(agent_broken(&error)),
        }
    }
    let identities = agent.identities().await.map_err(|error| agent_broken(&error))?;
    if identities.is_empty() {
        return Err(SshError::NoIdentities { user: target.user.clone(), address: target.address.clone() });
    }
    let mut login = Login { handle, agent, target, notes, tried: Vec::new(), left: 0, methods: MethodSet::empty() };
    let mut offered = in_order(identities, &target.identities);
    if target.identities_only {
        offered.retain(|listed| listed.key().is_some_and(|key| is_named(key, &target.identities)));
    }
    if offered.is_empty() {
        return Err(SshError::NoIdentities { user: target.user.clone(), address: target.address.clone() });
    }
    login.offer_all(offered).await
}

/// Whether the agent holds an RSA key; also where it does not say.
pub(super) async fn may_use_rsa(agent: &AgentDialer) -> bool {
    let Ok(stream) = agent.dial().await else { return true };
    match AgentClient::new(stream).identities().await {
        Ok(identities) => identities.iter().filter_map(Listed::key).any(|key| key.is_rsa()),
        Err(_) => true,
    }
}

/// Sorted by when they are to be offered. Those of one key stand together, where its first one stood.
fn in_order(mut identities: Vec<Listed>, named: &[PublicKey]) -> Vec<Listed> {
    let keys: Vec<Option<KeyData>> = identities.iter().map(|listed| listed.key().cloned()).collect();
    let first = |key: &KeyData| keys.iter().position(|other| other.as_ref() == Some(key));
    // The types that are not known are never offered, and only told of at the end.
    identities.sort_by_cached_key(|listed| match listed.key() {
        None => (usize::MAX, usize::MAX, false),
        Some(key) => {
            let rank = named.iter().position(|named| named.key_data() == key).unwrap_or(named.len());
            (rank, first(key).unwrap_or(usize::MAX), !listed.is_certificate())
        }
    });
    identities
}

fn is_named(key: &KeyData, named: &[PublicKey]) -> bool {
    named.iter().any(|named| named.key_data() == key)
}

fn agent_broken(error: &AgentError) -> SshError {
    SshError::AgentProtocol { reason: error.to_string() }
}

struct Login<'a> {
    handle: &'a mut Handle<SessionHandler>,
    agent: AgentClient,
    target: &'a Target,
    notes: &'a SessionNotes,
    tried: Vec<TriedIdentity>,
    /// How many were not offered.
    left: usize,
    methods: MethodSet,
}

impl Login<'_> {
    async fn offer_all(&mut self, identities: Vec<Listed>) -> Result<PublicKey, SshError> {
        self.left = identities.len();
        for listed in identities {
            self.left -= 1;
            let identity = match listed {
                Listed::Usable(identity) => identity,
                Listed::Unknown { algorithm, comment } => {
                    self.note(String::new(), algorithm, comment, "its type is not supported");
                    continue;
                }
            };
            match self.offer(&identity).await? {
                Outcome::Accepted => return Ok(identity.public_key().into_owned()),
                Outcome::Refused(why) => self.note_identity(&identity, why),
                // The server hung up, or takes no keys at all: the rest of the list is in vain.
                Outcome::Over(why) => {
                    self.note_identity(&identity, why);
                    break;
                }
            }
        }
        Err(self.refusal())
    }

    async fn offer(&mut self, identity: &AgentIdentity) -> Result<Outcome, SshError> {
        let Some(hash) = self.hash_for(identity).await else {
            return Ok(Outcome::Refused("the server takes SHA-1 signatures only"));
        };
        let Some(hash) = self.accepted(identity, hash) else {
            return Ok(Outcome::Refused("not offered, as PubkeyAcceptedAlgorithms forbids it"));
        };
        let user = self.target.user.clone();
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle.authenticate_publickey_with(user, key.clone(), hash, &mut self.agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut self.agent).await
            }
        };
        match result {
            Ok(AuthResult::Success) => Ok(Outcome::Accepted),
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                Ok(self.after_refusal(remaining_methods, partial_success))
            }
            Err(AgentError::Declined) => Ok(Outcome::Refused("the agent declined to sign")),
            Err(AgentError::SessionGone) => Ok(Outcome::Over("the server hung up")),
            Err(error) => Err(agent_broken(&error)),
        }
    }

    fn after_refusal(&mut self, methods: MethodSet, partial: bool) -> Outcome {
        // russh reports the end of the session as a refusal that names no method.
        if methods.is_empty() && self.handle.is_closed() {
            return Outcome::Over("the server hung up");
        }
        let keys_left = methods.contains(&MethodKind::PublicKey);
        self.methods = methods;
        match (keys_left, partial) {
            (true, true) => Outcome::Refused("accepted, and the server wants another one too"),
            (true, false) => Outcome::Refused("refused by the server"),
            (false, true) => Outcome::Over("accepted, and the server wants another method too"),
            (false, false) => Outcome::Over("refused by the server"),
        }
    }

    /// The hash to sign with: none but for RSA, whose SHA-1 form is never used. `None`: no way.
    async fn hash_for(&self, identity: &AgentIdentity) -> Option<Option<HashAlg>> {
        if !matches!(identity.public_key().algorithm(), Algorithm::Rsa { .. }) {
            return Some(None);
        }
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(Some(hash))) => Some(Some(hash)),
            Ok(Some(None)) => None,
            // A server that does not say: every one since 2016 takes this.
            Ok(None) | Err(_) => Some(Some(HashAlg::Sha512)),
        }
    }

    /// The hash, or the other one of RSA's, where `PubkeyAcceptedAlgorithms` leaves the algorithm.
    fn accepted(&self, identity: &AgentIdentity, hash: Option<HashAlg>) -> Option<Option<HashAlg>> {
        let Some(list) = &self.target.algorithms.pubkey else {
            return Some(hash);
        };
        let suffix = if matches!(identity, AgentIdentity::Certificate { .. }) { "-cert-v01@openssh.com" } else { "" };
        let accepts = |hash: &Option<HashAlg>| {
            let algorithm = match identity.public_key().algorithm() {
                Algorithm::Rsa { .. } => Algorithm::Rsa { hash: *hash },
                other => other,
            };
            let plain = algorithm.to_string();
            let name =
                if suffix.is_empty() { plain } else { format!("{}{suffix}", plain.trim_end_matches("@openssh.com")) };
            !list.apply(&[&name], &[&name]).is_empty()
        };
        let other = hash.map(|_| Some(HashAlg::Sha256));
        std::iter::once(hash).chain(other).find(accepts)
    }

    fn note_identity(&mut self, identity: &AgentIdentity, outcome: &str) {
        let fingerprint = identity.public_key().fingerprint(HashAlg::Sha256).to_string();
        let algorithm = match identity {
            AgentIdentity::PublicKey { key, .. } => key.algorithm().to_string(),
            AgentIdentity::Certificate { certificate, .. } => certificate.algorithm().to_certificate_type(),
        };
        self.note(fingerprint, algorithm, identity.comment().to_owned(), outcome);
    }

    fn note(&mut self, fingerprint: String, algorithm: String, comment: String, outcome: &str) {
        self.tried.push(TriedIdentity { fingerprint, algorithm, comment, outcome: outcome.to_owned() });
    }

    fn refusal(&mut self) -> SshError {
        SshError::AuthRefused(Box::new(AuthRefusal {
            user: self.target.user.clone(),
            address: self.target.address.clone(),
            tried: std::mem::take(&mut self.tried),
            left: self.left,
            named: !self.target.identities.is_empty(),
            methods: self.methods.iter().map(String::from).collect(),
            hung_up: self.handle.is_closed().then(|| self.notes.end().unwrap_or_else(|| "no reason given".to_owned())),
            banner: self.notes.banner(),
        }))
    }
}

/// What became of one identity.
enum Outcome {
    Accepted,
    Refused(&'static str),
    Over(&'static str),
}

#[cfg(test)]
mod tests;
