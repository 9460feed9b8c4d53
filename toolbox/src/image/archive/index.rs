//! Where each entry of a tar lies, found by walking its headers.
//!
//! Contract: reads headers only, at most [`Limits::entries`] of them, and names of bounded length, so
//! that a hostile archive costs little. The `tar` crate decodes the headers; the walk is ours because
//! that crate reads name extensions of any length into memory and does not tell at which byte an
//! archive is cut. As in any tar, the last entry of a name counts. Deliberately absent: sparse entries.

use std::collections::HashMap;

use tar::{EntryType, Header};

use super::super::compression::MAGIC_LENGTH;
use super::super::{Compression, ReadAt};
use super::{ArchiveError, Limits, names};

const BLOCK: u64 = 512;
const MAX_NAME: usize = 512;
/// A pax record of names within bounds, with room for times and attributes.
const MAX_EXTENSION: u64 = 64 * 1024;
const MAX_LINKS: usize = 16;

/// The content of a regular file within the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) size: u64,
}

#[derive(Debug)]
enum Entry {
    File(Extent),
    Link { resolved: Option<String> },
    Other,
}

/// All entries by normalised name.
#[derive(Debug)]
pub(super) struct Index {
    entries: HashMap<String, Entry>,
}

impl Index {
    /// Walks the whole archive. An entry that lies or links outside is refused, but only once the
    /// archive is known to be one of images: root file systems are full of absolute links.
    pub(super) fn read(source: &impl ReadAt, limits: &Limits) -> Result<Self, ArchiveError> {
        let mut walk = Walk::new(source, limits)?;
        while walk.step()? {}
        let index = Self { entries: walk.entries };
        if !index.contains("manifest.json") && !index.contains("index.json") {
            return Err(ArchiveError::NoManifest { looks_like_export: index.looks_like_export() });
        }
        walk.fault.map_or(Ok(index), Err)
    }

    /// The files of a directory: normalised names, and where each lies.
    pub(super) fn of(files: impl Iterator<Item = (String, Extent)>) -> Self {
        Self { entries: files.map(|(name, extent)| (name, Entry::File(extent))).collect() }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The file behind a name, links followed.
    pub(super) fn find(&self, name: &str, named_in: &str) -> Result<Extent, ArchiveError> {
        let missing = |entry: &str| ArchiveError::Missing { entry: entry.to_owned(), named_in: named_in.to_owned() };
        let mut at = names::entry(name).ok_or_else(|| missing(name))?;
        for _ in 0..MAX_LINKS {
            match self.entries.get(&at).ok_or_else(|| missing(&at))? {
                Entry::File(extent) => return Ok(*extent),
                Entry::Link { resolved: Some(target) } => at.clone_from(target),
                Entry::Link { resolved: None } => break,
                Entry::Other => return Err(ArchiveError::NotAFile { entry: at }),
            }
        }
        Err(ArchiveError::LinkLoop { entry: name.to_owned() })
    }

    fn looks_like_export(&self) -> bool {
        let is_root = |name: &str| [".dockerenv", "etc", "usr", "bin"].contains(&name);
        let top = |name: &str| name.split('/').next().is_some_and(is_root);
        self.entries.keys().any(|name| top(name))
    }
}

/// What extension records (pax, GNU) say of the entry that follows them.
#[derive(Default)]
struct Overrides {
    name: Option<String>,
    target: Option<String>,
    size: Option<u64>,
}

struct Walk<'a, R> {
    source: &'a R,
    limits: &'a Limits,
    length: u64,
    position: u64,
    headers: usize,
    last: String,
    overrides: Overrides,
    entries: HashMap<String, Entry>,
    fault: Option<ArchiveError>,
}

impl<'a, R: ReadAt> Walk<'a, R> {
    fn new(source: &'a R, limits: &'a Limits) -> Result<Self, ArchiveError> {
        let length = source.size().map_err(|source| ArchiveError::Read { offset: 0, source })?;
        let walk = Self {
            source,
            limits,
            length,
            position: 0,
            headers: 0,
            last: String::new(),
            overrides: Overrides::default(),
            entries: HashMap::new(),
            fault: None,
        };
        walk.check_beginning()?;
        Ok(walk)
    }

    fn check_beginning(&self) -> Result<(), ArchiveError> {
        if self.length == 0 {
            return Err(ArchiveError::Empty);
        }
        let magic = self.bytes(0, self.length.min(MAGIC_LENGTH as u64))?;
        match Compression::of(&magic) {
            Compression::None if self.length < BLOCK => Err(ArchiveError::NotATar),
            Compression::None => Ok(()),
            compression => Err(ArchiveError::Compressed(compression)),
        }
    }

