//! An archive on its way to hosts: parts of its layers, each compressed once for all that want it.
//!
//! Contract: a part becomes a gzip member or a zstd frame of its own, so that parts are compressed at the same time and
//! the same bytes go into every host's stream or receiver. What was compressed is kept while memory lasts
//! ([`KEPT`]); a host that lags further behind has it compressed again, and holds nobody up. Patches are made once for
//! all hosts with the same older layer.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use libdeflater::CompressionLvl;
use tokio::sync::{OnceCell, Semaphore};
use toolbox_wire::Reference;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use crate::image::{Archive, ArchivedLayer, DiffId, ReadAt};

use super::super::source::{ImageSource, OlderLayer, find};
use super::patch::{Errand, Patch};

/// Uncompressed bytes of one part.
pub(super) const PART: u64 = 2 << 20;
/// Compressed bytes that wait for further hosts.
const KEPT: usize = 24 << 20;
/// More processors than this are not used: each costs memory.
const MOST_THREADS: usize = 4;
/// Patches that are made at once: each costs more memory than anything else here.
const MOST_PATCHES: usize = 2;
/// A patch must be smaller by this part of what it replaces: it costs the host a reading of the older layer.
const CLEARLY: usize = 4;
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

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// The line waits for the processor.
    Quick,
    /// The processor waits for the line.
    Thorough,
}

/// A part of a layer: at most [`PART`] bytes.
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
    /// The frame.
    pub(super) bytes: Bytes,
}

/// The parts that cover these bytes of a layer.
pub(super) fn parts(layer: &ArchivedLayer, from: u64, to: u64) -> impl Iterator<Item = Part> + use<> {
    let layer = *layer;
    // Cut at the same places for every host, whatever each has already.
    let starts = std::iter::successors(Some(from), move |at| Some((at / PART + 1) * PART));
    starts.take_while(move |at| *at < to).map(move |offset| {
        let end = ((offset / PART + 1) * PART).min(to);
        Part { layer, offset, length: end - offset }
    })
}

/// What was made of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Product {
    Alone(Form),
    /// With this stretch of an older layer.
    Patch(DiffId, u64, u64),
}

type Key = (DiffId, u64, u64, Product);

