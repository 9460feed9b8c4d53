//! OpenSSH's agent protocol: messages, one client's conversation, the socket and who may use it.
//!
//! | module | holds |
//! |---|---|
//! | `frame` | messages on a stream, with their limits |
//! | `wire` | requests and answers in bytes; `credential` and `constraints` are the parts of adding a key |
//! | `session` | one client's conversation; `connection` is what is known of the client |
//! | `signing`, `userauth` | one signature: who may have it, and what is signed |
//! | `locking` | lock and unlock, and how fast can be guessed |
//! | `provider_requests` | keys that are in a device |
//! | `socket` | the socket |

pub(crate) mod connection;
pub(crate) mod constraints;
pub(crate) mod credential;
pub(crate) mod frame;
mod kind;
mod locking;
mod provider_requests;
pub(crate) mod session;
mod signing;
pub(crate) mod socket;
pub(crate) mod userauth;
pub(crate) mod wire;

pub(crate) use frame::LONGEST_FRAME;
#[cfg(test)]
pub(in crate::agent) use provider_requests::LOOKING;
