//! An archive on its way to hosts: parts of its layers, each compressed once for all that want it.
//!
//! Contract: a part becomes a gzip member or a zstd frame of its own, so that parts are compressed at the same time and
//! the same bytes go into every host's stream or receiver. What was compressed is kept while there is room ([`Room`]); a
//! host that lags further behind has it compressed again. Patches are made once for all hosts with the same older layer.
//! Beside the room there is only what is under way: for each processor a part and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Semaphore;
use toolbox_wire::{MOST_RAW, PatchForm, Reference};

use crate::image::{Archive, ArchivedLayer, DiffId, ReadAt};

use super::super::source::{ImageSource, OlderLayer, find};
use super::effort::Skill;
use super::frame::{Desk, Press};
use super::patch::{Errand, Patch};
use super::room::{Claim, Made, Room, Share};

/// Uncompressed bytes of one part, and of what a patch makes.
pub(super) const PART: u64 = 2 << 20;
/// The same of much over a near line, where no lane waits for the others at the end. Each cut costs what the compressor
/// knew before it: with these, a level that is twice as fast makes as much of a layer.
pub(super) const LARGE_PART: u64 = 4 << 20;
/// So much, bytes.
const MUCH: u64 = 64 << 20;
const _: () = assert!(LARGE_PART <= MOST_RAW as u64, "a host takes no longer part");
/// Compressed bytes on their way to any host, or kept for further ones.
const MOST: usize = 32 << 20;
/// Those that are kept. The others must be enough for one part, or nothing would go on.
const KEPT: usize = 16 << 20;
/// For all shipments of this process: each platform has its own, and each source of images.
static ROOM: LazyLock<Arc<Room<Key>>> = LazyLock::new(|| Arc::new(Room::new(MOST, KEPT)));
/// Shipments so far.
static SHIPMENTS: AtomicUsize = AtomicUsize::new(0);
/// Places that a host has at least: one part that goes, and one that is made.
const LEAST_SHARE: usize = 2;
/// More processors than this are not used: each costs memory.
const MOST_THREADS: usize = 4;
/// Patches that are made at once: each costs more memory than anything else here.
const MOST_PATCHES: usize = 2;
/// A patch must be smaller by this part of what it replaces: it costs the host a reading of the older layer.
const CLEARLY: usize = 4;
/// Hardly anything is smaller than this part by itself.
const SURELY: usize = 32;
/// Below this the level is of no weight for the time, bytes of all layers.
const SMALL: u64 = 8 << 20;

/// What a part is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// A gzip member.
    Gzip,
    /// A zstd frame.
    Zstd,
}

/// A part of a layer: at most [`LARGE_PART`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// The layer.
    pub(super) layer: ArchivedLayer,
    /// Where in its uncompressed tar.
    pub(super) offset: u64,
    /// Uncompressed bytes.
    pub(super) length: u64,
}

/// A part as a receiver is sent it.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    /// What it is.
    pub(super) part: Part,
    /// What its frame refers to, where it is a patch.
    pub(super) reference: Option<Reference>,
    /// Uncompressed bytes of it that the host lacks.
    pub(super) lacking: u64,
    /// The frame. It takes room until it is dropped.
    pub(super) bytes: Bytes,
}

/// Uncompressed bytes of the parts of so much.
pub(super) fn part_of(bytes: u64, is_far: bool) -> u64 {
    if is_far || bytes < MUCH { PART } else { LARGE_PART }
}

/// The parts, of so many bytes at most, that cover these bytes of a layer.
pub(super) fn parts(layer: &ArchivedLayer, (from, to): (u64, u64), most: u64) -> impl Iterator<Item = Part> + use<> {
    let layer = *layer;
    // Cut at the same places for every host, whatever each has already.
    let starts = std::iter::successors(Some(from), move |at| Some((at / most + 1) * most));
    starts.take_while(move |at| *at < to).map(move |offset| {
        let end = ((offset / most + 1) * most).min(to);
        Part { layer, offset, length: end - offset }
    })
}

/// What is made of an errand is the same for all hosts that have the same one.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    shipment: usize,
    layer: DiffId,
    /// Where each begins, and how long it is.
    parts: Vec<(u64, u64)>,
    form: Form,
    /// The stretch of an older layer that a patch refers to.
    like: Option<(DiffId, u64, u64)>,
}

/// An archive and what of it is compressed already.
pub struct Shipment<R> {
    /// Unlike that of any other.
    number: usize,
    archive: Arc<Archive<R>>,
    /// Where older layers may be.
    source: Option<Arc<ImageSource>>,
    small: bool,
    hosts: usize,
    threads: usize,
    permits: Arc<Semaphore>,
    patching: Arc<Semaphore>,
    press: Arc<Press>,
    skill: Mutex<Skill>,
    room: Arc<Room<Key>>,
    #[cfg(test)]
    compressed: AtomicUsize,
}

