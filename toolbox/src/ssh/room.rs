//! Sessions beyond what a server allows on one connection (`MaxSessions`): they go over a further connection.

use tokio::sync::OnceCell;

use super::channel::{Incoming, Overflow};
use super::connection::Wanted;
use super::{AgentDialer, Connection, SshError, Target};

/// Where a connection's sessions go when it has no room for more.
#[derive(Default)]
pub(super) struct Room {
    /// Set when a session was opened: a server that refuses the first allows none.
    some: OnceCell<()>,
    /// How to open another; none for a connection over somebody's stream.
    way: Option<(Target, AgentDialer, Overflow)>,
    next: OnceCell<Connection>,
}

impl Room {
    pub(super) fn with(target: &Target, agent: &AgentDialer, overflow: Overflow) -> Self {
        Self { way: Some((target.clone(), agent.clone(), overflow)), ..Self::default() }
    }

    /// The further connection, if one was opened.
    pub(super) fn next(&self) -> Option<&Connection> {
        self.next.get()
    }

    /// The further connection, which is opened where there is none; `None` where that cannot be.
    async fn more(&self) -> Option<&Connection> {
        let (target, agent, overflow) = self.way.as_ref()?;
        let open = || Connection::establish(target, agent, *overflow);
        match self.next.get_or_try_init(open).await {
            Ok(connection) => Some(connection),
            Err(error) => {
                tracing::debug!("no further connection to {}: {error}", target.address);
                None
            }
        }
    }
}

impl Connection {
    /// Opens a session on the first connection that has room for it.
    pub(super) async fn session(&self) -> Result<Incoming, SshError> {
        let mut connection = self;
        loop {
            let room = &connection.0.room;
            let mut first = None;
            let open_first = async || {
                first = Some(connection.channel(Wanted::Session).await?);
                Ok(())
            };
            room.some.get_or_try_init(open_first).await?;
            if let Some(first) = first {
                return Ok(first);
            }
            connection = match connection.channel(Wanted::Session).await {
                Err(refused @ SshError::ChannelRefused { .. }) => room.more().await.ok_or(refused)?,
                other => return other,
            };
        }
    }
}
