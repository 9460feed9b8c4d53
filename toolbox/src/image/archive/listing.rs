//! What an archive lists, before any layer is read.
//!
//! Contract: documents are read and checked, so that names, platforms and layers of every image are known; layers are
//! read by [`Listing::verify`], which may be asked again for other images or layers.

use std::fs::File;
use std::sync::Arc;

use super::super::{Arrivals, ConfigDigest, DiffId, Layout, ManifestDigest, Platform, ReadAt, Reference, Stored};
use super::documents::Documents;
use super::index::{Extent, Index};
use super::layers::Layers;
use super::{Archive, ArchiveError, ArchivedImage, Limits, Options};

/// One image as an archive lists it.
#[derive(Debug, Clone)]
pub struct ListedImage {
    /// Its names; none for an image that was saved by its ID.
    pub tags: Vec<Reference>,
    /// The digests of its manifest and of the indexes that name it, where the archive has them.
    pub manifests: Vec<ManifestDigest>,
    /// The digest of its configuration.
    pub config: ConfigDigest,
    /// Its configuration, byte for byte.
    pub config_json: Vec<u8>,
    /// What it runs on.
    pub platform: Platform,
    /// `RootFS.Layers`, from the bottom up.
    pub diff_ids: Vec<DiffId>,
    /// The entries of its layers.
    pub(super) layers: Vec<String>,
    /// Those of them that are to be had elsewhere.
    pub(super) foreign: Vec<String>,
    pub(super) named_in: String,
}

/// An archive whose documents were read.
#[derive(Debug)]
pub struct Listing<R> {
    source: Arc<R>,
    index: Index,
    arrivals: Arrivals,
    images: Vec<ListedImage>,
}

impl<R: ReadAt> Listing<R> {
    /// Reads the documents of a tarball.
    ///
    /// # Errors
    /// Whatever is wrong with the tarball but for its layers.
    pub fn read(source: R, limits: &Limits) -> Result<Self, ArchiveError> {
        let index = Index::read(&source, limits)?;
        Self::of(source, index, Arrivals::new(), limits)
    }

    fn of(source: R, index: Index, arrivals: Arrivals, limits: &Limits) -> Result<Self, ArchiveError> {
        let images = Documents::new(&source, &index, limits).images()?;
        Ok(Self { source: Arc::new(source), index, arrivals, images })
    }

    /// The images, in the archive's order.
    pub fn images(&self) -> &[ListedImage] {
        &self.images
    }

    /// Reads the layers of the images that `choose` gives names, which they have from then on. `on_bytes` is told how
    /// many bytes more have been hashed.
    ///
    /// # Errors
    /// A layer that is not what its image's configuration says, or cannot be had.
    pub fn verify(
        &self,
        choose: &dyn Fn(&ListedImage) -> Option<Vec<Reference>>,
        options: &Options,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<Archive<R>, ArchiveError> {
        let mut layers = Layers::new(&*self.source, &self.index, &self.arrivals, options, on_bytes);
        let chosen = self.images.iter().filter_map(|image| Some((image, choose(image)?)));
        let images =
            chosen.map(|(image, tags)| image.verify(tags, &mut layers)).collect::<Result<_, ArchiveError>>()?;
        let unpacked = layers.into_unpacked();
        Ok(Archive { source: Arc::clone(&self.source), unpacked, images })
    }
}

impl Listing<Stored> {
    /// Reads the documents of a tarball in a file.
    ///
    /// # Errors
    /// As [`Listing::read`].
    pub fn file(file: File, limits: &Limits) -> Result<Self, ArchiveError> {
        Self::read(Stored::File(file), limits)
    }

    /// Reads the documents of a tarball that arrived as a stream, through a [`super::super::Sifter`].
    ///
    /// # Errors
    /// As [`Listing::read`].
    pub fn sifted(file: File, arrivals: Arrivals, limits: &Limits) -> Result<Self, ArchiveError> {
        let source = Stored::File(file);
        let index = Index::read(&source, limits)?;
        Self::of(source, index, arrivals, limits)
    }

    /// Reads the documents of an OCI layout that is a directory.
    ///
    /// # Errors
    /// As [`Listing::read`].
    pub fn layout(layout: Layout, limits: &Limits) -> Result<Self, ArchiveError> {
        let files = layout.files().map(|(name, offset, size)| (name.to_owned(), Extent { offset, size }));
        let index = Index::of(files);
        Self::of(Stored::Layout(layout), index, Arrivals::new(), limits)
    }
}

impl ListedImage {
    /// Reads every layer and compares with the configuration.
    fn verify<R: ReadAt>(
        &self,
        tags: Vec<Reference>,
        layers: &mut Layers<'_, R>,
    ) -> Result<ArchivedImage, ArchiveError> {
        let pairs = self.layers.iter().zip(&self.diff_ids);
        let read = pairs.map(|(entry, diff_id)| {
            layers.verify(entry, &self.named_in, *diff_id).map_err(|error| self.explain(entry, error))
        });
        Ok(ArchivedImage {
            tags,
            config: self.config,
            config_json: self.config_json.clone(),
            platform: self.platform.clone(),
            layers: read.collect::<Result<_, _>>()?,
        })
    }

    fn explain(&self, entry: &str, error: ArchiveError) -> ArchiveError {
        match error {
            ArchiveError::Missing { entry: missing, .. } if self.foreign.iter().any(|foreign| foreign == entry) => {
                ArchiveError::Foreign { entry: missing }
            }
            error => error,
        }
    }
}
