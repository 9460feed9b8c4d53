//! Bringing a tarball of images onto disk as it arrives, without the layers that nobody lacks.
//!
//! Contract: every byte that is kept has the place that it has in the stream; what is not kept is a hole in the file,
//! which takes no room. A layer that its name tells (`blobs/sha256/<DiffID>`) is not written at all. Engines before 25
//! name layers by IDs that tell nothing: such a layer is written, and given back when its digest is known. The digests
//! of all files are taken on the way, so that nobody need read them again. What is no tar passes through as it is:
//! [`super::Listing`] will say what is wrong with it. Deliberately absent: decompression (see [`super::spool`]).

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, fallocate};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::{DiffId, Digest};

const BLOCK: usize = 512;
/// As much of an extension record as is looked at.
const MAX_EXTENSION: usize = 64 * 1024;

/// Entries that are looked at; a listing refuses more.
const MOST_ENTRIES: usize = 65_536;

/// What is known of the files of a tarball, by place and length of their content.
pub type Arrivals = HashMap<(u64, u64), Arrived>;

/// A file of a tarball that went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// The digest of its content.
    pub digest: Digest,
    /// Its content is on disk.
    pub is_kept: bool,
}

/// Writes a tarball to a file, with holes.
#[derive(Debug)]
pub struct Sifter {
    file: File,
    position: u64,
    state: State,
    spare: BTreeSet<DiffId>,
    /// The next entry's name is not the one in its header.
    is_renamed: bool,
    arrivals: Arrivals,
}

#[derive(Debug)]
enum State {
    Header(Vec<u8>),
    Content(Content),
    /// Until the next header.
    Padding(u64),
    /// Until the end.
    Rest,
}

#[derive(Debug)]
struct Content {
    offset: u64,
    size: u64,
    left: u64,
    keep: Keep,
}

#[derive(Debug)]
enum Keep {
    Nothing,
    Unread,
    Hashed(Sha256),
    Extension(Vec<u8>),
}

impl Sifter {
    /// Writes to `file`, from its start, all but the layers that are `spare`.
    pub fn new(file: File, spare: BTreeSet<DiffId>) -> Self {
        let (state, arrivals) = (State::Header(Vec::new()), HashMap::new());
        Self { file, position: 0, state, spare, is_renamed: false, arrivals }
    }

    /// The file, as long as the stream was, and what is known of what it holds.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(self) -> io::Result<(File, Arrivals)> {
        self.file.set_len(self.position)?;
        Ok((self.file, self.arrivals))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Takes some bytes; how many.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::mem::replace(&mut self.state, State::Rest) {
            State::Header(mut block) => {
                let taken = bytes.len().min(BLOCK - block.len());
                self.put(&bytes[..taken])?;
                block.extend(&bytes[..taken]);
                self.state = if block.len() == BLOCK { self.entry(block) } else { State::Header(block) };
                Ok(taken)
            }
            State::Content(content) => self.content(content, bytes),
            State::Padding(left) => {
                let taken = at_most(bytes, left);
                self.put(&bytes[..taken])?;
                let left = left - taken as u64;
                self.state = if left == 0 { State::Header(Vec::new()) } else { State::Padding(left) };
                Ok(taken)
            }
            State::Rest => self.put(bytes).map(|()| bytes.len()),
        }
    }

    fn entry(&mut self, block: Vec<u8>) -> State {
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        let is_end = block.iter().all(|byte| *byte == 0);
        let ends = is_end || self.arrivals.len() >= MOST_ENTRIES;
        let Some(size) = header.entry_size().ok().filter(|_| !ends) else { return State::Rest };
        let kind = header.entry_type();
        let keep = match kind {
            EntryType::XHeader if size <= MAX_EXTENSION as u64 => Keep::Extension(Vec::new()),
            EntryType::XHeader => return State::Rest,
            EntryType::Regular | EntryType::Continuous if self.is_spare(&header) => Keep::Nothing,
            EntryType::Regular | EntryType::Continuous => Keep::Hashed(Sha256::new()),
            _ => Keep::Unread,
        };
        self.is_renamed = matches!(kind, EntryType::XHeader | EntryType::GNULongName)
            || self.is_renamed && kind == EntryType::GNULongLink;
        let size = if super::archive::is_header_only(kind) { 0 } else { size };
        self.next(Content { offset: self.position, size, left: size, keep })
    }

    fn is_spare(&self, header: &Header) -> bool {
        let name = header.path_bytes();
        let hex = name.strip_prefix(b"blobs/sha256/").and_then(|hex| std::str::from_utf8(hex).ok());
        let digest = hex.and_then(Digest::from_hex).filter(|_| !self.is_renamed);
        digest.is_some_and(|digest| self.spare.contains(&digest.into()))
    }

    fn content(&mut self, mut content: Content, bytes: &[u8]) -> io::Result<usize> {
        let taken = at_most(bytes, content.left);
        let bytes = &bytes[..taken];
        match &mut content.keep {
            Keep::Nothing => self.position += taken as u64,
            Keep::Unread => self.put(bytes)?,
            Keep::Hashed(hasher) => {
                hasher.update(bytes);
                self.put(bytes)?;
            }
            Keep::Extension(record) => {
                record.extend(bytes);
                self.put(bytes)?;
            }
        }
        content.left -= taken as u64;
        self.state = self.next(content);
        Ok(taken)
    }

    /// What comes when these bytes of the content are taken.
    fn next(&mut self, content: Content) -> State {
        if content.left > 0 {
            return State::Content(content);
        }
        let Content { offset, size, keep, .. } = content;
        match keep {
            Keep::Hashed(hasher) => self.arrived(offset, size, Digest::from_hasher(hasher)),
            // Then the length in the next header is not the one that counts: no engine writes this.
            Keep::Extension(record) if record.windows(6).any(|word| word == b" size=") => return State::Rest,
            _ => {}
        }
        match size.next_multiple_of(BLOCK as u64) - size {
            0 => State::Header(Vec::new()),
            padding => State::Padding(padding),
        }
    }

    fn arrived(&mut self, offset: u64, size: u64, digest: Digest) {
        let is_spare = size > 0 && self.spare.contains(&digest.into());
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Where the file system cannot give room back, the layer is there and no harm is done.
        let is_kept = !(is_spare && fallocate(&self.file, flags, offset, size).is_ok());
        self.arrivals.insert((offset, size), Arrived { digest, is_kept });
    }
}

fn at_most(bytes: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}

impl Write for Sifter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { self.take(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
