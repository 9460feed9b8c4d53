//! Saved images: tarballs, compressed or not, streams, and OCI layouts.
//!
//! Contract: what can be read in place is; what cannot is brought into a file without a name, once. Layers are not
//! read before they are asked for.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::image::{
    ArchiveError, Compression, Layout, Limits, ListedImage, Listing, Options, Reference, Sifter, Stored, spool,
};

use super::{SourceError, Spool, new_spool};

/// The most that a tarball may be uncompressed, in bytes: beyond it is a bomb, or a mistake.
const LARGEST: u64 = 1 << 40;
/// First bytes that tell how a file is compressed.
const MAGIC: usize = 6;
/// The name of standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// Saved images.
pub(super) struct Saved {
    /// What messages call them.
    pub(super) name: String,
    listing: Listing<Stored>,
}

impl Saved {
    /// Opens a file, a directory or standard input; spools go below `cache`.
    pub(super) fn open(path: &Path, cache: &Path) -> Result<Self, SourceError> {
        if path.as_os_str() == STANDARD_INPUT {
            let input = io::stdin().lock();
            if input.is_terminal() {
                return Err(SourceError::StandardInput("standard input is a terminal, not a saved image"));
            }
            return Self::stream("standard input".into(), input, cache);
        }
        let name = path.display().to_string();
        let failed = |error| SourceError::Open { file: name.clone(), error };
        let file = File::open(path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if kind.is_dir() {
            return Self::directory(name, path);
        }
        let mut magic = [0; MAGIC];
        let read = if kind.is_file() { Some(file.read_at(&mut magic, 0).map_err(failed)?) } else { None };
        match read.map(|read| Compression::of(&magic[..read])) {
            Some(Compression::None) => Self::of(name, |limits| Listing::file(file, limits)),
            _ => Self::stream(name, file, cache),
        }
    }

    fn directory(name: String, path: &Path) -> Result<Self, SourceError> {
        let layout = Layout::open(path, Limits::default().entries);
        let layout = layout.map_err(|error| SourceError::Layout { file: name.clone(), error })?;
        Self::of(name, |limits| Listing::layout(layout, limits))
    }

    fn stream(name: String, input: impl Read, cache: &Path) -> Result<Self, SourceError> {
        let mut sifter = Sifter::new(new_spool(cache)?, Default::default());
        spool(input, &mut sifter, LARGEST, &mut |_| {})
            .map_err(|error| SourceError::Spool { file: name.clone(), error })?;
        Self::sifted(name, sifter, cache)
    }

    /// What has come through a sifter.
    pub(super) fn sifted(name: String, sifter: Sifter, cache: &Path) -> Result<Self, SourceError> {
        let spooling = |error| SourceError::Spooling { directory: cache.display().to_string(), error };
        let (file, arrivals) = sifter.finish().map_err(spooling)?;
        Self::of(name, |limits| Listing::sifted(file, arrivals, limits))
    }

    fn of(
        name: String,
        list: impl FnOnce(&Limits) -> Result<Listing<Stored>, ArchiveError>,
    ) -> Result<Self, SourceError> {
        match list(&Limits::default()) {
            Ok(listing) => Ok(Self { name, listing }),
            Err(error) => Err(SourceError::Archive { file: name, error }),
        }
    }

    pub(super) fn images(&self) -> &[ListedImage] {
        self.listing.images()
    }

    /// Verifies the images that `choose` gives names.
    pub(super) fn verify(
        &self,
        choose: &dyn Fn(&ListedImage) -> Option<Vec<Reference>>,
        options: &Options,
    ) -> Result<Spool, SourceError> {
        let verified = self.listing.verify(choose, options, &mut |_| {});
        verified.map_err(|error| SourceError::Archive { file: self.name.clone(), error })
    }
}
