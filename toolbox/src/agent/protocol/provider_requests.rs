//! Requests about keys that are in a device: FIDO keys and PKCS#11 tokens.
//!
//! Contract: the rules of OpenSSH's agent (`process_add_identity`, `process_add_smartcard_key` and
//! `process_remove_smartcard_key` in ssh-agent.c). A library must be on the list of `-P`, by its canonical path. A client
//! that may be on another host loads none, unless `-O allow-remote-pkcs11` says so. A token's keys replace nothing that
//! is there, and a library whose helper runs is not loaded again. Who may load a token may remove it; one that is not there
//! is removed already (OpenSSH to 9.2 says failure then).
//!
//! Two rules are stricter than OpenSSH's: a FIDO key without a provider is refused when it is added, and not when it shall
//! sign; and so is one where the helper program is not installed.
//!
//! Tokens are loaded one at a time, so that a library gets one helper, and a wrong PIN is tried once.

use std::os::unix::ffi::OsStrExt as _;

use thiserror::Error;
use tokio::sync::Semaphore;

use super::connection::Connection;
use super::wire::{AddSecurityKey, AddToken, Answer, Token};
use crate::agent::helper::{FidoKey, FidoProvider, HelperError, Library, TokenProvider, identities, is_internal};
use crate::agent::keyring::Checked;
use crate::agent::shown::shown;
use crate::agent::{AddError, Agent, clock};

/// Who may load a token now.
static LOADING: Semaphore = Semaphore::const_new(1);

/// Who may look at a path that a client named now: one that hangs costs one thread, not all.
pub(in crate::agent) static LOOKING: Semaphore = Semaphore::const_new(1);

/// Why such a request was not done.
#[derive(Debug, Error)]
enum Refusal {
    #[error("the client may be on another host, and -O allow-remote-pkcs11 was not given")]
    Remote,
    #[error("the request for a FIDO key names no provider")]
    NoProvider,
    #[error("the agent holds keys of {} already, and its helper runs: remove the token first", shown(&.0.to_string()))]
    Loaded(Library),
    #[error("all of the token's keys are there already, or none was wanted")]
    NothingNew,
    #[error("the agent is locked")]
    Locked,
    #[error("the check was given up")]
    Stopped,
    #[error(transparent)]
    Add(#[from] AddError),
    #[error(transparent)]
    Helper(#[from] HelperError),
}

/// Adds a FIDO key.
pub(crate) async fn add_security_key(agent: &Agent, connection: &Connection, request: AddSecurityKey) -> Answer {
    answer(try_add_security_key(agent, connection, request).await, "a FIDO key was not added")
}

/// Adds the keys of a token.
pub(crate) async fn add_token(agent: &Agent, connection: &Connection, request: AddToken) -> Answer {
    answer(try_add_token(agent, connection, request).await, "the keys of a token were not added")
}

/// Removes the keys of a token.
pub(crate) async fn remove_token(agent: &Agent, connection: &Connection, token: Token) -> Answer {
    answer(try_remove_token(agent, connection, token).await, "the keys of a token were not removed")
}

fn answer(done: Result<(), Refusal>, what: &'static str) -> Answer {
    match done {
        Ok(()) => Answer::Success,
        Err(why) => {
            tracing::debug!(what, %why, "a request was refused");
            Answer::Failure
        }
    }
}

async fn try_add_security_key(agent: &Agent, connection: &Connection, request: AddSecurityKey) -> Result<(), Refusal> {
    let AddSecurityKey { key, comment, mut constraints } = request;
    let name = constraints.provider.take().ok_or(Refusal::NoProvider)?;
    let names_a_path = !is_internal(name.as_bytes());
    if names_a_path {
        refuse_remote(agent, connection)?;
    }
    let list = agent.settings().allowed_providers.clone();
    let check = move || FidoKey::new(key, FidoProvider::allowed(name.as_bytes(), &list)?);
    let checked = Checked::fido(if names_a_path { off_threads(check).await? } else { check()? }, comment);
    let options = constraints.options();
    Ok(agent.hold(checked, options, constraints.into_destinations(), &connection.bindings)?)
}

async fn try_add_token(agent: &Agent, connection: &Connection, request: AddToken) -> Result<(), Refusal> {
    refuse_remote(agent, connection)?;
    let AddToken { token: Token { provider, pin }, mut constraints } = request;
    let (only, certificates) =
        constraints.certificates.take().map_or((false, Vec::new()), |given| (given.only, given.certificates));
    let terms = agent.terms(&constraints.options(), constraints.into_destinations(), clock::now())?;
    let list = agent.settings().allowed_providers.clone();
    let library = off_threads(move || Library::allowed(provider.as_bytes(), &list)).await?;
    // Never closed; what waits here waits for its turn.
    let _turn = LOADING.acquire().await;
    if agent.keyring().has_living_token(&library, clock::now()) {
        return Err(Refusal::Loaded(library));
    }
    let (_provider, keys) = TokenProvider::load(library, &pin).await?;
    match agent.hold_token(identities(&keys, &certificates, only), &terms)? {
        0 => Err(Refusal::NothingNew),
        _ => Ok(()),
    }
}

async fn try_remove_token(agent: &Agent, connection: &Connection, token: Token) -> Result<(), Refusal> {
    refuse_remote(agent, connection)?;
    let library = off_threads(move || Library::named(token.provider.as_bytes())).await?;
    agent.keyring().remove_token(&library).then_some(()).ok_or(Refusal::Locked)
}

fn refuse_remote(agent: &Agent, connection: &Connection) -> Result<(), Refusal> {
    match connection.may_be_remote() && !agent.settings().allow_remote_providers {
        true => Err(Refusal::Remote),
        false => Ok(()),
    }
}

/// Looks at a path off the runtime's threads: what it leads to may hang.
async fn off_threads<T: Send + 'static>(
    check: impl FnOnce() -> Result<T, HelperError> + Send + 'static,
) -> Result<T, Refusal> {
    // Never closed; the turn ends with the check, though its client may be gone.
    let turn = LOOKING.acquire().await;
    let looking = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        check()
    });
    Ok(looking.await.map_err(|_| Refusal::Stopped)??)
}