    /// Reads one header and moves behind its content; `false` at the end mark.
    fn step(&mut self) -> Result<bool, ArchiveError> {
        let at = self.position;
        let block = self.bytes(at, BLOCK)?;
        if block.iter().all(|byte| *byte == 0) {
            return if at == 0 { Err(ArchiveError::NotATar) } else { Ok(false) };
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        let size = self.check(&header, at)?;
        self.count()?;
        match header.entry_type() {
            EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink => {
                self.extend(&header, size)?;
            }
            EntryType::XGlobalHeader => self.skip(size)?,
            _ => self.entry(&header, size)?,
        }
        Ok(true)
    }

    /// Checksum and size field.
    fn check(&self, header: &Header, at: u64) -> Result<u64, ArchiveError> {
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let bytes = header.as_bytes();
        let found = sum(&bytes[..148]) + 8 * 32 + sum(&bytes[156..]);
        let right = header.cksum().is_ok_and(|expected| expected == found);
        match header.entry_size() {
            Ok(size) if right && is_honest_size(bytes) && header.entry_type() != EntryType::GNUSparse => Ok(size),
            _ if at == 0 => Err(ArchiveError::NotATar),
            _ => Err(ArchiveError::Corrupt { offset: at, after: self.last.clone() }),
        }
    }

    fn count(&mut self) -> Result<(), ArchiveError> {
        self.headers += 1;
        let limit = self.limits.entries;
        if self.headers > limit { Err(ArchiveError::TooManyEntries { limit }) } else { Ok(()) }
    }

    fn extend(&mut self, header: &Header, size: u64) -> Result<(), ArchiveError> {
        let offset = self.position;
        if size > MAX_EXTENSION {
            return Err(ArchiveError::NameTooLong { offset, limit: MAX_NAME });
        }
        let content = self.bytes(offset + BLOCK, size)?;
        match header.entry_type() {
            EntryType::GNULongName => self.overrides.name = Some(text(&content)),
            EntryType::GNULongLink => self.overrides.target = Some(text(&content)),
            _ => self.extend_pax(&content)?,
        }
        self.skip(size)
    }

    fn extend_pax(&mut self, content: &[u8]) -> Result<(), ArchiveError> {
        let corrupt = || ArchiveError::Corrupt { offset: self.position, after: self.last.clone() };
        for record in tar::PaxExtensions::new(content) {
            let record = record.map_err(|_| corrupt())?;
            match record.key_bytes() {
                b"path" => self.overrides.name = Some(text(record.value_bytes())),
                b"linkpath" => self.overrides.target = Some(text(record.value_bytes())),
                b"size" => {
                    let size = record.value().ok().and_then(|value| value.parse().ok());
                    self.overrides.size = Some(size.ok_or_else(corrupt)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, size: u64) -> Result<(), ArchiveError> {
        let offset = self.position;
        let overrides = std::mem::take(&mut self.overrides);
        let raw = overrides.name.unwrap_or_else(|| text(&header.path_bytes()));
        let link = || header.link_name_bytes().map(|target| text(&target)).unwrap_or_default();
        let target = overrides.target.unwrap_or_else(link);
        if raw.len() > MAX_NAME || target.len() > MAX_NAME {
            self.blame(ArchiveError::NameTooLong { offset, limit: MAX_NAME });
        }
        self.last.clone_from(&raw);
        let kind = header.entry_type();
        // As in Go: whatever the size field of these says, no content follows.
        let size = if is_header_only(kind) { 0 } else { overrides.size.unwrap_or(size) };
        self.skip(size)?;
        let extent = Extent { offset: offset + BLOCK, size };
        self.note(&raw, &target, kind, extent);
        Ok(())
    }

    fn note(&mut self, raw: &str, target: &str, kind: EntryType, extent: Extent) {
        let Some(name) = names::entry(raw) else {
            return self.blame(ArchiveError::EntryOutside { entry: raw.to_owned() });
        };
        let entry = match kind {
            EntryType::Regular | EntryType::Continuous => Entry::File(extent),
            EntryType::Symlink => self.link(raw, target, names::join(names::folder(&name), target)),
            EntryType::Link => self.link(raw, target, names::entry(target)),
            _ => Entry::Other,
        };
        // Bounds memory: such an archive is refused, if it is one of images at all.
        if name.len() <= MAX_NAME {
            self.entries.insert(name, entry);
        }
    }

    fn link(&mut self, entry: &str, target: &str, resolved: Option<String>) -> Entry {
        if resolved.is_none() {
            let (entry, target) = (entry.to_owned(), target.to_owned());
            self.blame(ArchiveError::LinkOutside { entry, target });
        }
        Entry::Link { resolved: resolved.filter(|resolved| resolved.len() <= MAX_NAME) }
    }

    /// The first fault is the one to tell.
    fn blame(&mut self, fault: ArchiveError) {
        self.fault.get_or_insert(fault);
    }

    /// Moves behind a header and its padded content, which must be there whole.
    fn skip(&mut self, size: u64) -> Result<(), ArchiveError> {
        let padded = size.checked_next_multiple_of(BLOCK);
        let next = padded.and_then(|padded| (self.position + BLOCK).checked_add(padded));
        self.position = next.filter(|next| *next <= self.length).ok_or_else(|| self.cut_short())?;
        Ok(())
    }

    fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let end = offset.checked_add(size).filter(|end| *end <= self.length);
        end.ok_or_else(|| self.cut_short())?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| self.cut_short())?];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset + filled as u64;
            let read = self.source.read_at(&mut bytes[filled..], at);
            match read.map_err(|source| ArchiveError::Read { offset: at, source })? {
                0 => return Err(self.cut_short()),
                read => filled += read,
            }
        }
        Ok(bytes)
    }

    fn cut_short(&self) -> ArchiveError {
        ArchiveError::CutShort { length: self.length, entry: self.last.clone() }
    }
}

/// A size in base 256 (GNU) that is negative, or needs more than 64 bits, is read by its lowest bits alone otherwise.
fn is_honest_size(header: &[u8; 512]) -> bool {
    let size = &header[124..136];
    size[0] & 0x80 == 0 || size[..4] == [0x80, 0, 0, 0]
}

pub(in super::super) fn is_header_only(kind: EntryType) -> bool {
    use EntryType::{Block, Char, Directory, Fifo, Link, Symlink};
    matches!(kind, Link | Symlink | Char | Block | Directory | Fifo)
}

/// Names are bytes; those that matter are ASCII. GNU's long names end in a zero byte.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}
