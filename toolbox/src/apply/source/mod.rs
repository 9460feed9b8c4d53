//! Where images come from: the local engine, saved tarballs, OCI layouts.
//!
//! Contract: what the images are is said first, without reading a layer; then the layers of those that must be sent are
//! read and verified, each once. Layers that no host lacks are neither spooled nor unpacked: an engine from 25 on names
//! them in its tarball, so that they are dropped as they arrive; an older one does not, so that they are dropped when
//! their digest is known. Older layers, from which hosts make new ones, are looked for in the same places.

mod at_hand;
mod error;
mod older;
mod saved;
mod supply;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::sync::mpsc;

use crate::engine::{Docker, Engine as _};
use crate::image::{Archive, ArchivedImage, DiffId, ListedImage, Options, Platform, ReadAt, Reference, Sifter, Stored};
use crate::plan::DesiredImage;
use crate::state::ImageFacts;

pub use at_hand::AtHand;
pub use error::SourceError;
use older::Known;
pub(super) use older::OlderLayer;
use saved::{STANDARD_INPUT, Saved};
pub use supply::Supply;

/// Pieces of an engine's tarball that may wait for the disk.
const QUEUE: usize = 16;

/// A verified archive on this machine.
pub type Spool = Archive<Stored>;

/// Where images come from.
pub struct ImageSource {
    kind: Kind,
    cache: PathBuf,
    older: Known,
}

enum Kind {
    Engine { docker: Docker, socket: String },
    Files(Vec<Saved>),
}

impl ImageSource {
    /// The engine behind this socket of this machine; spools go below `cache`.
    ///
    /// # Errors
    /// [`SourceError::Engine`] where nothing answers.
    pub async fn engine(socket: &Path, cache: &Path) -> Result<Self, SourceError> {
        let name = socket.display().to_string();
        let dialer = crate::engine::unix_dialer(socket.to_owned());
        let docker = Docker::connect(dialer.clone(), dialer).await;
        let docker = docker.map_err(|error| SourceError::Engine { socket: name.clone(), error })?;
        Ok(Self { kind: Kind::Engine { docker, socket: name }, cache: cache.to_owned(), older: Known::default() })
    }

    /// Saved images: tarballs of `docker save`, plain or compressed (gzip, zstd, xz), OCI layouts as tarballs or
    /// directories; `-` is standard input. Plain files and directories are read where they lie.
    ///
    /// # Errors
    /// Whatever is wrong with one of them.
    pub async fn files(paths: &[PathBuf], cache: &Path) -> Result<Self, SourceError> {
        if paths.iter().filter(|path| path.as_os_str() == STANDARD_INPUT).count() > 1 {
            return Err(SourceError::StandardInput("standard input can be read once only"));
        }
        let (paths, directory) = (paths.to_owned(), cache.to_owned());
        let opened = blocking(move || paths.iter().map(|path| Saved::open(path, &directory)).collect::<Result<_, _>>());
        Ok(Self { kind: Kind::Files(opened.await?), cache: cache.to_owned(), older: Known::default() })
    }

    /// What the compose file's images contain, for those that are at hand. `names` maps an image, as the file names it,
    /// to a service that uses it. One that is named by its digest goes by [`Reference::kept_as`] from here on.
    ///
    /// # Errors
    /// Every malformed name, or the source itself.
    pub async fn describe(&self, names: &BTreeMap<String, String>) -> Result<AtHand, SourceError> {
        let mut images = AtHand::default();
        for (image, service) in names {
            let reference = Reference::parse(image).map_err(|error| SourceError::Name {
                service: service.clone(),
                image: image.clone(),
                error,
            })?;
            let offers = match &self.kind {
                Kind::Engine { docker, socket } => in_engine(docker, socket, &reference).await?,
                Kind::Files(files) => in_files(files, &reference)?,
            };
            images.insert(image.clone(), offers);
        }
        Ok(images)
    }

