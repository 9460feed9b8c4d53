//! The way from this machine to the archives: directly, or by the proxy that its environment names.
//!
//! Contract: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` are followed as curl does. A name is resolved once,
//! and only addresses that may be reached for a host are connected to: never this machine itself, its link, or a
//! group; private networks only where a person has said so. What a proxy resolves is the proxy's business.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::PROXY_AUTHORIZATION;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(15);

/// Which addresses may be connected to for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of the internet.
    Public,
    /// Those of private networks too (RFC 1918, RFC 4193, RFC 6598).
    Private,
    /// All: for what this machine wants for itself.
    Everything,
}

/// Connections to archives.
#[derive(Clone)]
pub struct Upstream {
    dialer: Dialer,
    client: Client<Dialer, Empty<Bytes>>,
}

impl Upstream {
    /// By way of the environment's proxies.
    pub fn from_environment(reach: Reach) -> Self {
        Self::new(Matcher::from_env(), reach)
    }

    pub(super) fn new(proxies: Matcher, reach: Reach) -> Self {
        let dialer = Dialer { proxies: Arc::new(proxies), reach };
        Self { client: Client::builder(TokioExecutor::new()).build(dialer.clone()), dialer }
    }

    /// Asks for an `http://` URL; the body comes as it is read.
    ///
    /// # Errors
    /// A sentence.
    pub async fn fetch(&self, mut request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, String> {
        if let Some(credentials) = self.dialer.proxies.intercept(request.uri()).as_ref().and_then(Intercept::basic_auth)
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        self.client.request(request).await.map_err(|e| innermost(&e))
    }

    /// A connection to a server that speaks for itself, as with TLS.
    ///
    /// # Errors
    /// A sentence.
    pub async fn tunnel(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let uri: Uri = format!("https://{host}:{port}").parse().map_err(|_| format!("{host} is no name"))?;
        let Some(proxy) = self.dialer.proxies.intercept(&uri) else {
            return dial(host, port, self.dialer.reach).await.map_err(|e| e.to_string());
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), ToProxy);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        tunnel.call(uri).await.map(TokioIo::into_inner).map_err(|e| innermost(&e))
    }
}

/// The last of an error's causes, which says what happened.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// Connects for the HTTP client.
#[derive(Clone)]
struct Dialer {
    proxies: Arc<Matcher>,
    reach: Reach,
}

impl Service<Uri> for Dialer {
    type Response = Line;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Line>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { proxies, reach } = self.clone();
        Box::pin(async move {
            if let Some(proxy) = proxies.intercept(&uri) {
                let stream = ToProxy.call(proxy.uri().clone()).await?;
                return Ok(Line { stream, to_proxy: true });
            }
            let host = uri.host().ok_or_else(|| io::Error::other("an address without a server"))?;
            let stream = TokioIo::new(dial(host, uri.port_u16().unwrap_or(80), reach).await?);
            Ok(Line { stream, to_proxy: false })
        })
    }
}

/// Connects to a proxy that this machine's environment names, wherever it is.
struct ToProxy;

impl Service<Uri> for ToProxy {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        Box::pin(async move {
            let wrong = |what: &str| io::Error::other(format!("the proxy of this machine's environment {what}"));
            if proxy.scheme_str() != Some("http") {
                return Err(wrong("must be an http:// one"));
            }
            let host = proxy.host().ok_or_else(|| wrong("has no name"))?;
            let dialed = dial(host, proxy.port_u16().unwrap_or(80), Reach::Everything).await;
            dialed.map(TokioIo::new).map_err(|e| wrong(&format!("cannot be reached: {e}")))
        })
    }
}

async fn dial(host: &str, port: u16, reach: Reach) -> io::Result<TcpStream> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = lookup_host((name, port)).await?.collect();
    let mut last = io::Error::other(format!("{host} has no address"));
    for address in found {
        if !may_reach(address.ip(), reach) {
            let more =
                if reach == Reach::Public { " (toolbox_package_proxy: always allows private networks)" } else { "" };
            last = io::Error::other(format!("{host} is {}, which is not fetched from for a host{more}", address.ip()));
            continue;
        }
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
            Err(_) => last = io::Error::other(format!("{address}: no answer within {} s", CONNECT.as_secs())),
        }
    }
    Err(last)
}

fn may_reach(ip: IpAddr, reach: Reach) -> bool {
    let (own, private) = match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            let own = ip.is_loopback() || ip.octets()[0] == 0 || ip.is_link_local();
            (own || ip.is_multicast() || ip.is_broadcast(), ip.is_private() || shared)
        }
        IpAddr::V6(ip) => {
            let own = ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local();
            (own || ip.is_multicast(), ip.is_unique_local())
        }
    };
    match reach {
        Reach::Public => !own && !private,
        Reach::Private => !own,
        Reach::Everything => true,
    }
}

/// A connection that knows whether it leads to a proxy, which is asked in another form.
struct Line {
    stream: TokioIo<TcpStream>,
    to_proxy: bool,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.to_proxy)
    }
}

impl Read for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_private_networks_are_not_reached_for_a_host() {
        for (address, public, private) in [
            ("203.0.113.80", true, true),
            ("2001:db8::1", true, true),
            ("10.1.2.3", false, true),
            ("192.168.0.1", false, true),
            ("100.64.0.1", false, true),
            ("fd00::1", false, true),
            ("127.0.0.1", false, false),
            ("0.0.0.0", false, false),
            ("::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("224.0.0.1", false, false),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!((may_reach(ip, Reach::Public), may_reach(ip, Reach::Private)), (public, private), "{address}");
        }
    }
}
