//! What goes wrong, as the deployer is told.

use std::io;

use rustix::io::Errno;
use toolbox_wire::{DiffId, ErrorKind, Reply};

/// A request that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) text: String,
    pub(super) diff_id: Option<DiffId>,
}

impl Fault {
    pub(super) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), diff_id: None }
    }

    pub(super) fn protocol(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, text)
    }

    pub(super) fn engine(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Engine, text)
    }

    pub(super) fn peer(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Peer, text)
    }

    /// About this layer.
    pub(super) fn of(self, diff_id: DiffId) -> Self {
        Self { diff_id: Some(diff_id), ..self }
    }
}

/// The spool failed: everything else says so itself.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let full = [Errno::NOSPC, Errno::DQUOT].map(|errno| errno.raw_os_error());
        let is_full = error.raw_os_error().is_some_and(|errno| full.contains(&errno));
        let kind = if is_full { ErrorKind::Space } else { ErrorKind::Io };
        Self::new(kind, format!("the spool: {error}"))
    }
}

impl From<Fault> for Reply {
    fn from(Fault { kind, text, diff_id }: Fault) -> Self {
        Self::Error { kind, text, diff_id }
    }
}
