//! What is known of one client for as long as its connection lives.

use crate::agent::keyring::Bindings;

/// The state of one connection.
#[derive(Default)]
pub(crate) struct Connection {
    /// The sessions that it is bound to.
    pub(crate) bindings: Bindings,
}

impl Connection {
    /// Whether the client may be on another host, behind a forwarding.
    pub(crate) fn may_be_remote(&self) -> bool {
        self.bindings.were_tried()
    }
}
