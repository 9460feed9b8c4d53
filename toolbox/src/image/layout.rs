//! An OCI layout that is a directory (OCI image-spec, image-layout.md), read where it lies.
//!
//! Contract: its files follow each other in one range of addresses, so that it is read like a tarball. Only
//! `index.json` and what is right below `blobs/sha256` is ever opened, without following links, so that nothing
//! outside of the directory is read. A file is open only while it is read: there may be more of them than a process
//! may have open. One that has another length than when the directory was listed fails to be read.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::CWD;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use thiserror::Error;

use super::{Digest, ReadAt};

const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";

/// Why a directory is not read as images.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// It lacks what every layout has.
    #[error("the directory is no OCI layout: it has no {0}")]
    NotALayout(&'static str),
    /// More files than are allowed.
    #[error("the OCI layout has more than {limit} files")]
    TooManyFiles {
        /// The bound.
        limit: usize,
    },
    /// The system.
    #[error("reading {name} of the OCI layout failed: {source}")]
    Read {
        /// The file or directory.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl LayoutError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotALayout(_) => Some("make one with: skopeo copy docker-daemon:IMAGE oci:DIRECTORY:IMAGE"),
            Self::TooManyFiles { .. } => Some("copy the images that are wanted into a layout of their own"),
            Self::Read { .. } => None,
        }
    }
}

#[derive(Debug)]
struct Blob {
    name: String,
    offset: u64,
    size: u64,
}

/// A listed directory.
#[derive(Debug)]
pub struct Layout {
    root: File,
    blobs: File,
    files: Vec<Blob>,
}

impl Layout {
    /// Lists a directory; at most `limit` files.
    ///
    /// # Errors
    /// It is none, or no layout.
    pub fn open(directory: &Path, limit: usize) -> Result<Self, LayoutError> {
        let name = |source: rustix::io::Errno| failed(&directory.display().to_string(), source);
        let root = openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = File::from(root.map_err(name)?);
        let blobs = folder(&root, "blobs").and_then(|blobs| folder(&blobs, "sha256"))?;
        let mut layout = Self { root, blobs, files: Vec::new() };
        layout.add(INDEX.to_owned())?.ok_or(LayoutError::NotALayout(INDEX))?;
        for entry in Dir::read_from(&layout.blobs).map_err(|e| failed(BLOBS, e))? {
            let entry = entry.map_err(|e| failed(BLOBS, e))?;
            let hex = entry.file_name().to_str().ok().filter(|name| Digest::from_hex(name).is_some());
            if let Some(hex) = hex {
                layout.add(format!("{BLOBS}{hex}"))?;
            }
            if layout.files.len() > limit {
                return Err(LayoutError::TooManyFiles { limit });
            }
        }
        Ok(layout)
    }

    /// Name, address and length of each file.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.files.iter().map(|blob| (blob.name.as_str(), blob.offset, blob.size))
    }

    /// Where a file is: its directory, and its name there.
    fn place<'a>(&self, name: &'a str) -> (&File, &'a str) {
        name.strip_prefix(BLOBS).map_or((&self.root, name), |hex| (&self.blobs, hex))
    }

    /// Notes a regular file; `None` for what is none.
    fn add(&mut self, name: String) -> Result<Option<()>, LayoutError> {
        let (folder, base) = self.place(&name);
        let stat = match statat(folder, base, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            stat => stat.map_err(|e| failed(&name, e))?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        self.files.push(Blob { name, offset: self.length(), size });
        Ok(Some(()))
    }

    fn length(&self) -> u64 {
        self.files.last().map_or(0, |last| last.offset + last.size)
    }

    fn read_blob(&self, blob: &Blob, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let (folder, base) = self.place(&blob.name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(folder, OsStr::new(base), flags, Mode::empty())?);
        if file.metadata()?.size() != blob.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has changed"));
        }
        let left = usize::try_from(blob.size - at).unwrap_or(usize::MAX).min(buffer.len());
        ReadAt::read_at(&file, &mut buffer[..left], at)
    }
}

impl ReadAt for Layout {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // Files without content share their address with the next one.
        let after = self.files.partition_point(|blob| blob.offset <= offset);
        match after.checked_sub(1).map(|index| &self.files[index]) {
            Some(blob) if offset < blob.offset + blob.size => self.read_blob(blob, buffer, offset - blob.offset),
            _ => Ok(0),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.length())
    }
}

fn folder(parent: &File, name: &'static str) -> Result<File, LayoutError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Ok(folder) => Ok(folder.into()),
        Err(rustix::io::Errno::NOENT) => Err(LayoutError::NotALayout("blobs/sha256")),
        Err(error) => Err(failed(name, error)),
    }
}

fn failed(name: &str, source: rustix::io::Errno) -> LayoutError {
    LayoutError::Read { name: name.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests;
