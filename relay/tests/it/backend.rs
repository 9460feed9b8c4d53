//! Targets: an HTTP server that can be killed with all its connections, and one that does what a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Channel, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::relay::DEADLINE;

/// Bytes of `/long` before and after the wait.
pub(crate) const HALF: usize = 3_000_000;

type Body = BoxBody<Bytes, Infallible>;

struct Inside {
    name: String,
    served: AtomicUsize,
    go_on: Notify,
}

/// An HTTP server. `/who` says its name, `/echo` says what was sent, `/chunked` its name in chunks, `/long`
/// half of a download and the other half after [`Backend::go_on`].
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    inside: Arc<Inside>,
    task: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start(name: impl ToString) -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (served, go_on) = Default::default();
        let inside = Arc::new(Inside { name: name.to_string(), served, go_on });
        let task = tokio::spawn(accept(listener, Arc::clone(&inside)));
        Self { address, inside, task }
    }

    pub(crate) fn target(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn go_on(&self) {
        self.inside.go_on.notify_one();
    }

    /// Ends it as SIGKILL would: whatever is open is cut off. How many requests it has served.
    pub(crate) async fn kill(self) -> usize {
        self.task.abort();
        let _ = self.task.await;
        self.inside.served.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, inside: Arc<Inside>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let inside = Arc::clone(&inside);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&inside)));
            // How a client ends is the client's business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, inside: Arc<Inside>) -> Result<Response<Body>, hyper::Error> {
    inside.served.fetch_add(1, Ordering::SeqCst);
    let name = Bytes::from(inside.name.clone());
    let body = match request.uri().path() {
        "/echo" => Full::new(request.into_body().collect().await?.to_bytes()).boxed(),
        "/chunked" => pieces([name.clone(), name], None),
        "/long" => pieces([Bytes::from(vec![b'x'; HALF]), Bytes::from(vec![b'y'; HALF])], Some(inside)),
        _ => Full::new(name).boxed(),
    };
    Ok(Response::new(body))
}

/// A body in chunks; between the two it waits to be told, if it can be.
fn pieces([first, second]: [Bytes; 2], wait: Option<Arc<Inside>>) -> Body {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let _ = sender.send_data(first).await;
        if let Some(inside) = wait {
            inside.go_on.notified().await;
        }
        // A client that is gone wants no more.
        let _ = sender.send_data(second).await;
    });
    body.boxed()
}

/// A target that does with its next connection what the test says.
pub(crate) struct Raw {
    listener: TcpListener,
}

impl Raw {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.3:0").await.unwrap() }
    }

    pub(crate) fn target(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(crate) async fn accept(&self) -> TcpStream {
        timeout(DEADLINE, self.listener.accept()).await.expect("nobody came").unwrap().0
    }
}