#[derive(Default)]
struct Kept {
    packed: HashMap<Key, Arc<OnceCell<Bytes>>>,
    /// What is whole, oldest first, with its length.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

/// An archive and what of it is compressed already.
pub struct Shipment<R> {
    archive: Arc<Archive<R>>,
    /// Where older layers may be.
    source: Option<Arc<ImageSource>>,
    small: bool,
    hosts: usize,
    threads: usize,
    permits: Arc<Semaphore>,
    patching: Arc<Semaphore>,
    compressors: Arc<Mutex<Vec<Compressor<'static>>>>,
    kept: Mutex<Kept>,
    #[cfg(test)]
    compressed: std::sync::atomic::AtomicUsize,
}

impl<R: ReadAt + Send + Sync + 'static> Shipment<R> {
    /// To so many hosts.
    pub fn new(archive: Arc<Archive<R>>, hosts: usize) -> Self {
        let size: u64 = archive.images().iter().flat_map(|image| &image.layers).map(|layer| layer.size).sum();
        let threads = idle_processors();
        Self {
            archive,
            source: None,
            small: size < SMALL,
            hosts,
            threads,
            permits: Arc::new(Semaphore::new(threads)),
            patching: Arc::new(Semaphore::new(threads.min(MOST_PATCHES))),
            compressors: Arc::default(),
            kept: Mutex::default(),
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

    /// How often something was compressed.
    #[cfg(test)]
    pub(super) fn compressed(&self) -> usize {
        self.compressed.load(std::sync::atomic::Ordering::Relaxed)
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

    /// Parts that are worth being compressed ahead of the line.
    pub(super) fn ahead(&self) -> usize {
        self.threads + 1
    }

    /// The part, compressed. It goes on when nobody waits for it any more.
    pub(super) async fn pack(self: &Arc<Self>, part: Part, form: Form, effort: Effort) -> io::Result<Bytes> {
        let shipment = Arc::clone(self);
        let packing = tokio::spawn(async move { shipment.shared(part, form, effort).await });
        packing.await.unwrap_or_else(|e| Err(io::Error::other(e)))
    }

    /// The parts of an errand, compressed: one patch where that is clearly less.
    pub(super) async fn fulfil(self: &Arc<Self>, errand: Errand, effort: Effort) -> io::Result<Vec<Packed>> {
        if let Some(packed) = self.patched(&errand).await? {
            return Ok(vec![packed]);
        }
        let mut all = Vec::new();
        for part in errand.parts {
            let bytes = self.pack(part, Form::Zstd, effort).await?;
            all.push(Packed { part, reference: None, lacking: part.length, bytes });
        }
        Ok(all)
    }

    async fn patched(self: &Arc<Self>, errand: &Errand) -> io::Result<Option<Packed>> {
        let Some(patch) = &errand.patch else { return Ok(None) };
        let (part, reference) = (patch.span, Some(patch.reference));
        let (shipment, own, parts) = (Arc::clone(self), patch.clone(), errand.parts.clone());
        let making = tokio::spawn(async move { shipment.shared_patch(own, parts).await });
        let bytes = making.await.unwrap_or_else(|e| Err(io::Error::other(e)))?;
        Ok((!bytes.is_empty()).then(|| Packed { part, reference, lacking: errand.length(), bytes }))
    }

    async fn shared_patch(&self, patch: Patch, parts: Vec<Part>) -> io::Result<Bytes> {
        let (offset, length) = (patch.reference.offset, patch.reference.length);
        let (span, product) = (patch.span, Product::Patch(patch.base(), offset, length));
        self.once(span, product, self.make_patch(patch, parts)).await
    }

    async fn shared(&self, part: Part, form: Form, effort: Effort) -> io::Result<Bytes> {
        self.once(part, Product::Alone(form), self.compress(part, form, effort)).await
    }

    async fn once(
        &self,
        part: Part,
        product: Product,
        making: impl Future<Output = io::Result<Bytes>>,
    ) -> io::Result<Bytes> {
        let key = (part.layer.diff_id, part.offset, part.length, product);
        let cell = Arc::clone(self.kept().packed.entry(key).or_default());
        let bytes = cell
            .get_or_try_init(|| async {
                let bytes = making.await?;
                self.keep(key, bytes.len());
                Ok::<_, io::Error>(bytes)
            })
            .await?;
        Ok(bytes.clone())
    }

    fn keep(&self, key: Key, length: usize) {
        let mut kept = self.kept();
        kept.order.push_back((key, length));
        kept.bytes += length;
        let most = if self.hosts > 1 { KEPT } else { 0 };
        while kept.bytes > most
            && let Some((key, length)) = kept.order.pop_front()
        {
            kept.bytes -= length;
            kept.packed.remove(&key);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn compress(&self, part: Part, form: Form, effort: Effort) -> io::Result<Bytes> {
        #[cfg(test)]
        self.compressed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let (archive, compressors, small) = (Arc::clone(&self.archive), Arc::clone(&self.compressors), self.small);
        let compressing = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let raw = read(&archive, part)?;
            match form {
                Form::Gzip => gzip(&raw, if small { 12 } else { 10 }),
                Form::Zstd => zstd(&raw, if small { Effort::Thorough } else { effort }, &compressors),
            }
        });
        compressing.await.map_err(io::Error::other)?.map(Bytes::from)
    }

    /// Nothing, where that is not clearly less than the parts by themselves.
    async fn make_patch(&self, patch: Patch, parts: Vec<Part>) -> io::Result<Bytes> {
        #[cfg(test)]
        self.compressed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let permit = Arc::clone(&self.patching).acquire_owned().await.map_err(io::Error::other)?;
        let (archive, compressors) = (Arc::clone(&self.archive), Arc::clone(&self.compressors));
        let making = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let raw = read(&archive, patch.span)?;
            let made = patch.make(&raw)?;
            let plain = parts.iter().map(|part| {
                let from = usize::try_from(part.offset - patch.span.offset).unwrap_or(0);
                let own = &raw[from..][..usize::try_from(part.length).unwrap_or(0)];
                zstd(own, Effort::Quick, &compressors).map(|frame| frame.len())
            });
            let plain = plain.sum::<io::Result<usize>>()?;
            Ok(if made.len() < plain - plain / CLEARLY { made } else { Vec::new() })
        });
        making.await.map_err(io::Error::other)?.map(Bytes::from)
    }
}

/// The part's uncompressed bytes.
fn read<R: ReadAt>(archive: &Archive<R>, part: Part) -> io::Result<Vec<u8>> {
    let mut raw = Vec::with_capacity(usize::try_from(part.length).unwrap_or(0));
    archive.layer_range(&part.layer, part.offset, part.length).read_to_end(&mut raw)?;
    if raw.len() as u64 == part.length { Ok(raw) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A gzip member of these bytes; `level` is libdeflate's, from 1 to 12.
pub(super) fn gzip(raw: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level).map_err(|e| io::Error::other(format!("{e:?}")))?;
    let mut deflate = libdeflater::Compressor::new(level);
    let mut member = vec![0; deflate.gzip_compress_bound(raw.len())];
    let length = deflate.gzip_compress(raw, &mut member).map_err(io::Error::other)?;
    member.truncate(length);
    member.shrink_to_fit();
    Ok(member)
}

/// A zstd frame of these bytes. A compressor's memory is used again: it is as large as what it compresses.
fn zstd(raw: &[u8], effort: Effort, idle: &Mutex<Vec<Compressor<'static>>>) -> io::Result<Vec<u8>> {
    let idle = || idle.lock().unwrap_or_else(PoisonError::into_inner);
    let waiting: Option<Compressor<'static>> = idle().pop();
    let mut compressor = waiting.unwrap_or_default();
    tune(&mut compressor, effort)?;
    let frame = compressor.compress(raw)?;
    idle().push(compressor);
    Ok(frame)
}

/// The tables of the thorough level are kept smaller than its own, which would take 30 MB for each processor.
fn tune(compressor: &mut Compressor<'static>, effort: Effort) -> io::Result<()> {
    match effort {
        Effort::Quick => compressor.set_compression_level(3)?,
        Effort::Thorough => compressor.set_compression_level(9)?,
    }
    let tables = if effort == Effort::Thorough { 19 } else { 0 };
    compressor.set_parameter(CParameter::HashLog(tables))?;
    compressor.set_parameter(CParameter::ChainLog(tables))
}

/// A zstd frame of a few bytes.
pub(super) fn zstd_frame(raw: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(raw, 3)
}

/// Processors that nobody else uses just now, one at least.
fn idle_processors() -> usize {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = load.split(' ').next().and_then(|load| load.parse::<f64>().ok()).unwrap_or(0.0);
    // A load is neither negative nor beyond what fits.
    all.saturating_sub(busy as usize).clamp(1, MOST_THREADS)
}