impl<R> Shipment<R> {
    /// Which one it is.
    pub(super) fn number(&self) -> usize {
        self.number
    }
}

impl<R: ReadAt + Send + Sync + 'static> Shipment<R> {
    /// To so many hosts.
    pub fn new(archive: Arc<Archive<R>>, hosts: usize) -> Self {
        let size: u64 = archive.images().iter().flat_map(|image| &image.layers).map(|layer| layer.size).sum();
        let threads = idle_processors();
        Self {
            number: SHIPMENTS.fetch_add(1, Ordering::Relaxed),
            archive,
            source: None,
            small: size < SMALL,
            hosts,
            threads,
            permits: Arc::new(Semaphore::new(threads)),
            patching: Arc::new(Semaphore::new(threads.min(MOST_PATCHES))),
            press: Arc::default(),
            skill: Mutex::default(),
            room: Arc::clone(&ROOM),
            #[cfg(test)]
            compressed: Default::default(),
        }
    }

    /// Older layers are looked for here.
    pub fn with_older(self, source: Option<Arc<ImageSource>>) -> Self {
        Self { source, ..self }
    }

    /// Those of these layers that are here.
    pub(super) async fn older(&self, wanted: &BTreeSet<DiffId>) -> BTreeMap<DiffId, OlderLayer> {
        match &self.source {
            Some(source) => source.older(wanted).await,
            None => BTreeMap::new(),
        }
    }

    /// With room for so many parts, of which so many are kept.
    #[cfg(test)]
    pub(super) fn with_room_for(self, parts: usize, kept: usize) -> Self {
        Self { room: Arc::new(Room::new(parts * bound(PART), kept * bound(PART))), ..self }
    }

    /// Compressed bytes that somebody holds, or that are kept.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.room.taken()
    }

    /// How often something was compressed.
    #[cfg(test)]
    pub(super) fn compressed(&self) -> usize {
        self.compressed.load(Ordering::Relaxed)
    }

    /// The archive.
    pub fn archive(&self) -> &Arc<Archive<R>> {
        &self.archive
    }

    /// Hosts that it goes to.
    pub(super) fn hosts(&self) -> usize {
        self.hosts
    }

    /// An image of this name is in it.
    pub fn holds(&self, reference: &crate::image::Reference) -> bool {
        find(&self.archive, reference).is_some()
    }

    /// Errands that are worth being run ahead of the line.
    pub(super) fn ahead(&self) -> usize {
        self.threads + 1
    }

    /// What one host, to which parts of so many bytes go, may have of the room.
    pub(super) fn share(&self, part: u64) -> Share {
        self.room.share(self.hosts, bound(part), LEAST_SHARE)
    }

    /// Room for what is made of an errand. A host asks for its errands one after the other.
    pub(super) async fn claim(&self, share: &Share, errand: &Errand, form: Form) -> io::Result<Claim> {
        let parts = errand.parts.iter().map(|part| (part.offset, part.length)).collect();
        let like = errand.patch.as_ref().map(|patch| (patch.base(), patch.reference.offset, patch.reference.length));
        let most = errand.patch.as_ref().map_or(errand.length(), |patch| patch.span.length);
        let key = Key { shipment: self.number, layer: errand.layer(), parts, form, like };
        self.room.claim(share, key, bound(most)).await
    }

    /// The parts of an errand, compressed for a line of so many bytes per second: one patch where that is clearly less.
    /// It goes on when nobody waits for it any more.
    pub(super) async fn fulfil(
        self: &Arc<Self>,
        claim: Claim,
        errand: Errand,
        form: Form,
        line: Option<f64>,
    ) -> io::Result<Vec<Packed>> {
        let shipment = Arc::clone(self);
        let packing = tokio::spawn(async move {
            let keep = || shipment.keep(&claim);
            let made = claim.made(shipment.make(&errand, form, line), keep).await?;
            Ok(errand.packed(made))
        });
        packing.await.unwrap_or_else(|e| Err(io::Error::other(e)))
    }

    async fn make(&self, errand: &Errand, form: Form, line: Option<f64>) -> io::Result<Made> {
        if let Some(patch) = &errand.patch
            && let Some((form, frame)) = self.make_patch(patch.clone(), errand.clone()).await?
        {
            return Ok(Made { patch: Some(form), frames: vec![frame] });
        }
        let mut frames = Vec::new();
        for part in &errand.parts {
            frames.push(self.compress(*part, form, self.level(form, line)).await?);
        }
        Ok(Made { patch: None, frames })
    }

    fn keep(&self, claim: &Claim) {
        if self.hosts > 1 {
            self.room.keep(claim);
        }
    }

    fn level(&self, form: Form, line: Option<f64>) -> i32 {
        if self.small { form.hard() } else { self.skill().level(form, self.threads, line) }
    }

    fn skill(&self) -> MutexGuard<'_, Skill> {
        self.skill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn compress(&self, part: Part, form: Form, level: i32) -> io::Result<Bytes> {
        #[cfg(test)]
        self.compressed.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let (archive, press) = (Arc::clone(&self.archive), Arc::clone(&self.press));
        let compressing = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            press.at_desk(|desk| {
                read(&archive, part, &mut desk.raw)?;
                let began = Instant::now();
                let packed = match form {
                    Form::Gzip => desk.packer.gzip(&desk.raw, level),
                    Form::Zstd => desk.packer.zstd(&desk.raw, level),
                };
                Ok((packed?, desk.raw.len(), began.elapsed()))
            })
        });
        let (packed, raw, time) = compressing.await.map_err(io::Error::other)??;
        self.skill().learn(form, level, raw, packed.len(), time);
        Ok(packed)
    }

    /// Nothing, where that is not clearly less than the parts by themselves.
    async fn make_patch(&self, patch: Patch, errand: Errand) -> io::Result<Option<(PatchForm, Bytes)>> {
        #[cfg(test)]
        self.compressed.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&self.patching).acquire_owned().await.map_err(io::Error::other)?;
        let (archive, press) = (Arc::clone(&self.archive), Arc::clone(&self.press));
        let making = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            press.at_desk(|Desk { raw, packer }| {
                read(&archive, patch.span, raw)?;
                let lacking = usize::try_from(errand.length()).unwrap_or(usize::MAX);
                let Some((form, made)) = patch.make(raw, lacking, packer)? else { return Ok(None) };
                if made.len() < lacking / SURELY {
                    return Ok(Some((form, made)));
                }
                let plain = errand.parts.iter().map(|part| {
                    let from = usize::try_from(part.offset - patch.span.offset).unwrap_or(0);
                    let own = &raw[from..][..usize::try_from(part.length).unwrap_or(0)];
                    packer.zstd(own, Form::Zstd.usual()).map(|frame| frame.len())
                });
                let plain = plain.sum::<io::Result<usize>>()?;
                Ok((made.len() < plain - plain / CLEARLY).then_some((form, made)))
            })
        });
        making.await.map_err(io::Error::other)?
    }
}

