//! One client's connection and the target's side of it.
//!
//! Contract: bytes pass unchanged, half-closes and resets as well. When the target leaves, a connection of
//! HTTP/1 stays with it to the end of the requests that have begun there, then parts from it; the next
//! request goes to a current target over a new connection. The client sees nothing of that. A connection
//! that is opaque stays. A target that closes between two requests, without having said so, is parted from
//! in the same way: the client's next request then cannot meet a closed door.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

use crate::config::ProxyProtocol;
use crate::http::Exchange;
use crate::pipe::Pipe;
use crate::proxy;
use crate::target::{Lease, Targets};

/// A client without a request and without a target is closed after this time; browsers give up as early.
const PARKED: Duration = Duration::from_secs(300);
/// After the target's end, a client that sends nothing more is closed.
const HALF_CLOSED: Duration = Duration::from_secs(60);
/// What a client still sends is taken for so long, so that no reset overtakes the answer.
const LINGER: Duration = Duration::from_secs(2);

/// What every connection of a relay shares.
pub(crate) struct Shared {
    /// Where connections go.
    pub(crate) targets: Arc<Targets>,
    /// Whether targets are told the client's address.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

/// What is to be done next.
enum Next {
    /// A target is needed.
    Connect,
    /// All is said.
    Finish,
    /// One side has broken off; the other shall see it.
    Abort,
}

struct Upstream {
    stream: TcpStream,
    lease: Lease,
    /// The target is no longer current.
    left: bool,
    /// A byte went either way.
    used: bool,
    /// It takes no more bytes.
    broken: bool,
    /// It was told that no more bytes come.
    shut: bool,
}

/// A client that was accepted.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    client: TcpStream,
    client_shut: bool,
    header: Vec<u8>,
    to: Arc<AtomicU16>,
    upstream: Option<Upstream>,
    exchange: Exchange,
    up: Pipe,
    down: Pipe,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// `to` is the port of targets that name none, whenever one is connected to.
    pub(crate) fn new(
        client: TcpStream,
        peer: SocketAddr,
        to: Arc<AtomicU16>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let local = client.local_addr()?;
        let header = shared.proxy_protocol.map(|version| proxy::header(version, peer, local)).unwrap_or_default();
        let (exchange, up, down) = Default::default();
        let (client_shut, upstream, timer) = (false, None, None);
        Ok(Self { shared, client, client_shut, header, to, upstream, exchange, up, down, timer })
    }

    /// Serves it to its end.
    pub(crate) async fn run(mut self) {
        let mut next = Next::Connect;
        loop {
            match next {
                Next::Connect => match Box::pin(self.connect()).await {
                    Some(upstream) => self.upstream = Some(upstream),
                    None => return,
                },
                Next::Finish => return self.finish().await,
                Next::Abort => return self.abort(),
            }
            next = poll_fn(|context| self.poll(context)).await;
        }
    }

    async fn connect(&mut self) -> Option<Upstream> {
        self.timer = None;
        let (mut stream, lease) = self.shared.targets.connect(&self.to).await?;
        stream.write_all(&self.header).await.ok()?;
        Some(Upstream { stream, lease, left: false, used: false, broken: false, shut: false })
    }

    /// Closes without a reset, which would destroy what the client has not read yet.
    async fn finish(mut self) {
        self.upstream = None;
        if self.client.shutdown().await.is_err() || self.up.ended {
            return;
        }
        let mut waste = [0; 4096];
        let rest = async { while matches!(self.client.read(&mut waste).await, Ok(1..)) {} };
        // Who goes on sending is cut off after all.
        let _ = timeout(LINGER, rest).await;
    }

