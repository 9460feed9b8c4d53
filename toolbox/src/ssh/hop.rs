//! A host that leads to others.
//!
//! Contract: clones of a [`Hop`] share its connections, so that many hosts behind one bastion cost two logins there: one
//! connection carries control, the other bulk data, for whose readers it waits. Who asked while a login was under way
//! that failed is told the same, and does not try again. The login is by our agent; none is forwarded.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::Mutex;

use super::channel::Overflow;
use super::connection::Inner;
use super::{AgentDialer, Connection, SshError, Target};

/// A hop with its connections. Hops are equal when their targets are.
#[derive(Clone)]
pub struct Hop(Arc<Shared>);

struct Shared {
    target: Target,
    control: Mutex<Slot>,
    bulk: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    open: Weak<Inner>,
    failed: Option<(Instant, Arc<SshError>)>,
}

impl Hop {
    /// A hop to which nothing is open yet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self(Arc::new(Shared { target, control: Mutex::default(), bulk: Mutex::default() }))
    }

    /// The host itself.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    pub(super) async fn connection(&self, agent: &AgentDialer, overflow: Overflow) -> Result<Connection, SshError> {
        let slot = if overflow == Overflow::Wait { &self.0.bulk } else { &self.0.control };
        let asked = Instant::now();
        let mut slot = slot.lock().await;
        if let Some(connection) = Connection::upgrade(&slot.open) {
            return Ok(connection);
        }
        if let Some((_, error)) = slot.failed.as_ref().filter(|(when, _)| *when > asked) {
            return Err(self.wrapped(error.clone()));
        }
        match self.open(agent.clone(), overflow).await {
            Ok(connection) => {
                slot.open = connection.downgrade();
                Ok(connection)
            }
            Err(error) => {
                let error = Arc::new(error);
                slot.failed = Some((Instant::now(), error.clone()));
                Err(self.wrapped(error))
            }
        }
    }

    /// Boxed: a hop may have a hop.
    fn open(
        &self,
        agent: AgentDialer,
        overflow: Overflow,
    ) -> Pin<Box<dyn Future<Output = Result<Connection, SshError>> + Send>> {
        let hop = self.clone();
        Box::pin(async move {
            let target = &hop.0.target;
            Connection::establish(target, &agent, overflow).await
        })
    }

    /// An error of a hop before this one says so already.
    fn wrapped(&self, source: Arc<SshError>) -> SshError {
        match &*source {
            SshError::Hop { hop, source } => SshError::Hop { hop: hop.clone(), source: source.clone() },
            SshError::HopRefused { hop, address, port, reason } => {
                SshError::HopRefused { hop: hop.clone(), address: address.clone(), port: *port, reason: reason.clone() }
            }
            _ => SshError::Hop { hop: self.0.target.label(), source },
        }
    }
}

impl PartialEq for Hop {
    fn eq(&self, other: &Self) -> bool {
        self.0.target == other.0.target
    }
}

impl Eq for Hop {}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hop").field(&self.0.target).finish()
    }
}
