//! Recognising compressed streams by their first bytes, and decoding those that we can.
//!
//! Contract: what is decoded is gzip and xz (several members or streams too) and zstd, each with bounded memory.
//! bzip2 is recognised only in order to name it in an error. Deliberately absent: compressing.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

/// How many first bytes [`Compression::of`] looks at.
pub(crate) const MAGIC_LENGTH: usize = 6;
/// Memory for one xz stream, KiB: `xz -9` needs 65 MiB, and what needs more was made to need it.
const XZ_MEMORY: u32 = 80 << 10;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all, as far as its first bytes tell.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
    /// xz.
    Xz,
    /// bzip2, which is not decoded here.
    Bzip2,
}

impl Compression {
    /// What a stream is that begins with these bytes.
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::None,
        }
    }

    /// A reader of the uncompressed bytes; `None` for what is not decoded here.
    pub(crate) fn decode<'a>(self, reader: impl Read + 'a) -> io::Result<Option<Box<dyn Read + 'a>>> {
        Ok(match self {
            Self::None => Some(Box::new(reader)),
            Self::Gzip => Some(Box::new(MultiGzDecoder::new(reader))),
            Self::Zstd => Some(Box::new(zstd::stream::read::Decoder::new(reader)?)),
            Self::Xz => Some(Box::new(XzReader::new_mem_limit(BufReader::new(reader), true, XZ_MEMORY))),
            Self::Bzip2 => None,
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}
