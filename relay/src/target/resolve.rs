//! A target's addresses, asked of the system's resolver and kept for a moment.
//!
//! Contract: the engine may give a container another address whenever it starts it, so an answer is used for
//! one second only, and asked for anew at once when no address of it can be reached. Where the resolver
//! itself is away (the engine restarts) the last answer counts; where it says that the name does not exist,
//! it does not. One question at a time for each target.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::timeout;

const FRESH: Duration = Duration::from_secs(1);
/// For one question; on a bridge an answer takes a millisecond.
const LOOKUP: Duration = Duration::from_secs(2);
/// For one address; a machine that is up accepts or refuses at once.
const CONNECT: Duration = Duration::from_secs(2);
/// A peer that is silent so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    until: Option<Instant>,
}

/// One name and what is known of it.
pub(super) struct Addresses {
    host: String,
    fixed: Option<IpAddr>,
    known: Mutex<Known>,
}

impl Addresses {
    pub(super) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), fixed: host.parse().ok(), known: Mutex::default() }
    }

    /// A connection to the first address that takes one.
    pub(super) async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let (addresses, fresh) = self.get(false).await?;
        match first(&addresses, port).await {
            Err(_) if !fresh => first(&self.get(true).await?.0, port).await,
            done => done,
        }
    }

    /// The addresses, and whether they were asked for just now.
    async fn get(&self, anew: bool) -> io::Result<(Vec<IpAddr>, bool)> {
        if let Some(address) = self.fixed {
            return Ok((vec![address], true));
        }
        let mut known = self.known.lock().await;
        if !anew && known.until.is_some_and(|until| Instant::now() < until) {
            return Ok((known.addresses.clone(), false));
        }
        match lookup(&self.host).await {
            Ok(addresses) => *known = Known { addresses, until: Some(Instant::now() + FRESH) },
            Err(error) if is_temporary(&error) && !known.addresses.is_empty() => {}
            Err(error) => {
                *known = Known::default();
                return Err(error);
            }
        }
        Ok((known.addresses.clone(), true))
    }
}

async fn lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    let found =
        timeout(LOOKUP, lookup_host((host, 0))).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(found.map(|address| address.ip()).collect())
}

/// The standard library gives `EAI_AGAIN` in glibc's words only.
fn is_temporary(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut || error.to_string().contains("Temporary failure")
}

async fn first(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => {
                prepare(&stream)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Small messages go at once; a peer that is gone without a word is found out.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(sockopt::set_tcp_keepidle(stream, KEEPALIVE)?)
}
