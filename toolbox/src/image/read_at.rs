//! Reading at a position, shared by any number of threads.
//!
//! Contract: no cursor, so that several hosts' archives can be written from one open file at once.
//! Only bytes that do not change underneath are of use here.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Bytes of a known length that are read by position.
pub trait ReadAt {
    /// Reads some bytes from `offset` on; 0 only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).map_or(self.len(), |offset| offset.min(self.len()));
        (&self[start..]).read(buffer)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// A stretch of such bytes as an ordinary reader.
pub(crate) struct Section<'a, R> {
    source: &'a R,
    position: u64,
    end: u64,
}

impl<'a, R: ReadAt> Section<'a, R> {
    pub(crate) fn new(source: &'a R, offset: u64, size: u64) -> Self {
        let end = offset.saturating_add(size);
        Self { source, position: offset, end }
    }
}

impl<R: ReadAt> Read for Section<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = self.source.read_at(&mut buffer[..wanted], self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
