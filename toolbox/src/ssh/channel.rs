//! One channel of a session: opened, drained by a task of its own, closed when it is dropped.
//!
//! russh hands a channel's messages over through a short queue and waits, with the whole session,
//! while that is full. So a task empties it at once into a queue of ours. What that one may hold is
//! limited ([`BUFFER`]); [`Overflow`] says what happens then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How much may wait for a reader, in bytes.
pub(super) const BUFFER: usize = 32 << 20;

/// How long the other channels may be held up before a reader counts as gone. More than a busy
/// machine needs to schedule it, less than a keepalive round.
const GRACE: Duration = Duration::from_secs(5);

/// What a waiting message costs beside its bytes, so that a flood of tiny ones is limited too.
const MESSAGE_COST: usize = 64;

/// The extended data stream that is a command's stderr.
const STDERR: u32 = 1;

/// What to do when a reader leaves [`BUFFER`] unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    /// End this channel after a grace of 5 seconds: the others must not wait for it.
    Fail,
    /// Let the server wait, and with it all channels of the connection.
    Wait,
}

/// What arrives on a channel.
#[derive(Debug)]
pub(super) enum Event {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The reply to a request.
    Reply(bool),
    Eof,
    Exit(u32),
    Signal(String),
    /// The server closed the channel in good order.
    Closed,
    /// The reader left too much unread.
    Overflowed,
}

/// Whether a channel takes no more data. russh lets a writer that waits for a window wait for ever
/// when the channel or the connection goes, so a writer has to look here too.
#[derive(Debug, Default)]
pub(super) struct Ended {
    flag: AtomicBool,
    writer: AtomicWaker,
}

impl Ended {
    /// Whether it has ended; if not, the task is woken when it does.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> bool {
        self.writer.register(cx.waker());
        self.flag.load(Ordering::Acquire)
    }
}

/// Marks the end however the draining task ends.
struct EndOnDrop(Arc<Ended>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.flag.store(true, Ordering::Release);
        self.0.writer.wake();
    }
}

/// The reading side of a channel. Dropping it closes the channel.
#[derive(Debug)]
pub(super) struct Incoming {
    events: UnboundedReceiver<Event>,
    budget: Arc<Semaphore>,
    task: JoinHandle<()>,
    write: Arc<ChannelWriteHalf<Msg>>,
    ended: Arc<Ended>,
    closed: bool,
}

impl Incoming {
    pub(super) fn new(channel: Channel<Msg>, overflow: Overflow) -> Self {
        let (read, write) = channel.split();
        let (sender, events) = unbounded_channel();
        let budget = Arc::new(Semaphore::new(BUFFER));
        let ended = Arc::new(Ended::default());
        let end = EndOnDrop(ended.clone());
        let write = Arc::new(write);
        let drain = Drain { events: sender, budget: budget.clone(), overflow, write: write.clone(), _end: end };
        let task = tokio::spawn(drain.run(read));
        Self { events, budget, task, write, ended, closed: false }
    }

    /// The writing side, for as long as it is wanted: it does not keep the channel open.
    pub(super) fn writing(&self) -> Arc<ChannelWriteHalf<Msg>> {
        self.write.clone()
    }

    /// Tells when writing is in vain.
    pub(super) fn ended(&self) -> Arc<Ended> {
        self.ended.clone()
    }

    /// The next event; `None` when the connection is gone (or after [`Event::Closed`]).
    pub(super) async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = std::task::ready!(self.events.poll_recv(cx));
        if let Some(event) = &event {
            self.budget.add_permits(cost(event));
        }
        self.closed |= matches!(event, Some(Event::Closed) | None);
        Poll::Ready(event)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.task.abort();
        if self.closed {
            return;
        }
        // Outside a runtime the session is gone with its runtime, and the channel with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let write = self.write.clone();
            runtime.spawn(async move {
                let _ = write.close().await;
            });
        }
    }
}

fn cost(event: &Event) -> usize {
    match event {
        Event::Stdout(data) | Event::Stderr(data) => data.len() + MESSAGE_COST,
        _ => 0,
    }
}

/// The task that empties russh's queue.
struct Drain {
    events: UnboundedSender<Event>,
    budget: Arc<Semaphore>,
    overflow: Overflow,
    write: Arc<ChannelWriteHalf<Msg>>,
    _end: EndOnDrop,
}

impl Drain {
    async fn run(self, mut read: ChannelReadHalf) {
        while let Some(message) = read.wait().await {
            let Some(event) = event(message) else {
                continue;
            };
            let last = matches!(event, Event::Closed);
            if !self.take(cost(&event)).await {
                // Nobody reads it any more: russh's queue goes first, so that the session goes on.
                drop(read);
                let _ = self.events.send(Event::Overflowed);
                let _ = self.write.close().await;
                return;
            }
            if self.events.send(event).is_err() || last {
                return;
            }
        }
    }

    /// Takes room for a message; `false` when there is none and nobody makes any.
    async fn take(&self, cost: usize) -> bool {
        let room = self.budget.acquire_many(u32::try_from(cost).unwrap_or(u32::MAX));
        let permit = match self.overflow {
            Overflow::Fail => timeout(GRACE, room).await.ok().and_then(Result::ok),
            Overflow::Wait => room.await.ok(),
        };
        permit.map(SemaphorePermit::forget).is_some()
    }
}

fn event(message: ChannelMsg) -> Option<Event> {
    Some(match message {
        ChannelMsg::Data { data } => Event::Stdout(data),
        ChannelMsg::ExtendedData { data, ext: STDERR } => Event::Stderr(data),
        ChannelMsg::Success => Event::Reply(true),
        ChannelMsg::Failure => Event::Reply(false),
        ChannelMsg::Eof => Event::Eof,
        ChannelMsg::ExitStatus { exit_status } => Event::Exit(exit_status),
        ChannelMsg::ExitSignal { signal_name, .. } => Event::Signal(signal(&signal_name)),
        ChannelMsg::Close => Event::Closed,
        _ => return None,
    })
}

fn signal(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}
