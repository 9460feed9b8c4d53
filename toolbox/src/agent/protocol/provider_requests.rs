//! Requests about keys that are in a device: FIDO keys and PKCS#11 tokens.
//!
//! Contract: each is refused, and says why in the log. Whoever speaks with devices through OpenSSH's helper programs
//! answers them here.

use super::connection::Connection;
use super::wire::{AddSecurityKey, AddToken, Answer, Token};
use crate::agent::Agent;

/// Adds a FIDO key.
pub(crate) async fn add_security_key(agent: &Agent, connection: &Connection, _: AddSecurityKey) -> Answer {
    refuse(agent, connection, "a FIDO key was not added")
}

/// Adds the keys of a token.
pub(crate) async fn add_token(agent: &Agent, connection: &Connection, _: AddToken) -> Answer {
    refuse(agent, connection, "the keys of a token were not added")
}

/// Removes the keys of a token.
pub(crate) async fn remove_token(agent: &Agent, connection: &Connection, _: Token) -> Answer {
    refuse(agent, connection, "the keys of a token were not removed")
}

fn refuse(agent: &Agent, connection: &Connection, what: &'static str) -> Answer {
    let why = match connection.may_be_remote() && !agent.settings().allow_remote_providers {
        true => "the client may be on another host",
        false => "nothing here speaks with devices",
    };
    tracing::debug!(what, why, "a request was refused");
    Answer::Failure
}
