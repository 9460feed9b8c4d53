//! What is known of one client for as long as its connection lives.

use crate::agent::keyring::Bindings;
use crate::agent::upstream::{Relay, Upstream};

/// The state of one connection.
pub(crate) struct Connection {
    /// The sessions that it is bound to.
    pub(crate) bindings: Bindings,
    /// Its way to the agent behind ours.
    pub(crate) relay: Relay,
}

impl Connection {
    /// A connection that was bound to nothing yet.
    pub(crate) fn new(upstream: Option<Upstream>) -> Self {
        Self { bindings: Bindings::default(), relay: Relay::new(upstream) }
    }

    /// Whether the client may be on another host, behind a forwarding.
    pub(crate) fn may_be_remote(&self) -> bool {
        self.bindings.were_tried()
    }
}
