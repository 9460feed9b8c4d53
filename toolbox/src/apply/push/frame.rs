//! Bytes as gzip members and zstd frames that stand alone.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use libdeflater::CompressionLvl;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

/// From this level on zstd's tables are kept smaller than its own, which would take 30 MB for each processor.
const LARGE_TABLES: i32 = 6;
/// Places of a table, as a power of two.
const TABLES: u32 = 19;

/// Desks that nobody works at.
#[derive(Default)]
pub(super) struct Press(Mutex<Vec<Desk>>);

/// Where parts are compressed. Its memory is used again, by whichever thread is next: an allocator would keep some for
/// each.
#[derive(Default)]
pub(super) struct Desk {
    /// What is read.
    pub(super) raw: Vec<u8>,
    /// What compresses it.
    pub(super) packer: Packer,
}

/// A compressor and what it writes into.
#[derive(Default)]
pub(super) struct Packer {
    zstd: Compressor<'static>,
    packed: Vec<u8>,
}

impl Press {
    /// Work at one of the desks.
    pub(super) fn at_desk<T>(&self, work: impl FnOnce(&mut Desk) -> io::Result<T>) -> io::Result<T> {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: Option<Desk> = idle().pop();
        let mut desk = waiting.unwrap_or_default();
        let made = work(&mut desk);
        idle().push(desk);
        made
    }
}

impl Packer {
    /// A zstd frame of these bytes.
    pub(super) fn zstd(&mut self, raw: &[u8], level: i32) -> io::Result<Bytes> {
        tune(&mut self.zstd, level)?;
        self.packed.clear();
        self.packed.reserve(compress_bound(raw.len()));
        self.zstd.compress_to_buffer(raw, &mut self.packed)?;
        Ok(Bytes::copy_from_slice(&self.packed))
    }

    /// A gzip member of them; `level` is libdeflate's, from 1 to 12.
    pub(super) fn gzip(&mut self, raw: &[u8], level: i32) -> io::Result<Bytes> {
        let level = CompressionLvl::new(level).map_err(|e| io::Error::other(format!("{e:?}")))?;
        let mut deflate = libdeflater::Compressor::new(level);
        self.packed.resize(deflate.gzip_compress_bound(raw.len()), 0);
        let length = deflate.gzip_compress(raw, &mut self.packed).map_err(io::Error::other)?;
        Ok(Bytes::copy_from_slice(&self.packed[..length]))
    }
}

fn tune(compressor: &mut Compressor<'static>, level: i32) -> io::Result<()> {
    compressor.set_compression_level(level)?;
    let tables = if level >= LARGE_TABLES { TABLES } else { 0 };
    compressor.set_parameter(CParameter::HashLog(tables))?;
    compressor.set_parameter(CParameter::ChainLog(tables))
}

/// A gzip member of a few bytes.
pub(super) fn gzip_member(raw: &[u8]) -> io::Result<Bytes> {
    Packer::default().gzip(raw, 6)
}

/// A zstd frame of a few bytes.
pub(super) fn zstd_frame(raw: &[u8]) -> io::Result<Bytes> {
    Packer::default().zstd(raw, 3)
}
