//! Bringing a saved archive that arrives as a stream onto disk, uncompressed.
//!
//! Contract: bounded memory whatever the length; gzip, zstd and xz are recognised by their first bytes; a
//! bound on the uncompressed length stops bombs. Where the other side of the stream fails is told
//! apart from where our disk does. Deliberately absent: looking into the archive, naming the file.

use std::io::{self, Cursor, Read, Write};

use thiserror::Error;

use super::Compression;
use super::compression::MAGIC_LENGTH;

/// Large enough that system calls do not show in a profile.
pub(crate) const BUFFER_SIZE: usize = 256 * 1024;

/// Why a stream did not reach the disk whole.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The stream ended before its first byte.
    #[error("the image stream is empty")]
    Empty,
    /// Reading from the source failed.
    #[error("reading the image stream failed after {received} bytes")]
    Read {
        /// Bytes received, as they arrived.
        received: u64,
        /// What the source said.
        source: io::Error,
    },
    /// The compressed stream ended in its middle.
    #[error("the {compression} image stream is cut short after {received} bytes")]
    CutShort {
        /// How it is compressed.
        compression: Compression,
        /// Bytes received, as they arrived.
        received: u64,
    },
    /// The compressed stream does not decode.
    #[error("the {compression} image stream is damaged somewhere before byte {received}")]
    Corrupt {
        /// How it is compressed.
        compression: Compression,
        /// Bytes received, as they arrived.
        received: u64,
        /// What the decoder said.
        source: io::Error,
    },
    /// A compression that is not decoded here.
    #[error("the image stream is compressed with {0}, which is not read here")]
    Unsupported(Compression),
    /// Decoding it would take more memory than any honest stream needs.
    #[error("unpacking the {compression} image stream would take too much memory")]
    Memory {
        /// How it is compressed.
        compression: Compression,
    },
    /// It unpacks to more than is allowed.
    #[error("the image stream is longer than {limit} bytes when unpacked")]
    TooLarge {
        /// The bound, bytes.
        limit: u64,
    },
    /// Our disk did not take it.
    #[error("writing the image stream to disk failed after {written} bytes")]
    Write {
        /// Bytes written before.
        written: u64,
        /// What the system said.
        source: io::Error,
    },
}

impl SpoolError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unsupported(_) => Some("decompress it first: bzip2 -dk FILE"),
            Self::CutShort { .. } | Self::Corrupt { .. } | Self::Empty => {
                Some("save or copy the images again, and compare sizes or checksums")
            }
            Self::Write { .. } => Some("free space where the spool lies, or name another directory for it"),
            Self::Memory { .. } => Some("compress it with a smaller window, such as xz -9"),
            Self::TooLarge { .. } | Self::Read { .. } => None,
        }
    }
}

/// What was spooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spooled {
    /// Bytes that arrived.
    pub received: u64,
    /// Bytes on disk.
    pub written: u64,
    /// How it arrived.
    pub compression: Compression,
}

/// Copies a stream to `file`, uncompressing it. `on_bytes` is told how many bytes more have arrived;
/// more than `limit` uncompressed bytes are an error.
pub fn spool(
    reader: impl Read,
    file: &mut impl Write,
    limit: u64,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Spooled, SpoolError> {
    let mut input = Counting { reader, received: 0, failed: false, on_bytes };
    let magic = first_bytes(&mut input).map_err(|source| SpoolError::Read { received: 0, source })?;
    if magic.is_empty() {
        return Err(SpoolError::Empty);
    }
    let compression = Compression::of(&magic);
    let pumped = decode_and_pump(compression, Cursor::new(magic).chain(&mut input), file, limit);
    let written = pumped.map_err(|error| input.explain(compression, limit, error))?;
    Ok(Spooled { received: input.received, written, compression })
}

fn first_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut magic = Vec::with_capacity(MAGIC_LENGTH);
    reader.take(MAGIC_LENGTH as u64).read_to_end(&mut magic)?;
    Ok(magic)
}

fn decode_and_pump(
    compression: Compression,
    input: impl Read,
    out: &mut impl Write,
    limit: u64,
) -> Result<u64, PumpError> {
    let decoder = compression.decode(input).map_err(|source| PumpError::Read { source })?;
    pump(decoder.ok_or(PumpError::Unsupported)?, out, limit)
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(crate) enum PumpError {
    Unsupported,
    Read { source: io::Error },
    Write { written: u64, source: io::Error },
    Limit,
}

/// Copies everything, at most `limit` bytes, and says which side fails.
pub(crate) fn pump(mut from: impl Read, to: &mut impl Write, limit: u64) -> Result<u64, PumpError> {
    let mut buffer = vec![0; BUFFER_SIZE];
    let mut written = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(PumpError::Read { source }),
        };
        if written + read as u64 > limit {
            return Err(PumpError::Limit);
        }
        to.write_all(&buffer[..read]).map_err(|source| PumpError::Write { written, source })?;
        written += read as u64;
    }
    to.flush().map_err(|source| PumpError::Write { written, source })?;
    Ok(written)
}

/// Counts what arrives and remembers whether it was the source that failed, not the decoder.
struct Counting<'a, R> {
    reader: R,
    received: u64,
    failed: bool,
    on_bytes: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(buffer);
        match &result {
            Ok(read) => {
                self.received += *read as u64;
                (self.on_bytes)(*read as u64);
            }
            Err(error) => self.failed = error.kind() != io::ErrorKind::Interrupted,
        }
        result
    }
}

impl<R> Counting<'_, R> {
    fn explain(&self, compression: Compression, limit: u64, error: PumpError) -> SpoolError {
        let received = self.received;
        match error {
            PumpError::Unsupported => SpoolError::Unsupported(compression),
            PumpError::Limit => SpoolError::TooLarge { limit },
            PumpError::Write { written, source } => SpoolError::Write { written, source },
            PumpError::Read { source } if self.failed => SpoolError::Read { received, source },
            PumpError::Read { source } if source.kind() == io::ErrorKind::UnexpectedEof => {
                SpoolError::CutShort { compression, received }
            }
            PumpError::Read { source } if source.kind() == io::ErrorKind::OutOfMemory => {
                SpoolError::Memory { compression }
            }
            PumpError::Read { source } => SpoolError::Corrupt { compression, received, source },
        }
    }
}

#[cfg(test)]
mod tests;
