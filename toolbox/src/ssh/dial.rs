//! The TCP connection: every address that a name resolves to is tried, in the resolver's order.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{SshError, Target};

/// Connects to the target's sshd; `limit` holds for resolving and for each address.
pub(super) async fn dial(target: &Target, limit: Duration) -> Result<TcpStream, SshError> {
    let mut failures = Vec::new();
    for address in resolve(target, limit).await? {
        match connect(address, limit).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                tracing::debug!("{address}: {error}");
                failures.push(error);
            }
        }
    }
    Err(most_telling(failures, target, limit))
}

async fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = timeout(limit, TcpStream::connect(address)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    // What is answered at once needs no acknowledgement beside. That the kernel may refuse does no harm.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_quickack(&stream, false);
    Ok(stream)
}

async fn resolve(target: &Target, limit: Duration) -> Result<Vec<SocketAddr>, SshError> {
    let name = (target.bare_address(), target.port);
    let unresolvable = |source| SshError::Unresolvable { address: target.address.clone(), source };
    match timeout(limit, tokio::net::lookup_host(name)).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(source)) => Err(unresolvable(source)),
        Err(_) => Err(unresolvable(io::Error::new(io::ErrorKind::TimedOut, "no answer from the resolver"))),
    }
}

/// One error for all addresses: a refusal says most (the host is there), silence least.
fn most_telling(mut failures: Vec<io::Error>, target: &Target, limit: Duration) -> SshError {
    let (address, port) = (target.address.clone(), target.port);
    if failures.iter().any(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        return SshError::Refused { address, port };
    }
    failures.retain(|error| error.kind() != io::ErrorKind::TimedOut);
    match failures.pop() {
        Some(source) => SshError::Unreachable { address, port, source },
        None => SshError::TimedOut { address, port, seconds: limit.as_secs() },
    }
}
