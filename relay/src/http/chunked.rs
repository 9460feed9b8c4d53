//! The chunked transfer coding (RFC 9112, section 7.1).
//!
//! Contract: finds its end however the bytes are cut, skips data without looking at it, and keeps a few
//! bytes only. Anything that is not exactly by the grammar is doubtful.

use super::head::Doubt;
use super::line::Line;

/// Bytes of one chunk's extensions, and of all trailers.
const MOST_EXTRA: usize = 16 * 1024;
/// Digits of a chunk's size: 2^60 bytes are enough for anybody.
const MOST_DIGITS: u8 = 15;

/// A body in this coding, at some place within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chunked {
    Size { size: u64, digits: u8 },
    Extension { size: u64, length: usize },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers { line: Line, length: usize },
}

/// How far some bytes went.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fed {
    /// So many of them belong to the body.
    pub(super) taken: usize,
    /// It is over.
    pub(super) ended: bool,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self::Size { size: 0, digits: 0 }
    }

    /// Takes bytes up to the body's end.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Fed, Doubt> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self {
                Self::Data { left } => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= taken as u64;
                    at += taken;
                    if *left == 0 {
                        *self = Self::DataCr;
                    }
                }
                Self::Trailers { line, length } => {
                    let end = line.find_empty(rest);
                    let taken = end.unwrap_or(rest.len());
                    *length += taken;
                    if *length > MOST_EXTRA {
                        return Err(Doubt);
                    }
                    at += taken;
                    if end.is_some() {
                        return Ok(Fed { taken: at, ended: true });
                    }
                }
                _ => {
                    *self = self.after(rest[0])?;
                    at += 1;
                }
            }
        }
        Ok(Fed { taken: at, ended: false })
    }

    /// The place after one byte of what stands around the data.
    fn after(&self, byte: u8) -> Result<Self, Doubt> {
        match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() && *digits < MOST_DIGITS => {
                let digit = u64::from(char::from(byte).to_digit(16).ok_or(Doubt)?);
                Ok(Self::Size { size: size * 16 + digit, digits: digits + 1 })
            }
            (Self::Size { digits: 0, .. }, _) => Err(Doubt),
            (Self::Size { size, .. }, b'\r') => Ok(Self::SizeEnd { size: *size }),
            (Self::Size { size, .. }, b';' | b' ' | b'\t') => Ok(Self::Extension { size: *size, length: 0 }),
            (Self::Extension { size, .. }, b'\r') => Ok(Self::SizeEnd { size: *size }),
            (Self::Extension { size, length }, _) if byte != b'\n' && *length < MOST_EXTRA => {
                Ok(Self::Extension { size: *size, length: length + 1 })
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Ok(Self::Trailers { line: Line::Start, length: 0 }),
            (Self::SizeEnd { size }, b'\n') => Ok(Self::Data { left: *size }),
            (Self::DataCr, b'\r') => Ok(Self::DataLf),
            (Self::DataLf, b'\n') => Ok(Self::new()),
            _ => Err(Doubt),
        }
    }
}
