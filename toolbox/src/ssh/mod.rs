//! Reaching a host over SSH: everything that speaks russh.
//!
//! Contract: [`Connection::open`] ends with an authenticated connection to a host whose key was
//! known beforehand, or with an [`SshError`] that says which fact stands in the way and, through
//! [`SshError::hint`], what to type next. Nothing is ever trusted on first sight, no file is
//! written but by [`known_hosts::append`], and no private key is ever held: signatures come from an agent ([`AgentDialer`]).
//!
//! One unread channel stalls a whole russh session, so every channel made here is drained by a task
//! of its own into a bounded buffer (see [`ChannelStream`] for what happens when it is full).
//!
//! Deliberately absent: passwords of logins, agent forwarding, pseudo-terminals, SHA-1 in any signature, and
//! deadlines for commands (dropping a future closes its channel, so `tokio::time::timeout` is enough).

mod agent_client;
mod auth;
mod busy;
mod channel;
mod config;
mod connection;
mod dial;
mod dialer;
mod error;
mod exec;
mod forward;
mod gate;
mod handler;
mod hint;
mod hop;
mod host_key;
pub mod known_hosts;
mod program;
mod prompt;
mod quote;
mod refusal;
mod road;
mod room;
mod scan;
mod stream;
mod tap;
mod target;

pub use connection::Connection;
pub use dialer::{AgentDialer, AgentStream};
pub use error::SshError;
pub use exec::{Output, OutputStream};
pub use forward::Forward;
pub use gate::{Gate, GateError};
pub use hop::Hop;
pub use host_key::Standing;
pub use known_hosts::Place;
pub use quote::quote;
pub use refusal::{AuthRefusal, ChangedHostKey, RefusedHostKey, TriedIdentity, UnknownHostKey};
pub use scan::{OfferedKey, Scan, scan};
pub use stream::ChannelStream;
pub use target::{Dialing, Target, Timeouts, Way};
