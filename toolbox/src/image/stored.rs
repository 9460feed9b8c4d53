//! Where an archive lies: in one file, or in a directory.

use std::fs::File;
use std::io;

use super::{Layout, ReadAt};

/// The bytes of an archive on this machine.
#[derive(Debug)]
pub enum Stored {
    /// A tarball.
    File(File),
    /// An OCI layout.
    Layout(Layout),
}

impl ReadAt for Stored {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => ReadAt::read_at(file, buffer, offset),
            Self::Layout(layout) => layout.read_at(buffer, offset),
        }
    }

    fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => ReadAt::size(file),
            Self::Layout(layout) => layout.size(),
        }
    }
}
