//! The TCP connection: every address that a name resolves to is tried, in the resolver's order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use super::prompt::Prompt;
use super::{Dialing, SshError, Target};
use crate::ssh_config::AddressFamily;

/// Between two attempts, as ssh has it.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects to the target's sshd; its limit holds for resolving and for each address.
pub(super) async fn dial(target: &Target) -> Result<Prompt, SshError> {
    let limit = target.timeouts.connect;
    let mut result = attempt(target, limit).await;
    for _ in 1..target.dialing.attempts {
        if matches!(result, Ok(_) | Err(SshError::Unresolvable { .. })) {
            break;
        }
        sleep(PAUSE).await;
        result = attempt(target, limit).await;
    }
    result
}

async fn attempt(target: &Target, limit: Duration) -> Result<Prompt, SshError> {
    let mut failures = Vec::new();
    for address in resolve(target, limit).await? {
        match connect(address, target.dialing.from, limit).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                tracing::debug!("{address}: {error}");
                failures.push(error);
            }
        }
    }
    Err(most_telling(failures, target, limit))
}

async fn connect(address: SocketAddr, from: Option<IpAddr>, limit: Duration) -> io::Result<Prompt> {
    let connecting = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        socket.connect(address).await
    };
    let stream = timeout(limit, connecting).await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    Ok(Prompt::new(stream))
}

async fn resolve(target: &Target, limit: Duration) -> Result<Vec<SocketAddr>, SshError> {
    let name = (target.bare_address(), target.port);
    let unresolvable = |source| SshError::Unresolvable { address: target.address.clone(), source };
    match timeout(limit, tokio::net::lookup_host(name)).await {
        Ok(Ok(addresses)) => {
            let wanted: Vec<SocketAddr> = addresses.filter(|address| fits(address, &target.dialing)).collect();
            match wanted.is_empty() {
                true => Err(unresolvable(io::Error::other("no address of the family that AddressFamily wants"))),
                false => Ok(wanted),
            }
        }
        Ok(Err(source)) => Err(unresolvable(source)),
        Err(_) => Err(unresolvable(io::Error::new(io::ErrorKind::TimedOut, "no answer from the resolver"))),
    }
}

fn fits(address: &SocketAddr, dialing: &Dialing) -> bool {
    match dialing.family {
        AddressFamily::Any => dialing.from.is_none_or(|from| from.is_ipv4() == address.is_ipv4()),
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
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
