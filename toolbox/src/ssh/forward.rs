//! A port on the host whose connections arrive here (`tcpip-forward`, RFC 4254 section 7.1).
//!
//! Contract: it listens on the host's 127.0.0.1, at a port that the server chooses, and is cancelled when the
//! [`Forward`] is dropped. Every other channel that a server opens on its own is refused (`handler.rs`), and so is one
//! whose originator is not on the host itself: `GatewayPorts yes` would open the port to the host's network.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use russh::client::Msg;
use russh::{Channel, ChannelOpenFailure, Error};
use tokio::sync::{mpsc, watch};

use super::channel::{Incoming, Overflow};
use super::{ChannelStream, Connection, SshError};

/// Where the host listens.
const LOOPBACK: &str = "127.0.0.1";

/// Connections that wait to be accepted; more are refused.
const WAITING: usize = 8;

/// A session's listening ports.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<HashMap<u32, mpsc::Sender<Incoming>>>);

impl Listeners {
    /// A place for a channel that the server opens for a connection from `originator` to `address`:`port`.
    pub(super) fn place(&self, address: &str, port: u32, originator: &str) -> Result<Place, ChannelOpenFailure> {
        let local = originator.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&port).cloned();
        match listener {
            Some(listener) if local && address == LOOPBACK => {
                listener.try_reserve_owned().map(Place).map_err(|_| ChannelOpenFailure::ResourceShortage)
            }
            _ => Err(ChannelOpenFailure::AdministrativelyProhibited),
        }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<u32, mpsc::Sender<Incoming>>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Room for one connection among those that wait.
pub(super) struct Place(mpsc::OwnedPermit<Incoming>);

impl Place {
    /// A reader that is slow ends its own channel: others must not wait for it.
    pub(super) fn take(self, channel: Channel<Msg>) {
        self.0.send(Incoming::new(channel, Overflow::Fail));
    }
}

/// A port on the host's loopback whose connections arrive here.
pub struct Forward {
    connection: Connection,
    port: u16,
    arriving: mpsc::Receiver<Incoming>,
    over: watch::Receiver<()>,
}

impl Connection {
    /// Lets the host listen on a port of its 127.0.0.1 that it chooses. Every user of the host can connect to it.
    ///
    /// # Errors
    /// [`SshError::ChannelRefused`] where sshd forbids it: OpenSSH does not tell by which setting.
    /// [`SshError::Disconnected`].
    pub async fn forward_from_host(&self) -> Result<Forward, SshError> {
        // In a task of its own: when the caller gives up in between, the port is still closed again.
        let connection = self.clone();
        let asking = tokio::spawn(async move {
            match connection.handle().tcpip_forward(LOOPBACK, 0).await {
                Ok(port @ 1..=0xffff) => Ok(Forward::new(connection, port)),
                Ok(_) | Err(Error::RequestDenied) => Err(connection.forward_refused()),
                Err(_) => Err(connection.peer().lost()),
            }
        });
        asking.await.unwrap_or_else(|_| Err(self.peer().lost()))
    }

    fn forward_refused(&self) -> SshError {
        SshError::ChannelRefused {
            address: self.address().to_owned(),
            what: "to forward a port of its own to this machine".to_owned(),
            reason: "the server gives no reason".to_owned(),
        }
    }
}

impl Forward {
    fn new(connection: Connection, port: u32) -> Self {
        let (sender, arriving) = mpsc::channel(WAITING);
        connection.peer().listeners().change(|listeners| drop(listeners.insert(port, sender)));
        let over = connection.over();
        Self { connection, port: u16::try_from(port).unwrap_or_default(), arriving, over }
    }

    /// The port on the host's 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next connection to it; `None` once the connection to the host is gone.
    pub async fn accept(&mut self) -> Option<ChannelStream> {
        let arriving = tokio::select! {
            arriving = self.arriving.recv() => arriving?,
            _ = self.over.changed() => return None,
        };
        Some(ChannelStream::new(arriving, self.connection.peer(), None))
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let port = u32::from(self.port);
        self.connection.peer().listeners().change(|listeners| drop(listeners.remove(&port)));
        // Outside a runtime the session is gone with its runtime, and the port with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let connection = self.connection.clone();
            runtime.spawn(async move {
                let _ = connection.handle().cancel_tcpip_forward(LOOPBACK, port).await;
            });
        }
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("port", &self.port).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_local_connections_to_our_own_port_find_a_place() {
        let listeners = Listeners::default();
        let (sender, _arriving) = mpsc::channel(1);
        listeners.change(|map| drop(map.insert(7, sender)));
        let refused = |address, port, from| listeners.place(address, port, from).err();
        let prohibited = Some(ChannelOpenFailure::AdministrativelyProhibited);
        assert_eq!(refused(LOOPBACK, 8, "127.0.0.1"), prohibited);
        assert_eq!(refused("0.0.0.0", 7, "127.0.0.1"), prohibited);
        assert_eq!(refused(LOOPBACK, 7, "192.0.2.1"), prohibited);
        assert_eq!(refused(LOOPBACK, 7, "UNKNOWN"), prohibited);
        for from in ["127.0.0.1", "::1", "::ffff:127.0.0.9"] {
            assert_eq!(refused(LOOPBACK, 7, from), None, "{from}");
        }
        let _place = listeners.place(LOOPBACK, 7, "127.0.0.1");
        assert_eq!(refused(LOOPBACK, 7, "127.0.0.1"), Some(ChannelOpenFailure::ResourceShortage));
    }
}
