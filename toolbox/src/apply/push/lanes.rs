//! Parts on their way through several sessions at once.
//!
//! Contract: parts are compressed, or made patches of, ahead of the line in the order in which they are loaded, and
//! each goes through whichever lane is free. What a lane had under way when it broke goes through another one; the push
//! fails when none is left. What the lanes take together decides how hard parts are compressed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use tokio::sync::{Semaphore, mpsc};
use toolbox_wire::{Codec, Reply, Request};

use crate::image::ReadAt;

use super::effort::Gauge;
use super::patch::Errand;
use super::progress::Progress;
use super::receiver::Opener;
use super::session::{Broken, Session};
use super::shipment::{Form, Packed, Shipment};
use super::wire_id;

/// Parts under way in one lane: one that is written, and one whose reply has not come.
const UNDER_WAY: usize = 2;
/// Parts that wait for a lane.
const WAITING: usize = 2;

/// What lanes take from.
struct Work {
    fresh: tokio::sync::Mutex<mpsc::Receiver<std::io::Result<Packed>>>,
    /// What lanes that broke had under way.
    back: Mutex<Vec<Packed>>,
    /// Bytes that patches make, uncompressed.
    patched: AtomicU64,
    gauge: Gauge,
}

impl Work {
    fn of(fresh: mpsc::Receiver<std::io::Result<Packed>>, gauge: Gauge) -> Self {
        let (back, patched) = Default::default();
        Self { fresh: tokio::sync::Mutex::new(fresh), back, patched, gauge }
    }

    fn back(&self) -> std::sync::MutexGuard<'_, Vec<Packed>> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn is_done(&self) -> bool {
        let fresh = self.fresh.lock().await;
        self.back().is_empty() && fresh.is_closed() && fresh.is_empty()
    }

    async fn next(&self) -> Result<Option<Packed>, Broken> {
        let returned = self.back().pop();
        if returned.is_some() {
            return Ok(returned);
        }
        let next = {
            let _waiting = self.gauge.waiting();
            self.fresh.lock().await.recv().await
        };
        match next {
            Some(packed) => packed.map(Some).map_err(|e| Broken::Read(e.to_string())),
            None => Ok(self.back().pop()),
        }
    }
}

/// How parts go to one host.
pub(super) struct Lanes<'a, R, O> {
    /// Where they come from.
    pub(super) shipment: &'a Arc<Shipment<R>>,
    /// Where sessions come from.
    pub(super) opener: &'a O,
    /// Connections, and sessions on each.
    pub(super) count: (usize, usize),
    /// Bytes per second that the line probably takes.
    pub(super) expected: Option<f64>,
    /// Uncompressed bytes of a part.
    pub(super) part: u64,
    /// What hears of it.
    pub(super) progress: &'a Progress,
}

impl<R: ReadAt + Send + Sync + 'static, O: Opener> Lanes<'_, R, O> {
    /// Runs these errands; returns the uncompressed bytes that went as patches.
    pub(super) async fn send(&self, errands: Vec<Errand>) -> Result<u64, Broken> {
        if errands.is_empty() {
            return Ok(0);
        }
        let (fresh, receiver) = mpsc::channel(WAITING);
        let work = Work::of(receiver, Gauge::expecting(self.expected));
        let (filling, running) = (self.fill(errands, fresh, &work.gauge), self.run(&work));
        tokio::pin!(filling, running);
        tokio::select! {
            // When no lane is left, what came back from them has the places that filling waits for.
            ran = &mut running => ran?,
            () = &mut filling => running.await?,
        }
        Ok(work.patched.load(Ordering::Relaxed))
    }