    /// Reads and verifies these images, each under its name. Where it is known which layers are wanted, the others are
    /// left out; [`Supply::whole`] still has them.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn fetch(
        self: &Arc<Self>,
        images: &[DesiredImage],
        wanted: Option<&BTreeSet<DiffId>>,
    ) -> Result<Vec<Arc<Supply>>, SourceError> {
        let all = images.iter().flat_map(|image| &image.facts.layers);
        let spare = wanted.map(|wanted| all.filter(|layer| !wanted.contains(layer)).copied().collect());
        let spare: BTreeSet<DiffId> = spare.unwrap_or_default();
        let (mut left, mut supplies) = (images.to_vec(), Vec::new());
        for part in 0..self.parts() {
            let Some(spool) = self.read(part, &left, &spare).await? else { continue };
            let (here, elsewhere) = left.into_iter().partition(|image| find(&spool, &image.reference).is_some());
            left = elsewhere;
            supplies.push(Arc::new(Supply::part(Arc::clone(self), part, here, Arc::new(spool))));
        }
        match left.first() {
            Some(gone) => Err(SourceError::Changed { image: gone.reference.familiar() }),
            None => Ok(supplies),
        }
    }

    fn parts(&self) -> usize {
        match &self.kind {
            Kind::Engine { .. } => 1,
            Kind::Files(files) => files.len(),
        }
    }

    /// What one part of the source has of these images; `None` for nothing.
    async fn read(
        self: &Arc<Self>,
        part: usize,
        images: &[DesiredImage],
        spare: &BTreeSet<DiffId>,
    ) -> Result<Option<Spool>, SourceError> {
        let (source, images) = (Arc::clone(self), images.to_vec());
        let options = Options { spool_directory: self.cache.clone(), spare: spare.clone(), ..Options::default() };
        let saved = match &self.kind {
            Kind::Engine { docker, socket } => {
                let names: Vec<String> = images.iter().map(|image| image.reference.kept_for().familiar()).collect();
                Some(save(docker, socket, &names, &options).await?)
            }
            Kind::Files(_) => None,
        };
        let read = move || {
            let saved = saved.as_ref().or(match &source.kind {
                Kind::Files(files) => files.get(part),
                Kind::Engine { .. } => None,
            });
            saved.map(|saved| saved.verify(&|listed| names(listed, &images), &options)).transpose()
        };
        Ok(blocking(read).await?.filter(|spool| !spool.images().is_empty()))
    }
}

/// The names of those of `images` that this one is.
fn names(listed: &ListedImage, images: &[DesiredImage]) -> Option<Vec<Reference>> {
    let facts = facts(&listed.config.to_string(), &listed.config_json, listed.diff_ids.clone(), &listed.platform);
    let same = |i: &&DesiredImage| listed.tags.contains(&i.reference) || i.facts.same_content(&facts);
    let same = images.iter().filter(|image| image.facts.layers == listed.diff_ids).filter(same);
    let names: Vec<Reference> = same.map(|image| image.reference.clone()).collect();
    (!names.is_empty()).then_some(names)
}

async fn in_engine(
    docker: &Docker,
    socket: &str,
    reference: &Reference,
) -> Result<Vec<(Platform, DesiredImage)>, SourceError> {
    let facts = docker.image_facts(&reference.familiar()).await;
    let facts = facts.map_err(|error| SourceError::Engine { socket: socket.to_owned(), error })?;
    let offer = facts.map(|facts| {
        let (os, architecture) = (facts.os.clone(), facts.architecture.clone());
        let image = DesiredImage { reference: reference.kept_as(), facts, layer_sizes: BTreeMap::new() };
        (Platform { os, architecture, variant: None }, image)
    });
    Ok(offer.into_iter().collect())
}

fn in_files(files: &[Saved], reference: &Reference) -> Result<Vec<(Platform, DesiredImage)>, SourceError> {
    let mut offers: BTreeMap<Platform, (&Saved, DesiredImage)> = BTreeMap::new();
    for file in files {
        for listed in file.images().iter().filter(|listed| goes_by(listed, reference)) {
            let layers = listed.diff_ids.clone();
            let facts = facts(&listed.config.to_string(), &listed.config_json, layers, &listed.platform);
            let image = DesiredImage { reference: reference.kept_as(), facts, layer_sizes: BTreeMap::new() };
            match offers.get(&listed.platform) {
                Some((_, known)) if known.facts.same_content(&image.facts) => {}
                Some((other, _)) => return Err(ambiguous(reference, &listed.platform, other, file)),
                None => drop(offers.insert(listed.platform.clone(), (file, image))),
            }
        }
    }
    let is_nameless = |file: &&Saved| file.images().iter().all(|image| image.tags.is_empty());
    match files.iter().find(is_nameless) {
        Some(file) if offers.is_empty() && reference.digest().is_none() => {
            Err(SourceError::Nameless { file: file.name.clone() })
        }
        _ => Ok(offers.into_iter().map(|(platform, (_, image))| (platform, image)).collect()),
    }
}

