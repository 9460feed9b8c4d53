//! Reading every layer once: its digest, and its uncompressed bytes where it arrives compressed.
//!
//! Contract: an entry that several images or positions name is read once, and not at all where its digest was taken
//! when it arrived. A blob whose name is a digest is checked against that as well, in the same pass. Of a layer that
//! nobody lacks only the size is found out.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::super::compression::MAGIC_LENGTH;
use super::super::read_at::Section;
use super::super::spool::{PumpError, pump};
use super::super::{Arrivals, Compression, DiffId, Digest, ReadAt};
use super::index::{Extent, Index};
use super::{ArchiveError, ArchivedLayer, Location, Options};

/// The digest that an entry's name promises of its content: `blobs/sha256/<hex>`.
pub(super) fn promised(name: &str) -> Option<Digest> {
    let hex = name.trim_start_matches("./").strip_prefix("blobs/sha256/")?;
    Digest::from_hex(hex)
}

/// Fails unless the content is what the name promises, where it promises anything.
pub(super) fn check_name(entry: &str, expected: Option<Digest>, found: Digest) -> Result<(), ArchiveError> {
    match expected {
        Some(expected) if expected != found => {
            Err(ArchiveError::DigestMismatch { entry: entry.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

/// The layers read so far.
pub(super) struct Layers<'a, R> {
    source: &'a R,
    index: &'a Index,
    arrivals: &'a Arrivals,
    options: &'a Options,
    on_bytes: &'a mut dyn FnMut(u64),
    known: HashMap<u64, ArchivedLayer>,
    unpacked: Option<File>,
    unpacked_size: u64,
    /// Bytes that were decoded, kept or not.
    decoded: u64,
}

impl<'a, R: ReadAt> Layers<'a, R> {
    /// `arrivals` has digests that are known already, by the place of the content.
    pub(super) fn new(
        source: &'a R,
        index: &'a Index,
        arrivals: &'a Arrivals,
        options: &'a Options,
        on_bytes: &'a mut dyn FnMut(u64),
    ) -> Self {
        let known = HashMap::new();
        Self { source, index, arrivals, options, on_bytes, known, unpacked: None, unpacked_size: 0, decoded: 0 }
    }

    /// The file of unpacked layers, where there were any.
    pub(super) fn into_unpacked(self) -> Option<File> {
        self.unpacked
    }

    /// Reads the layer of this entry name and checks that it is the one expected.
    pub(super) fn verify(
        &mut self,
        entry: &str,
        named_in: &str,
        expected: DiffId,
    ) -> Result<ArchivedLayer, ArchiveError> {
        let extent = self.index.find(entry, named_in)?;
        let layer = match self.known.get(&extent.offset) {
            Some(known) => *known,
            None => match self.without_reading(entry, extent, expected)? {
                Some(known) => known,
                None => self.read(entry, extent, expected)?,
            },
        };
        self.known.insert(extent.offset, layer);
        check_name(entry, Some(expected.digest()), layer.diff_id.digest())?;
        Ok(layer)
    }

    /// An uncompressed layer whose digest is known, or promised of a layer that nobody will read.
    fn without_reading(
        &self,
        entry: &str,
        extent: Extent,
        diff_id: DiffId,
    ) -> Result<Option<ArchivedLayer>, ArchiveError> {
        let size = extent.size;
        let arrived = self.arrivals.get(&(extent.offset, size)).filter(|arrived| arrived.digest == diff_id.digest());
        if self.options.spare.contains(&diff_id) {
            let is_known = arrived.is_some() || promised(entry) == Some(diff_id.digest());
            return Ok(is_known.then_some(ArchivedLayer { diff_id, size, location: Location::LeftOut }));
        }
        if !arrived.is_some_and(|arrived| arrived.is_kept) || self.compression(entry, extent)? != Compression::None {
            return Ok(None);
        }
        let location = Location::Archive { offset: extent.offset };
        Ok(Some(ArchivedLayer { diff_id, size, location }))
    }

    fn read(&mut self, entry: &str, extent: Extent, expected: DiffId) -> Result<ArchivedLayer, ArchiveError> {
        match self.compression(entry, extent)? {
            Compression::None => self.read_plain(entry, extent),
            compression if self.options.spare.contains(&expected) => self.measure(entry, extent, compression),
            compression => self.unpack(entry, extent, compression),
        }
    }

    fn compression(&self, entry: &str, extent: Extent) -> Result<Compression, ArchiveError> {
        let mut magic = Vec::new();
        Section::new(self.source, extent.offset, extent.size.min(MAGIC_LENGTH as u64))
            .read_to_end(&mut magic)
            .map_err(|source| ArchiveError::Read { offset: extent.offset, source })?;
        match Compression::of(&magic) {
            compression @ Compression::Bzip2 => {
                Err(ArchiveError::LayerCompression { entry: entry.to_owned(), compression })
            }
            compression => Ok(compression),
        }
    }

    fn read_plain(&mut self, entry: &str, extent: Extent) -> Result<ArchivedLayer, ArchiveError> {
        let mut input = self.hashing(extent);
        let copied = pump(&mut input, &mut io::sink(), u64::MAX);
        let digest = input.finish();
        copied.map_err(|error| self.explain(entry, extent, error))?;
        check_name(entry, promised(entry), digest)?;
        let location = Location::Archive { offset: extent.offset };
        Ok(ArchivedLayer { diff_id: digest.into(), size: extent.size, location })
    }

    fn unpack(&mut self, entry: &str, extent: Extent, compression: Compression) -> Result<ArchivedLayer, ArchiveError> {
        let offset = self.unpacked_size;
        let file = self.spool_file(entry)?;
        let (diff_id, size) = self.decode(entry, extent, compression, file)?;
        self.unpacked_size += size;
        Ok(ArchivedLayer { diff_id, size, location: Location::Unpacked { offset } })
    }

    /// Unpacks to nowhere: a manifest names the unpacked size of every layer.
    fn measure(
        &mut self,
        entry: &str,
        extent: Extent,
        compression: Compression,
    ) -> Result<ArchivedLayer, ArchiveError> {
        let (diff_id, size) = self.decode(entry, extent, compression, io::sink())?;
        Ok(ArchivedLayer { diff_id, size, location: Location::LeftOut })
    }

    fn decode(
        &mut self,
        entry: &str,
        extent: Extent,
        compression: Compression,
        writer: impl Write,
    ) -> Result<(DiffId, u64), ArchiveError> {
        let limit = self.options.limits.unpacked.saturating_sub(self.decoded);
        let mut input = self.hashing(extent);
        let mut output = HashingWriter { writer, hasher: Sha256::new() };
        let copied = decode_all(compression, &mut input, &mut output, limit);
        let digest = input.finish();
        let diff_id = Digest::from_hasher(output.hasher).into();
        // A damaged blob fails to decode as well: its digest says more.
        check_name(entry, promised(entry), digest)?;
        let size = copied.map_err(|error| self.explain(entry, extent, error))?;
        self.decoded += size;
        Ok((diff_id, size))
    }

    fn spool_file(&mut self, entry: &str) -> Result<File, ArchiveError> {
        let failed = |source| ArchiveError::Unpack { entry: entry.to_owned(), source };
        if self.unpacked.is_none() {
            let file = tempfile::tempfile_in(&self.options.spool_directory).map_err(failed)?;
            self.unpacked = Some(file);
        }
        // A clone shares the cursor, which stands at the end of what was written.
        let file = self.unpacked.as_ref().map(File::try_clone);
        file.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())).map_err(failed)
    }

    fn hashing(&mut self, extent: Extent) -> HashingReader<'_, R> {
        HashingReader {
            section: Section::new(self.source, extent.offset, extent.size),
            hasher: Sha256::new(),
            on_bytes: self.on_bytes,
        }
    }

    fn explain(&self, entry: &str, extent: Extent, error: PumpError) -> ArchiveError {
        let entry = entry.to_owned();
        let limit = self.options.limits.unpacked;
        match error {
            PumpError::Write { source, .. } => ArchiveError::Unpack { entry, source },
            PumpError::Limit => ArchiveError::UnpacksTooLarge { entry, limit },
            PumpError::Read { source } if source.raw_os_error().is_some() => {
                ArchiveError::Read { offset: extent.offset, source }
            }
            PumpError::Read { source } => ArchiveError::BadLayer { entry, source },
            PumpError::Unsupported => ArchiveError::BadLayer { entry, source: io::ErrorKind::Unsupported.into() },
        }
    }
}

/// Decodes to the end, and reads what may follow it so that the blob's own digest is whole.
fn decode_all(
    compression: Compression,
    mut input: impl Read,
    output: &mut impl Write,
    limit: u64,
) -> Result<u64, PumpError> {
    let decoder = compression.decode(&mut input).map_err(|source| PumpError::Read { source })?;
    let copied = pump(decoder.ok_or(PumpError::Unsupported)?, output, limit);
    if !matches!(copied, Err(PumpError::Limit | PumpError::Write { .. })) {
        pump(input, &mut io::sink(), u64::MAX)?;
    }
    copied
}

struct HashingReader<'a, R> {
    section: Section<'a, R>,
    hasher: Sha256,
    on_bytes: &'a mut dyn FnMut(u64),
}

impl<R> HashingReader<'_, R> {
    fn finish(self) -> Digest {
        Digest::from_hasher(self.hasher)
    }
}

impl<R: ReadAt> Read for HashingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.section.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        (self.on_bytes)(read as u64);
        Ok(read)
    }
}

struct HashingWriter<W> {
    writer: W,
    hasher: Sha256,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
