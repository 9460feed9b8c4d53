//! The ports of a relay.
//!
//! Contract: [`Listeners::open`] binds what is new before it closes what goes, and all of it or nothing: when
//! a port cannot be had, everything is as before. A port that stays is not touched; its targets' port may
//! change. Closing a port leaves its connections alone.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::config::Listen;
use crate::connection::{Connection, Shared};
use crate::target;

const BACKLOG: u32 = 4096;
/// When no file descriptor is free, the next client waits so long.
const BREATH: Duration = Duration::from_millis(50);

/// A port that cannot be had.
#[derive(Debug, Error)]
#[error("cannot listen on port {port}")]
pub(crate) struct ListenError {
    port: u16,
    source: io::Error,
}

struct Port {
    to: Arc<AtomicU16>,
    task: JoinHandle<()>,
}

/// The ports that are open.
pub(crate) struct Listeners {
    shared: Arc<Shared>,
    ports: BTreeMap<u16, Port>,
}

/// Ports that are bound and not yet in force.
#[derive(Default)]
pub(crate) struct Bound(Vec<(Listen, TcpListener)>);

impl Listeners {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, ports: BTreeMap::new() }
    }

    /// Binds those of `wanted` that are not open yet; clients can connect and wait from now on.
    ///
    /// # Errors
    /// The first port that cannot be had.
    pub(crate) fn bind(&self, wanted: &[Listen]) -> Result<Bound, ListenError> {
        let new = wanted.iter().filter(|listen| !self.ports.contains_key(&listen.port));
        let bound = new.map(|listen| match bind(listen.port) {
            Ok(listener) => Ok((*listen, listener)),
            Err(source) => Err(ListenError { port: listen.port, source }),
        });
        bound.collect::<Result<_, _>>().map(Bound)
    }

    /// Makes `wanted` the ports that are open; `bound` came from the same list. Ports that go are closed when
    /// the returned tasks have ended.
    pub(crate) fn set(&mut self, wanted: &[Listen], bound: Bound) -> Vec<JoinHandle<()>> {
        let gone = |port: &u16| !wanted.iter().any(|listen| listen.port == *port);
        let gone: Vec<_> = self.ports.extract_if(.., |port, _| gone(port)).map(|(_, port)| port.task).collect();
        gone.iter().for_each(JoinHandle::abort);
        for listen in wanted {
            if let Some(port) = self.ports.get(&listen.port) {
                port.to.store(listen.to, Ordering::SeqCst);
            }
        }
        for (listen, listener) in bound.0 {
            let to = Arc::new(AtomicU16::new(listen.to));
            let task = tokio::spawn(accept(listener, Arc::clone(&to), Arc::clone(&self.shared)));
            self.ports.insert(listen.port, Port { to, task });
        }
        gone
    }

    /// What is open.
    pub(crate) fn list(&self) -> Vec<Listen> {
        let listen = |(port, open): (&u16, &Port)| Listen { port: *port, to: open.to.load(Ordering::SeqCst) };
        self.ports.iter().map(listen).collect()
    }
}

/// Waits until ports that go are closed.
pub(crate) async fn closed(gone: Vec<JoinHandle<()>>) {
    for task in gone {
        // It was told to end, and has.
        let _ = task.await;
    }
}

/// Both families over one socket; IPv4 alone where the kernel knows no IPv6.
fn bind(port: u16) -> io::Result<TcpListener> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match TcpSocket::new_v6() {
        Ok(socket) => match bind_to(socket, v6) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => bind_to(TcpSocket::new_v4()?, v4),
            done => done,
        },
        Err(_) => bind_to(TcpSocket::new_v4()?, v4),
    }
}

fn bind_to(socket: TcpSocket, address: SocketAddr) -> io::Result<TcpListener> {
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, to: Arc<AtomicU16>, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let prepared = target::prepare(&client);
                let (to, shared) = (Arc::clone(&to), Arc::clone(&shared));
                if let Ok(connection) = prepared.and_then(|()| Connection::new(client, peer, to, shared)) {
                    tokio::spawn(connection.run());
                }
            }
            // Out of descriptors or memory, which others may give back; or a client that is gone already.
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}
