//! bollard over any byte stream: each HTTP connection is one stream from the [`Dialer`].

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::{BollardRequest, ClientVersion};
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::EngineError;

/// A byte stream to an engine's socket.
pub trait EngineStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> EngineStream for T {}

/// Opens a new stream to the engine, as often as it is asked.
pub type Dialer = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn EngineStream>>> + Send + Sync>;

/// Dials a socket of this machine.
pub fn unix_dialer(path: PathBuf) -> Dialer {
    Arc::new(move || {
        let path = path.clone();
        Box::pin(async move {
            let stream = tokio::net::UnixStream::connect(&path).await?;
            Ok(Box::new(stream) as Box<dyn EngineStream>)
        })
    })
}

/// A bollard client whose connections come from `dialer`; `timeout` bounds one whole request, its upload included.
pub(super) fn connect(
    dialer: Dialer,
    timeout: Duration,
    version: &ClientVersion,
) -> Result<bollard::Docker, EngineError> {
    let client: Client<Connector, _> = Client::builder(TokioExecutor::new()).build(Connector(dialer));
    let transport = move |request: BollardRequest| {
        let client = client.clone();
        Box::pin(async move { client.request(request).await.map_err(bollard::errors::Error::from) })
            as BoxFuture<'static, _>
    };
    bollard::Docker::connect_with_custom_transport(transport, Some("http://docker"), timeout.as_secs(), version)
        .map_err(|e| EngineError::Unreachable { reason: e.to_string() })
}

#[derive(Clone)]
struct Connector(Dialer);

impl tower_service::Service<hyper::Uri> for Connector {
    type Response = DialedStream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: hyper::Uri) -> Self::Future {
        let stream = (self.0)();
        Box::pin(async move { Ok(DialedStream(TokioIo::new(stream.await?))) })
    }
}

/// What hyper wants to know of a connection, for a stream that it did not open.
struct DialedStream(TokioIo<Box<dyn EngineStream>>);

impl Connection for DialedStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for DialedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for DialedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
