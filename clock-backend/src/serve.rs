//! The accept loop: serves until told to stop, then finishes what it accepted.
//!
//! Told to stop, it closes the listener at once (new connections are refused), lets requests in
//! flight finish, closes idle connections, and gives up when the grace ends or on the second word.
//! Every answer from then on says `Connection: close`. A header that comes in pieces counts as a
//! request on a fresh connection; on one that was used before it counts as idle (hyper's rule).
//! It exists beside `axum::serve` for two things that axum has no setting for: a limit on the time
//! that a client may take to bring a header, and that bounded end.
//! Deliberately absent: a limit on connections, which is the proxy's and the engine's business.

use std::{io, pin::pin, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long idle connections live on after the listener closed: a request that already lies in the
/// kernel's buffer is read and answered in that time instead of being cut off.
const LINGER: Duration = Duration::from_millis(50);

/// The pause after an accept that failed for want of something (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits on time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a connection may take to bring a request's header, idle time included.
    pub header_timeout: Duration,
    /// How long requests in flight may take after the first word to stop.
    pub shutdown_grace: Duration,
}

/// How the service ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every accepted request was answered.
    Drained,
    /// The grace ended, or the second word came, with connections still at work.
    CutOff {
        /// How many they were.
        connections: usize,
    },
}

/// Serves `app` on `listener` until a message arrives on `stop` (or its last sender is gone); the
/// next message ends the grace early.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, mut stop: mpsc::Receiver<()>) -> Outcome {
    // Nothing is ever sent: the loss of the sender is the signal.
    let (closing, close) = watch::channel(());
    let app = saying_close(app, close.clone());
    let mut connections = JoinSet::new();
    let start = |connections: &mut JoinSet<()>, stream| {
        connections.spawn(connection(stream, app.clone(), limits, close.clone()));
    };

    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => start(&mut connections, stream),
                Err(error) => pause_after(error).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stop.recv() => break,
        }
    }

    drop(listener);
    drop(closing);
    tracing::info!(connections = connections.len(), "stopping");
    drain(connections, LINGER + limits.shutdown_grace, stop).await
}

/// `app`, with `Connection: close` on its answers once `close` has lost its sender.
fn saying_close(app: Router, close: watch::Receiver<()>) -> Router {
    app.layer(middleware::from_fn(move |request: Request, next: Next| {
        let close = close.clone();
        async move {
            let mut response = next.run(request).await;
            if close.has_changed().is_err() {
                let value = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, value);
            }
            response
        }
    }))
}

/// An aborted connection concerns its client alone; all other failures would repeat at once.
async fn pause_after(error: io::Error) {
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    sleep(ACCEPT_PAUSE).await;
}

async fn drain(mut connections: JoinSet<()>, grace: Duration, mut stop: mpsc::Receiver<()>) -> Outcome {
    let drained = async { while connections.join_next().await.is_some() {} };
    let finished = tokio::select! {
        result = timeout(grace, drained) => result.is_ok(),
        // No sender left means that no second word will come.
        Some(()) = stop.recv() => false,
    };
    if finished {
        return Outcome::Drained;
    }
    Outcome::CutOff { connections: connections.len() }
}

/// Serves one connection until its client goes or `close` loses its sender.
async fn connection(stream: TcpStream, app: Router, limits: Limits, mut close: watch::Receiver<()>) {
    // Answers are one small write each: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection);

    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = close.changed() => match timeout(LINGER, connection.as_mut()).await {
            Ok(result) => result,
            Err(_) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        },
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
