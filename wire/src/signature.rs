//! Content-defined chunks of a layer, and their signatures.
//!
//! Contract: equal bytes give equal chunks whatever surrounds them, so that an insertion changes the chunk
//! that it is in and leaves the others (FastCDC, Xia et al. 2020). A digest is cut to 8 bytes: two chunks that
//! are mistaken for each other cost a second try, since the layer is verified by its DiffID.

use base64ct::{Base64, Encoding as _};
use fastcdc::v2020::FastCDC;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::leb128;

/// Names what is below: both ends must cut and sign alike.
pub const ALGORITHM: &str = "fastcdc2020-2048-8192-65536-sha256/64";
/// The shortest chunk, but for the last, bytes.
pub const SMALLEST_CHUNK: usize = 2048;
/// What chunks aim at, bytes.
pub const AVERAGE_CHUNK: usize = 8192;
/// The longest chunk, bytes.
pub const LARGEST_CHUNK: usize = 65_536;

/// Bytes that wait to be cut: many chunks, so that what is left over is seldom moved.
const BUFFER: usize = 16 * LARGEST_CHUNK;
/// Bytes of a chunk's digest.
const DIGEST: usize = 8;
/// The most bytes of a packed length: no length is longer.
const LENGTH: u32 = 3;
/// Bytes of one packed text before base64.
const PACKED: usize = 96 * 1024;

/// The signature of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Bytes; at most [`LARGEST_CHUNK`].
    pub length: u32,
    /// The first bytes of its SHA-256.
    pub digest: [u8; DIGEST],
}

impl Chunk {
    fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self { length: bytes.len() as u32, digest: *digest.first_chunk().expect("a SHA-256 has 32 bytes") }
    }
}

/// The chunks of these bytes, in order.
pub fn chunks(bytes: &[u8]) -> Vec<Chunk> {
    let mut chunker = Chunker::default();
    chunker.feed(bytes);
    chunker.finish()
}

/// Cuts a stream, however it arrives.
#[derive(Debug, Default)]
pub struct Chunker {
    buffer: Vec<u8>,
    chunks: Vec<Chunk>,
}

impl Chunker {
    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            if self.buffer.len() == BUFFER {
                self.cut(LARGEST_CHUNK);
            }
            bytes = later;
        }
    }

    /// The end of the stream: all its chunks, in order.
    pub fn finish(mut self) -> Vec<Chunk> {
        self.cut(1);
        self.chunks
    }

    /// Cuts as long as so many bytes are left; fewer than the longest chunk might be cut otherwise later on.
    fn cut(&mut self, least: usize) {
        let cutter = FastCDC::new(&self.buffer, SMALLEST_CHUNK, AVERAGE_CHUNK, LARGEST_CHUNK);
        let mut at = 0;
        while self.buffer.len() - at >= least {
            let (_, end) = cutter.cut(at, self.buffer.len() - at);
            self.chunks.push(Chunk::of(&self.buffer[at..end]));
            at = end;
        }
        self.buffer.drain(..at);
    }
}

/// A packed signature that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the signature of a base cannot be read")]
pub struct PackedError;

/// Signatures as texts for JSON: base64 of each chunk's length (LEB128) and digest.
pub fn pack(chunks: &[Chunk]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut bytes = Vec::new();
    for chunk in chunks {
        leb128::put(&mut bytes, chunk.length.into());
        bytes.extend_from_slice(&chunk.digest);
        if bytes.len() >= PACKED {
            texts.push(Base64::encode_string(&std::mem::take(&mut bytes)));
        }
    }
    if !bytes.is_empty() {
        texts.push(Base64::encode_string(&bytes));
    }
    texts
}

/// What [`pack`] was given.
///
/// # Errors
/// Texts that [`pack`] does not write.
pub fn unpack(texts: &[String]) -> Result<Vec<Chunk>, PackedError> {
    let mut chunks = Vec::new();
    for text in texts {
        let bytes = Base64::decode_vec(text).map_err(|_| PackedError)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            chunks.push(take_chunk(&mut rest).ok_or(PackedError)?);
        }
    }
    Ok(chunks)
}

fn take_chunk(rest: &mut &[u8]) -> Option<Chunk> {
    let length = u32::try_from(leb128::take(rest, LENGTH)?).ok()?;
    let digest = rest.split_off(..DIGEST)?.first_chunk()?;
    let in_bounds = (1..=LARGEST_CHUNK as u32).contains(&length);
    in_bounds.then_some(Chunk { length, digest: *digest })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::noise::noise;

    fn lengths(chunks: &[Chunk]) -> usize {
        chunks.iter().map(|chunk| chunk.length as usize).sum()
    }

    #[test]
    fn chunks_cover_everything_within_their_bounds() {
        let bytes = noise(1, 3 * BUFFER + 77);
        let cut = chunks(&bytes);
        assert_eq!(lengths(&cut), bytes.len());
        let (_, all) = cut.split_last().unwrap();
        assert!(all.iter().all(|chunk| (SMALLEST_CHUNK..=LARGEST_CHUNK).contains(&(chunk.length as usize))));
        let average = bytes.len() / cut.len();
        assert!((AVERAGE_CHUNK / 2..AVERAGE_CHUNK * 2).contains(&average), "{average}");
        assert_eq!(chunks(&[]), []);
        assert_eq!(lengths(&chunks(&vec![0; 1_000_000])), 1_000_000);
    }

    #[test]
    fn what_is_no_packed_signature_is_refused() {
        let text = |bytes: &[&[u8]]| vec![Base64::encode_string(&bytes.concat())];
        let digest = [7; DIGEST];
        for bad in [
            &[&[0], &digest[..]],
            &[&[0x81, 0x80, 0x04], &digest],
            &[&[0x80, 0x80, 0x80], &digest],
            &[&[5], &digest[1..]],
        ] {
            assert_eq!(unpack(&text(bad)), Err(PackedError), "{bad:?}");
        }
        assert_eq!(unpack(&["!".to_owned()]), Err(PackedError));
        let largest = Chunk { length: LARGEST_CHUNK as u32, digest };
        assert_eq!(unpack(&text(&[&[0x80, 0x80, 0x04], &digest])), Ok(vec![largest]));
    }

    #[test]
    fn a_long_signature_is_several_texts() {
        let chunk = |number: u32| Chunk { length: number + 1, digest: u64::from(number).to_be_bytes() };
        let chunks: Vec<_> = (0..30_000).map(chunk).collect();
        let texts = pack(&chunks);
        assert!(texts.len() > 2);
        assert_eq!(unpack(&texts).unwrap(), chunks);
        assert!(pack(&[]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_stream_has_the_same_chunks_however_it_arrives(
            seed in any::<u64>(),
            length in 0usize..3_000_000,
            pieces in vec(1usize..400_000, 0..20),
        ) {
            let bytes = noise(seed, length);
            let mut chunker = Chunker::default();
            let mut rest = bytes.as_slice();
            for piece in pieces {
                let (now, later) = rest.split_at(rest.len().min(piece));
                chunker.feed(now);
                rest = later;
            }
            chunker.feed(rest);
            let cut = chunker.finish();
            prop_assert_eq!(&cut, &chunks(&bytes));
            prop_assert_eq!(unpack(&pack(&cut)).unwrap(), cut);
        }

        #[test]
        fn garbage_is_refused_or_within_bounds(bytes in vec(any::<u8>(), 0..100)) {
            if let Ok(chunks) = unpack(&[Base64::encode_string(&bytes)]) {
                prop_assert!(chunks.iter().all(|chunk| (1..=LARGEST_CHUNK as u32).contains(&chunk.length)));
            }
        }
    }
}
