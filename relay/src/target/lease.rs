//! One connection's hold on its target.
//!
//! Contract: it counts from its making to its end, and is told when the target leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::sync::futures::OwnedNotified;

use super::{Target, Targets};

/// A connection to a target, made or being made.
pub(crate) struct Lease {
    target: Arc<Target>,
    targets: Arc<Targets>,
    busy: bool,
    leave: Pin<Box<OwnedNotified>>,
    left: bool,
}

impl Lease {
    pub(super) fn new(target: Arc<Target>, targets: Arc<Targets>) -> Self {
        target.open.fetch_add(1, Ordering::SeqCst);
        let leave = Box::pin(Arc::clone(&target.leave).notified_owned());
        Self { target, targets, busy: false, leave, left: false }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Says whether the connection has something under way.
    pub(crate) fn set_busy(&mut self, busy: bool) {
        if self.busy != busy {
            self.busy = busy;
            match busy {
                true => self.target.busy.fetch_add(1, Ordering::SeqCst),
                false => self.target.busy.fetch_sub(1, Ordering::SeqCst),
            };
        }
    }

    /// Whether new connections go elsewhere by now; if not, the task is woken when they do.
    pub(crate) fn poll_left(&mut self, context: &mut Context<'_>) -> bool {
        if !self.left {
            let told = matches!(self.leave.as_mut().poll(context), Poll::Ready(()));
            self.left = told || self.target.left.load(Ordering::SeqCst);
        }
        self.left
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.set_busy(false);
        self.target.open.fetch_sub(1, Ordering::SeqCst);
        self.targets.gone.notify_waiters();
    }
}
