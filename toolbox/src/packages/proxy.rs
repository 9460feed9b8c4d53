//! An HTTP proxy (RFC 9110 section 7.3) for one host's package manager.
//!
//! Contract: GET and HEAD of `http://` URLs and CONNECT, to the servers of the host's own archives and to nobody else;
//! or GET and HEAD of what is in a bundle. Bodies are passed on as they come. Whatever is refused is told in the
//! status line too, which is what package managers show. Connections, headers and waiting are limited. It ends, with
//! all its connections, when its future is dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::archives::Archives;
use super::bundle::Bundle;
use super::upstream::Upstream;

/// Connections served at once; others wait in the forward's short queue.
const CONNECTIONS: usize = 16;
/// How long a client may take for a request's head, in which its idle time counts.
const HEAD: Duration = Duration::from_secs(60);
/// Bytes of a request's head, and its headers.
const HEAD_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;

/// Headers of one connection only (RFC 9110 section 7.6.1), and those of old proxies.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What an answer begins with where this machine does not reach an archive.
pub(super) const NOT_EITHER: &str = "toolbox does not reach";

pub(super) type BodyError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BodyError>;
type Tunnel = Mutex<Option<(OnUpgrade, TcpStream)>>;

/// Where packages come from.
pub enum Supply {
    /// The archives themselves.
    Archives(Archives, Upstream),
    /// A bundle that was made beforehand.
    Bundle(Arc<Bundle>),
}

/// Serves whoever `accept` brings, until it brings nobody any more.
pub async fn serve<S>(supply: Supply, mut accept: impl AsyncFnMut() -> Option<S>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let supply = Arc::new(supply);
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            client = accept(), if clients.len() < CONNECTIONS => match client {
                Some(client) => drop(clients.spawn(serve_one(client, Arc::clone(&supply)))),
                None => return,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// One client, to the end of its connection, and of the tunnel that may have come of it.
async fn serve_one<S>(client: S, supply: Arc<Supply>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let tunnel = Arc::new(Tunnel::default());
    let service = service_fn(|request| {
        let (supply, tunnel) = (Arc::clone(&supply), Arc::clone(&tunnel));
        async move { Ok::<_, std::convert::Infallible>(answer(request, &supply, &tunnel).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
    let served = server.serve_connection(TokioIo::new(client), service).with_upgrades().await;
    let made = tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (Ok(()), Some((upgrade, mut server))) = (served, made)
        && let Ok(client) = upgrade.await
    {
        let _ = copy_bidirectional(&mut TokioIo::new(client), &mut server).await;
    }
}

async fn answer(request: Request<Incoming>, supply: &Supply, tunnel: &Tunnel) -> Response<Body> {
    let answered = match (supply, request.method()) {
        (Supply::Archives(archives, upstream), &Method::CONNECT) => connect(request, archives, upstream, tunnel).await,
        (Supply::Archives(archives, upstream), &(Method::GET | Method::HEAD)) => {
            fetch(request, archives, upstream).await
        }
        (Supply::Bundle(bundle), &(Method::GET | Method::HEAD)) => out_of_bundle(&request, bundle).await,
        (_, method) => Err(refused(format!("{method} is not what packages are fetched with"))),
    };
    answered.unwrap_or_else(|refusal| *refusal)
}

/// The answer in place of another one.
type Refusal = Box<Response<Body>>;

/// GET and HEAD, with the client's conditions and ranges.
async fn fetch(
    request: Request<Incoming>,
    archives: &Archives,
    upstream: &Upstream,
) -> Result<Response<Body>, Refusal> {
    let (mut head, _) = request.into_parts();
    let (host, port) = http_server(&head.uri)?;
    allowed(archives, host, port)?;
    remove_hop_by_hop(&mut head.headers);
    // It follows from the URL: another one would be another server behind an address that is allowed.
    head.headers.remove(header::HOST);
    head.headers.remove(header::CONTENT_LENGTH);
    let (host, port) = (host.to_owned(), port);
    let fetched = upstream.fetch(Request::from_parts(head, Empty::new())).await;
    let response = fetched.map_err(|reason| unreached(&host, port, &reason))?;
    let (mut head, body) = response.into_parts();
    remove_hop_by_hop(&mut head.headers);
    Ok(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()))
}

async fn connect(
    request: Request<Incoming>,
    archives: &Archives,
    upstream: &Upstream,
    tunnel: &Tunnel,
) -> Result<Response<Body>, Refusal> {
    let authority = request.uri().authority().cloned();
    let named = authority.as_ref().and_then(|a| Some((a.host(), a.port_u16()?)));
    let (host, port) = named.ok_or_else(|| refused("CONNECT names no server and port".to_owned()))?;
    allowed(archives, host, port)?;
    let server = upstream.tunnel(host, port).await.map_err(|reason| unreached(host, port, &reason))?;
    let upgrade = hyper::upgrade::on(request);
    *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, server));
    Ok(Response::new(empty()))
}

async fn out_of_bundle(request: &Request<Incoming>, bundle: &Bundle) -> Result<Response<Body>, Refusal> {
    let (host, port) = http_server(request.uri())?;
    if (host, port) != (super::bundle::SERVER, 80) {
        return Err(refused(format!("{host} is not the bundle")));
    }
    // apt writes %2b for a plus sign.
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    let path = path.trim_start_matches('/');
    let Some((length, body)) = bundle.open_file(path).await else {
        return Err(said(StatusCode::NOT_FOUND, format!("the bundle does not have {path}")));
    };
    let body: Body = if request.method() == Method::HEAD { empty() } else { body };
    let response = Response::builder().header(header::CONTENT_LENGTH, length);
    response.body(body).map_err(|e| said(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

/// The server of an `http://` URL in absolute form.
fn http_server(uri: &Uri) -> Result<(&str, u16), Refusal> {
    let plain = uri.scheme_str() == Some("http") && uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    match uri.host() {
        Some(host) if plain => Ok((host, uri.port_u16().unwrap_or(80))),
        _ => Err(refused("this is a proxy for packages, and answers to http:// URLs and CONNECT only".to_owned())),
    }
}

fn allowed(archives: &Archives, host: &str, port: u16) -> Result<(), Refusal> {
    if archives.has(host, port) {
        return Ok(());
    }
    Err(refused(format!("{host}:{port} is none of the archives in this host's own configuration")))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> =
        headers.get_all(header::CONNECTION).iter().filter_map(|v| Some(v.to_str().ok()?.to_owned())).collect();
    for name in named.iter().flat_map(|names| names.split(',')) {
        headers.remove(name.trim());
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn refused(reason: String) -> Refusal {
    said(StatusCode::FORBIDDEN, reason)
}

fn unreached(host: &str, port: u16, reason: &str) -> Refusal {
    said(StatusCode::BAD_GATEWAY, format!("{NOT_EITHER} {host}:{port} either: {reason}"))
}

/// An answer whose reason stands in the status line and in the body.
fn said(status: StatusCode, reason: String) -> Refusal {
    let phrase = ReasonPhrase::try_from(reason.replace(|c: char| !(' '..='~').contains(&c), "?").into_bytes());
    let body = Full::new(Bytes::from(format!("{reason}\n"))).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(phrase) = phrase {
        response.extensions_mut().insert(phrase);
    }
    Box::new(response)
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
