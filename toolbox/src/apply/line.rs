//! A connection to a host, made when it is asked for.
//!
//! Contract: where it may, a line that is gone is made anew, so that whoever asks gets one that lives as far as this side
//! knows; what was under way over the one before has failed. One that a lock depends on must not: who comes back without
//! the lock has no business there.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use crate::ssh::{AgentDialer, Connection, SshError, Target};

/// What goes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freight {
    /// Questions and answers.
    Control,
    /// Everything that is large.
    Bulk,
}

/// A line to a host.
pub(super) struct Line {
    target: Target,
    agent: AgentDialer,
    freight: Freight,
    again: AtomicBool,
    now: Mutex<Option<Connection>>,
}

impl Line {
    /// This connection, which is not made anew before [`Line::comes_back`].
    pub(super) fn control(target: &Target, agent: &AgentDialer, now: Connection) -> Self {
        Self::new(target, agent, Freight::Control, Some(now))
    }

    /// One for everything that is large, which is made anew.
    pub(super) fn bulk(target: &Target, agent: &AgentDialer) -> Self {
        let line = Self::new(target, agent, Freight::Bulk, None);
        line.comes_back();
        line
    }

    fn new(target: &Target, agent: &AgentDialer, freight: Freight, now: Option<Connection>) -> Self {
        let (target, agent) = (target.clone(), agent.clone());
        Self { target, agent, freight, again: AtomicBool::new(false), now: Mutex::new(now) }
    }

    /// From here on it is made anew when it is gone.
    pub(super) fn comes_back(&self) {
        self.again.store(true, Ordering::Relaxed);
    }

    /// The connection.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    pub(super) async fn get(&self) -> Result<Connection, SshError> {
        let mut now = self.now.lock().await;
        match &*now {
            Some(connection) if !connection.is_closed() || !self.again.load(Ordering::Relaxed) => {
                Ok(connection.clone())
            }
            _ => {
                let connection = match self.freight {
                    Freight::Control => Connection::open(&self.target, &self.agent).await?,
                    Freight::Bulk => Connection::open_bulk(&self.target, &self.agent).await?,
                };
                Ok(now.insert(connection).clone())
            }
        }
    }

    /// Says goodbye, where there is a connection.
    pub(super) async fn close(&self) {
        if let Some(connection) = self.now.lock().await.take() {
            connection.close().await;
        }
    }
}
