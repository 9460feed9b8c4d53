//! `clock-backend healthcheck`: asks the service over HTTP, as a client would.
//!
//! Blocking and without a runtime, since an engine starts it every few seconds.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use thiserror::Error;

/// How long the whole check may take.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Why the service is not healthy.
#[derive(Debug, Error)]
pub enum Unhealthy {
    /// No connection.
    #[error("cannot connect to {0}")]
    Connect(SocketAddr, #[source] io::Error),
    /// A connection, but no whole answer in time.
    #[error("no answer from {0}")]
    Answer(SocketAddr, #[source] io::Error),
    /// An answer, but not the one of a healthy service.
    #[error("{0} answered {1:?}")]
    Status(SocketAddr, String),
}

/// Asks the service that listens on `listen` for `/healthz`, within `timeout` in all.
///
/// # Errors
/// [`Unhealthy`] unless it answers 200.
pub fn check(listen: SocketAddr, timeout: Duration) -> Result<(), Unhealthy> {
    let deadline = Instant::now() + timeout;
    let (address, mut stream) = connect(listen, deadline)?;
    let status = ask(&mut stream, address, deadline).map_err(|e| Unhealthy::Answer(address, e))?;
    if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(Unhealthy::Status(address, status)) }
}

fn connect(listen: SocketAddr, deadline: Instant) -> Result<(SocketAddr, TcpStream), Unhealthy> {
    let mut failure = None;
    for address in reachable_at(listen) {
        let attempt = left(deadline).and_then(|left| TcpStream::connect_timeout(&address, left));
        match attempt {
            Ok(stream) => return Ok((address, stream)),
            Err(error) => failure = Some(Unhealthy::Connect(address, error)),
        }
    }
    Err(failure.expect("reachable_at names an address"))
}

/// Where a service that listens on `listen` can be asked from the same machine. `::` also takes
/// IPv4, which is all there is where a container's IPv6 is switched off.
fn reachable_at(listen: SocketAddr) -> Vec<SocketAddr> {
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let hosts = match listen.ip() {
        ip if !ip.is_unspecified() => vec![ip],
        IpAddr::V4(_) => vec![v4],
        IpAddr::V6(_) => vec![IpAddr::V6(Ipv6Addr::LOCALHOST), v4],
    };
    hosts.into_iter().map(|host| SocketAddr::new(host, listen.port())).collect()
}

/// Sends the request and returns the status line.
fn ask(stream: &mut TcpStream, host: SocketAddr, deadline: Instant) -> io::Result<String> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut line = Vec::new();
    let mut byte = [0];
    // One byte at a time, so that the deadline also holds against a trickle.
    while line.len() < 128 {
        stream.set_read_timeout(Some(left(deadline)?))?;
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match byte[0] {
            b'\r' | b'\n' => break,
            other => line.push(other),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn targets(listen: &str) -> Vec<String> {
        let listen = listen.parse().expect("an address");
        reachable_at(listen).iter().map(ToString::to_string).collect()
    }

    /// Answers one connection with `answer`, then holds it open until the client goes.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(answer.as_bytes()).expect("still there");
            let _ = stream.read_to_end(&mut Vec::new());
        });
        address
    }

    #[test]
    fn wildcard_addresses_are_asked_on_loopback() {
        assert_eq!(targets("0.0.0.0:80"), ["127.0.0.1:80"]);
        assert_eq!(targets("[::]:80"), ["[::1]:80", "127.0.0.1:80"]);
        assert_eq!(targets("192.0.2.7:80"), ["192.0.2.7:80"]);
        assert_eq!(targets("[2001:db8::7]:80"), ["[2001:db8::7]:80"]);
    }

    #[test]
    fn only_status_200_is_healthy() {
        assert!(check(server("HTTP/1.1 200 OK\r\n\r\n"), TIMEOUT).is_ok());
        let result = check(server("HTTP/1.1 503 Service Unavailable\r\n\r\n"), TIMEOUT);
        assert!(matches!(result, Err(Unhealthy::Status(_, line)) if line.contains("503")));
    }

    #[test]
    fn server_that_never_answers_is_unhealthy_in_time() {
        let start = Instant::now();
        let result = check(server(""), Duration::from_millis(100));
        assert!(matches!(result, Err(Unhealthy::Answer(..))), "{result:?}");
        assert!(start.elapsed() < TIMEOUT);
    }

    #[test]
    fn endless_status_line_is_unhealthy() {
        let address = server(concat!(
            "HTTP/1.1 20000000000000000000000000000000000000000000000000000000000000000000000000",
            "00000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        ));
        let result = check(address, TIMEOUT);
        assert!(matches!(result, Err(Unhealthy::Status(..))), "{result:?}");
    }

    #[test]
    fn closed_port_is_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let result = check(address, TIMEOUT);
        assert!(matches!(result, Err(Unhealthy::Connect(..))), "{result:?}");
    }
}
