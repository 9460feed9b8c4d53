//! Bytes as gzip members and zstd frames that stand alone.

use std::io;
use std::sync::{Mutex, PoisonError};

use libdeflater::CompressionLvl;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// From this level on zstd's tables are kept smaller than its own, which would take 30 MB for each processor.
const LARGE_TABLES: i32 = 6;
/// Places of a table, as a power of two.
const TABLES: u32 = 19;

/// Compressors that wait. Their memory is used again: it is as large as what they compress.
#[derive(Default)]
pub(super) struct Press(Mutex<Vec<Compressor<'static>>>);

impl Press {
    /// A zstd frame of these bytes.
    pub(super) fn zstd(&self, raw: &[u8], level: i32) -> io::Result<Vec<u8>> {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: Option<Compressor<'static>> = idle().pop();
        let mut compressor = waiting.unwrap_or_default();
        tune(&mut compressor, level)?;
        let mut frame = compressor.compress(raw)?;
        frame.shrink_to_fit();
        idle().push(compressor);
        Ok(frame)
    }
}

fn tune(compressor: &mut Compressor<'static>, level: i32) -> io::Result<()> {
    compressor.set_compression_level(level)?;
    let tables = if level >= LARGE_TABLES { TABLES } else { 0 };
    compressor.set_parameter(CParameter::HashLog(tables))?;
    compressor.set_parameter(CParameter::ChainLog(tables))
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

/// A zstd frame of a few bytes.
pub(super) fn zstd_frame(raw: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(raw, 3)
}