impl Errand {
    /// What was made of it, as it is sent.
    fn packed(self, Made { patch, frames }: Made) -> Vec<Packed> {
        let lacking = self.length();
        match self.patch.zip(patch) {
            Some((Patch { span: part, reference, .. }, form)) => {
                let reference = Reference { form, ..reference };
                let packed = |bytes| Packed { part, reference: Some(reference), lacking, bytes };
                frames.into_iter().map(packed).collect()
            }
            None => {
                let packed =
                    |(part, bytes): (Part, Bytes)| Packed { part, reference: None, lacking: part.length, bytes };
                self.parts.into_iter().zip(frames).map(packed).collect()
            }
        }
    }
}

/// More than any compression makes of so many bytes.
fn bound(raw: u64) -> usize {
    usize::try_from(raw + raw / 128 + 1024).unwrap_or(usize::MAX)
}

/// The part's uncompressed bytes, in place of what was there.
fn read<R: ReadAt>(archive: &Archive<R>, part: Part, raw: &mut Vec<u8>) -> io::Result<()> {
    raw.clear();
    raw.reserve(usize::try_from(part.length).unwrap_or(0));
    archive.layer_range(&part.layer, part.offset, part.length).read_to_end(raw)?;
    if raw.len() as u64 == part.length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Processors that nobody else uses just now, one at least.
fn idle_processors() -> usize {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.saturating_sub(busy(&load)).clamp(1, MOST_THREADS)
}

/// Processors that others use, by the words of `/proc/loadavg` (proc_loadavg(5)): those of the last minute, unless fewer
/// are in use now. A build that has just ended counts for a minute.
fn busy(load: &str) -> usize {
    let mut words = load.split(' ');
    let minute: f64 = words.next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    let running = words.nth(2).and_then(|both| both.split('/').next()?.parse::<usize>().ok());
    // A load is neither negative nor beyond what fits. Of those that run one is this thread.
    running.map_or(minute as usize, |running| (minute as usize).min(running.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::busy;

    #[test]
    fn processors_are_busy_that_were_and_still_are() {
        for (load, expected) in [
            ("0.20 3.00 2.00 1/345 6789", 0),
            ("3.90 1.00 0.50 5/345 6789", 3),
            ("3.90 1.00 0.50 2/345 6789", 1),
            ("0.90 1.00 0.50 4/345 6789", 0),
            ("2.00", 2),
            ("", 0),
        ] {
            assert_eq!(busy(load), expected, "{load}");
        }
    }
}