    fn abort(self) {
        // Best effort: where it cannot be set, the peer sees an ordinary close.
        let _ = self.client.set_zero_linger();
        let _ = self.upstream.map(|upstream| upstream.stream.set_zero_linger());
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if let Some(upstream) = &mut self.upstream {
            upstream.left = upstream.lease.poll_left(context);
        }
        // The target first: what it has closed by now gets no request any more.
        if self.poll_down(context).is_err() || self.poll_up(context).is_err() {
            return Poll::Ready(Next::Abort);
        }
        if let Some(next) = self.decide(context) {
            return Poll::Ready(next);
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context).map(|()| Next::Finish),
            None => Poll::Pending,
        }
    }

    /// From the target to the client, as far as it goes. An error breaks off.
    fn poll_down(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.down.has_passed() {
                match self.down.poll_flush(&mut self.client, context) {
                    Poll::Ready(done) => done?,
                    Poll::Pending => return Ok(()),
                }
                continue;
            }
            let Some(upstream) = self.upstream.as_mut().filter(|_| !self.down.ended) else { return Ok(()) };
            match self.down.poll_fill(&mut upstream.stream, context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => self.down.ended = true,
                Poll::Ready(Ok(length)) => {
                    upstream.used = true;
                    self.exchange.response(self.down.held());
                    self.down.pass(length);
                }
                // When all is answered a reset is a close like another.
                Poll::Ready(Err(error)) if !self.exchange.is_answered() => return Err(error),
                Poll::Ready(Err(_)) => self.down.ended = true,
            }
        }
    }

    /// From the client to the target, as far as it goes and may go. An error breaks off.
    fn poll_up(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.up.has_passed() {
                let Some(upstream) = &mut self.upstream else { return Ok(()) };
                match self.up.poll_flush(&mut upstream.stream, context) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(())) => {
                        upstream.used = true;
                        self.restart_timer();
                    }
                    // The answer may be there already, and says why.
                    Poll::Ready(Err(_)) => {
                        upstream.broken = true;
                        self.up.clear();
                    }
                }
            } else if !self.up.held().is_empty() {
                if self.must_wait() {
                    return Ok(());
                }
                let passed = self.exchange.request(self.up.held());
                self.up.pass(passed);
            } else if self.up.ended || self.upstream.as_ref().is_some_and(|upstream| upstream.broken) {
                return Ok(());
            } else {
                match self.up.poll_fill(&mut self.client, context) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(length) => self.up.ended = length? == 0,
                }
            }
        }
    }

    /// Whether the request that comes next must not begin here and now.
    fn must_wait(&self) -> bool {
        let Some(upstream) = &self.upstream else { return true };
        // A target that closes at once gets the request all the same, or this would go round and round.
        let parting = upstream.left || (upstream.used && self.down.ended);
        self.exchange.is_at_request() && (parting || !self.exchange.may_begin())
    }

    fn is_idle(&self) -> bool {
        self.exchange.is_idle() && !self.up.has_passed()
    }

    fn decide(&mut self, context: &mut Context<'_>) -> Option<Next> {
        let idle = self.is_idle();
        let Some(upstream) = &mut self.upstream else { return self.without_target() };
        upstream.lease.set_busy(!idle);
        let parting = upstream.left || self.down.ended;
        if self.up.ended && !self.up.has_passed() && self.up.held().is_empty() && !upstream.shut {
            // A failure shows when the target's answer is read.
            let _ = Pin::new(&mut upstream.stream).poll_shutdown(context);
            upstream.shut = true;
        }
        if !parting || self.down.has_passed() {
            return None;
        }
        match idle {
            true => self.part(),
            false if self.down.ended => self.after_targets_end(context),
            false => None,
        }
    }

    /// Between two requests, with a target that leaves or has closed.
    fn part(&mut self) -> Option<Next> {
        let upstream = self.upstream.take()?;
        let closed = std::mem::take(&mut self.down.ended);
        let over = self.exchange.is_closing() || self.up.ended || self.shared.targets.is_stopping();
        // A target that closes before it is asked, or before it has taken the whole request, means the client.
        if over || upstream.broken || (closed && !upstream.used) {
            return Some(Next::Finish);
        }
        // Who has not spoken may wait for the target to speak first.
        if !self.exchange.is_touched() {
            return Some(Next::Connect);
        }
        self.timer = Some(Box::pin(sleep(PARKED)));
        self.without_target()
    }

    fn without_target(&self) -> Option<Next> {
        match () {
            () if self.down.has_passed() => None,
            () if !self.up.held().is_empty() => Some(Next::Connect),
            () if self.up.ended => Some(Next::Finish),
            () => None,
        }
    }

    /// The target has said all, in the middle of a message or as its end.
    fn after_targets_end(&mut self, context: &mut Context<'_>) -> Option<Next> {
        let broken = self.upstream.as_ref().is_some_and(|upstream| upstream.broken);
        if self.up.ended || broken || self.exchange.is_at_request() {
            return Some(Next::Finish);
        }
        if !self.client_shut {
            // A failure shows when the client is read.
            let _ = Pin::new(&mut self.client).poll_shutdown(context);
            self.client_shut = true;
            self.timer = Some(Box::pin(sleep(HALF_CLOSED)));
        }
        None
    }

    fn restart_timer(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(tokio::time::Instant::now() + HALF_CLOSED);
        }
    }
}