fn goes_by(listed: &ListedImage, reference: &Reference) -> bool {
    match reference.digest() {
        Some(digest) => listed.manifests.contains(&digest),
        None => listed.tags.contains(reference),
    }
}

fn ambiguous(reference: &Reference, platform: &Platform, first: &Saved, second: &Saved) -> SourceError {
    let (image, platform) = (reference.familiar(), platform.to_string());
    SourceError::Ambiguous { image, platform, first: first.name.clone(), second: second.name.clone() }
}

/// The engine's tarball of these images, without what is spare. The disk is written by a thread of its own.
async fn save(docker: &Docker, socket: &str, names: &[String], options: &Options) -> Result<Saved, SourceError> {
    let cache = options.spool_directory.clone();
    let mut sifter = Sifter::new(new_spool(&cache)?, options.spare.clone());
    let (sender, mut receiver) = mpsc::channel::<Bytes>(QUEUE);
    let written = tokio::task::spawn_blocking(move || {
        while let Some(piece) = receiver.blocking_recv() {
            sifter.write_all(&piece)?;
        }
        Ok(sifter)
    });
    let mut stream = docker.save(names);
    let from_engine = |error| SourceError::Engine { socket: socket.to_owned(), error };
    while let Some(piece) = stream.try_next().await.map_err(from_engine)? {
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let written: io::Result<Sifter> = written.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
    let spooling = |error| SourceError::Spooling { directory: cache.display().to_string(), error };
    let (sifter, directory) = (written.map_err(spooling)?, cache.clone());
    blocking(move || Saved::sifted("the local engine's tarball".into(), sifter, &directory)).await
}

/// The image of the tarball that carries this name.
pub fn find<'a, R: ReadAt>(archive: &'a Archive<R>, reference: &Reference) -> Option<&'a ArchivedImage> {
    archive.named(reference).next()
}

/// An image of a tarball as a plan wants it.
pub fn desired(reference: Reference, image: &ArchivedImage) -> DesiredImage {
    let facts = facts(&image.config.to_string(), &image.config_json, image.diff_ids(), &image.platform);
    let layer_sizes = image.layers.iter().map(|l| (l.diff_id, l.size)).collect();
    DesiredImage { reference, facts, layer_sizes }
}

fn facts(id: &str, config_json: &[u8], layers: Vec<DiffId>, platform: &Platform) -> ImageFacts {
    let config: serde_json::Value = serde_json::from_slice(config_json).unwrap_or_default();
    ImageFacts::new(id.to_owned(), layers, config["created"].as_str(), &config["config"])
        .on(&platform.os, &platform.architecture)
}

/// A tarball in memory, spooled and verified as one that was saved.
///
/// # Errors
/// There is no room below `cache`, or the tarball holds no image.
pub async fn spool_tarball(tarball: Vec<u8>, name: &str, cache: &Path) -> Result<Arc<Spool>, SourceError> {
    let (name, cache) = (name.to_owned(), cache.to_owned());
    let archive = blocking(move || {
        let mut file = new_spool(&cache)?;
        let spooling = |error| SourceError::Spooling { directory: cache.display().to_string(), error };
        file.write_all(&tarball).map_err(spooling)?;
        let options = Options { spool_directory: cache, ..Options::default() };
        Archive::open_with(Stored::File(file), &options, &mut |_| {})
            .map_err(|error| SourceError::Archive { file: name, error })
    });
    Ok(Arc::new(archive.await?))
}

/// A file that goes away with the process.
fn new_spool(cache: &Path) -> Result<File, SourceError> {
    tempfile::tempfile_in(cache)
        .map_err(|error| SourceError::Spooling { directory: cache.display().to_string(), error })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}

#[cfg(test)]
mod tests;