    /// Compresses ahead of the lanes.
    async fn fill(&self, errands: Vec<Errand>, fresh: mpsc::Sender<std::io::Result<Packed>>, gauge: &Gauge) {
        let (shipment, share) = (self.shipment, self.shipment.share(self.part));
        let ready = stream::iter(errands).then(|errand| async {
            let claim = shipment.claim(&share, &errand, Form::Zstd).await;
            (claim, errand)
        });
        let packing =
            ready.map(|(claim, errand)| async { shipment.fulfil(claim?, errand, Form::Zstd, gauge.rate()).await });
        let mut packing = std::pin::pin!(packing.buffered(shipment.ahead()));
        while let Some(packed) = packing.next().await {
            let packed = packed.map_or_else(|e| vec![Err(e)], |all| all.into_iter().map(Ok).collect());
            for packed in packed {
                if fresh.send(packed).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Opens sessions one connection after the other while those that are open work.
    async fn run(&self, work: &Work) -> Result<(), Broken> {
        let mut lanes = FuturesUnordered::new();
        let (connections, sessions) = self.count;
        let mut opening = stream::iter((0..connections).flat_map(|line| (0..sessions).map(move |_| line)))
            .then(|line| self.opener.open(line))
            .boxed();
        let mut broken = None;
        let mut may_open = true;
        loop {
            tokio::select! {
                opened = opening.next(), if may_open => match opened {
                    Some(Ok(session)) => lanes.push(lane(session, work, self.progress)),
                    Some(Err(error)) => {
                        // What is open goes on.
                        broken.get_or_insert(error);
                        may_open = false;
                    }
                    None => may_open = false,
                },
                Some(ended) = lanes.next(), if !lanes.is_empty() => match ended {
                    Ok(()) => may_open = false,
                    Err(error) if is_final(&error) => return Err(error),
                    Err(error) => { broken.get_or_insert(error); }
                },
                else => break,
            }
        }
        drop((opening, lanes));
        self.rest(work, broken).await
    }

    /// What was under way in a lane that broke after the others had ended, through one more.
    async fn rest(&self, work: &Work, broken: Option<Broken>) -> Result<(), Broken> {
        if work.is_done().await {
            return Ok(());
        }
        let again = match self.opener.open(0).await {
            Ok(session) => lane(session, work, self.progress).await,
            Err(error) => Err(error),
        };
        again.map_err(|error| broken.unwrap_or(error))
    }
}

/// Another lane would fail in the same way.
fn is_final(error: &Broken) -> bool {
    !matches!(error, Broken::Ended(_))
}

/// Sends parts through one session until none is left.
async fn lane(session: Session, work: &Work, progress: &Progress) -> Result<(), Broken> {
    let Session { mut input, mut replies } = session;
    let under_way = Mutex::new(VecDeque::new());
    let room = Semaphore::new(UNDER_WAY);
    let (announce, mut announced) = mpsc::unbounded_channel();
    let write = async {
        let announce = announce;
        loop {
            let permit = room.acquire().await.map_err(|e| Broken::Ended(e.to_string()))?;
            permit.forget();
            let Some(packed) = work.next().await? else { return Ok(()) };
            let (request, bytes) = request(&packed);
            lock(&under_way).push_back(packed);
            let _ = announce.send(());
            input.send(&request, &bytes).await?;
            progress.went(bytes.len());
        }
    };
    let read = async {
        while announced.recv().await.is_some() {
            match replies.next().await? {
                Reply::Stored { .. } => {}
                other => return Err(Broken::Ended(format!("it answered {other:?} to a part"))),
            }
            if let Some(Packed { part, reference, lacking, bytes }) = lock(&under_way).pop_front() {
                work.gauge.took(bytes.len());
                work.patched.fetch_add(reference.map_or(0, |_| lacking), Ordering::Relaxed);
                progress.advance(lacking, Some(&part.layer));
            }
            room.add_permits(1);
        }
        Ok(())
    };
    let ended = both(write, read).await;
    work.back().extend(lock(&under_way).drain(..));
    ended
}

/// Until both are done, or what was said last before one failed. The reader knows better than the writer why a session
/// has ended.
async fn both(
    write: impl Future<Output = Result<(), Broken>>,
    read: impl Future<Output = Result<(), Broken>>,
) -> Result<(), Broken> {
    tokio::pin!(write, read);
    tokio::select! {
        read = &mut read => read,
        written = &mut write => match written {
            Err(error) if is_final(&error) => Err(error),
            written => {
                read.await?;
                written
            }
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn request(packed: &Packed) -> (Request, Bytes) {
    let Packed { part, reference, bytes, .. } = packed;
    let (diff_id, size) = (wire_id(part.layer.diff_id), part.layer.size);
    let (offset, length, payload) = (part.offset, part.length, bytes.len() as u64);
    let request = match *reference {
        Some(reference) => Request::Patch { diff_id, size, offset, length, reference, payload },
        None => Request::Put { diff_id, size, offset, length, codec: Codec::Zstd, payload },
    };
    (request, bytes.clone())
}
