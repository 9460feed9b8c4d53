//! Where images come from: the local engine, or a saved tarball.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::engine::{Docker, Engine as _, EngineError};
use crate::image::{
    Archive, ArchiveError, ArchivedImage, Options, ReadAt, Reference, ReferenceError, SpoolError, spool,
};
use crate::plan::DesiredImage;
use crate::state::ImageFacts;

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The name is none.
    #[error("service {service}: image {image:?}: {error}")]
    Name {
        /// The service.
        service: String,
        /// The image as the compose file names it.
        image: String,
        /// What is wrong with it.
        error: ReferenceError,
    },
    /// The name pins a digest.
    #[error("service {service}: image {image} is named by its digest, which is not supported yet")]
    ByDigest {
        /// The service.
        service: String,
        /// The image as the compose file names it.
        image: String,
    },
    /// The local engine.
    #[error("the local container engine ({socket}): {error}")]
    Engine {
        /// Its socket.
        socket: String,
        /// What it said.
        error: EngineError,
    },
    /// The tarball cannot be opened.
    #[error("{file}: {error}")]
    Open {
        /// The tarball.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The tarball cannot be copied to the spool.
    #[error("{file}: {error}")]
    Spool {
        /// The tarball.
        file: String,
        /// What is wrong with it.
        error: SpoolError,
    },
    /// The tarball holds no images, or broken ones.
    #[error("{file}: {error}")]
    Archive {
        /// The tarball.
        file: String,
        /// What is wrong with it.
        error: ArchiveError,
    },
    /// There is no room for the spool.
    #[error("spooling images below {directory}: {error}")]
    Spooling {
        /// The spool's directory.
        directory: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl SourceError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine { error: EngineError::Unreachable { reason }, .. } if reason.contains("ermission denied") => {
                Some("set DOCKER_GID in .env to the group of the socket: stat -c %g /var/run/docker.sock".into())
            }
            Self::Engine { error: EngineError::Unreachable { .. }, .. } => Some(
                "start Docker here, or give a saved tarball with --images FILE (docker save -o FILE IMAGE…)".into(),
            ),
            Self::ByDigest { image, .. } => {
                let name = image.split('@').next().unwrap_or_default();
                Some(format!("give it a tag and name that: docker tag {image} {name}:pinned"))
            }
            Self::Spool { error, .. } => error.hint().map(str::to_owned),
            Self::Archive { error, .. } => error.hint().map(str::to_owned),
            Self::Spooling { .. } => Some("set TOOLBOX_CACHE to a directory with room for the images".into()),
            _ => None,
        }
    }
}

/// The most that a tarball may be uncompressed, in bytes: beyond it is a bomb, or a mistake.
const LARGEST: u64 = 1 << 40;

/// A spooled and verified tarball.
pub type Spool = Archive<File>;

/// Where images come from.
pub struct ImageSource {
    kind: Kind,
    cache: PathBuf,
}

enum Kind {
    Engine { docker: Box<Docker>, socket: String },
    Archive { archive: Arc<Spool> },
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
        Ok(Self { kind: Kind::Engine { docker: Box::new(docker), socket: name }, cache: cache.to_owned() })
    }

    /// A tarball of `docker save`, plain or gzip-compressed; it is verified whole before anything is sent.
    ///
    /// # Errors
    /// Whatever is wrong with the file.
    pub async fn archive(file: &Path, cache: &Path) -> Result<Self, SourceError> {
        let (path, cache_dir) = (file.to_owned(), cache.to_owned());
        let archive = blocking(move || {
            let name = path.display().to_string();
            let input = File::open(&path).map_err(|error| SourceError::Open { file: name.clone(), error })?;
            let mut spooled = new_spool(&cache_dir)?;
            spool(input, &mut spooled, LARGEST, &mut |_| {})
                .map_err(|error| SourceError::Spool { file: name.clone(), error })?;
            open(spooled, &name, &cache_dir)
        })
        .await?;
        Ok(Self { kind: Kind::Archive { archive: Arc::new(archive) }, cache: cache.to_owned() })
    }

    /// What the compose file's images contain, for those that are at hand. `names` maps an image, as the file names it,
    /// to a service that uses it.
    ///
    /// # Errors
    /// Every malformed name, or the source itself.
    pub async fn describe(
        &self,
        names: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, DesiredImage>, SourceError> {
        let mut images = BTreeMap::new();
        for (image, service) in names {
            let reference = Reference::parse(image).map_err(|error| SourceError::Name {
                service: service.clone(),
                image: image.clone(),
                error,
            })?;
            if reference.digest().is_some() {
                return Err(SourceError::ByDigest { service: service.clone(), image: image.clone() });
            }
            if let Some(desired) = self.describe_one(reference).await? {
                images.insert(image.clone(), desired);
            }
        }
        Ok(images)
    }

    async fn describe_one(&self, reference: Reference) -> Result<Option<DesiredImage>, SourceError> {
        match &self.kind {
            Kind::Engine { docker, socket } => {
                let facts = docker.image_facts(&reference.familiar()).await;
                let facts = facts.map_err(|error| SourceError::Engine { socket: socket.clone(), error })?;
                Ok(facts.map(|facts| DesiredImage { reference, facts, layer_sizes: BTreeMap::new() }))
            }
            Kind::Archive { archive, .. } => Ok(find(archive, &reference).map(|image| desired(reference, image))),
        }
    }

    /// The saved tarball that holds these images, verified; read from the engine into an unlinked file of the cache
    /// where the source is an engine.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn spool(&self, references: &[Reference]) -> Result<Arc<Spool>, SourceError> {
        let (docker, socket) = match &self.kind {
            Kind::Archive { archive, .. } => return Ok(archive.clone()),
            Kind::Engine { docker, socket } => (docker, socket),
        };
        let spooling = |error| SourceError::Spooling { directory: self.cache.display().to_string(), error };
        let names: Vec<String> = references.iter().map(Reference::familiar).collect();
        let mut file = tokio::fs::File::from_std(new_spool(&self.cache)?);
        let mut stream = docker.save(&names);
        let from_engine = |error| SourceError::Engine { socket: socket.clone(), error };
        while let Some(chunk) = stream.try_next().await.map_err(from_engine)? {
            file.write_all(&chunk).await.map_err(spooling)?;
        }
        file.flush().await.map_err(spooling)?;
        let (file, cache) = (file.into_std().await, self.cache.clone());
        let archive = blocking(move || open(file, "the local engine's tarball", &cache)).await?;
        Ok(Arc::new(archive))
    }
}

/// The image of the tarball that carries this name.
pub fn find<'a, R: ReadAt>(archive: &'a Archive<R>, reference: &Reference) -> Option<&'a ArchivedImage> {
    archive.named(reference).next()
}

/// An image of a tarball as a plan wants it.
pub fn desired(reference: Reference, image: &ArchivedImage) -> DesiredImage {
    let config: serde_json::Value = serde_json::from_slice(&image.config_json).unwrap_or_default();
    let layers = image.layers.iter().map(|l| l.diff_id).collect();
    let facts = ImageFacts::new(image.config.to_string(), layers, config["created"].as_str(), &config["config"])
        .on(&image.platform.os, &image.platform.architecture);
    let layer_sizes = image.layers.iter().map(|l| (l.diff_id, l.size)).collect();
    DesiredImage { reference, facts, layer_sizes }
}

/// A tarball in memory, spooled and verified as one that was saved.
///
/// # Errors
/// There is no room below `cache`, or the tarball holds no image.
pub async fn spool_tarball(tarball: Vec<u8>, name: &str, cache: &Path) -> Result<Arc<Spool>, SourceError> {
    let (name, cache) = (name.to_owned(), cache.to_owned());
    let archive = blocking(move || {
        use std::io::Write as _;
        let mut file = new_spool(&cache)?;
        let spooling = |error| SourceError::Spooling { directory: cache.display().to_string(), error };
        file.write_all(&tarball).map_err(spooling)?;
        open(file, &name, &cache)
    });
    Ok(Arc::new(archive.await?))
}

/// A file that goes away with the process.
fn new_spool(cache: &Path) -> Result<File, SourceError> {
    tempfile::tempfile_in(cache)
        .map_err(|error| SourceError::Spooling { directory: cache.display().to_string(), error })
}

fn open(file: File, name: &str, cache: &Path) -> Result<Spool, SourceError> {
    let options = Options { spool_directory: cache.to_owned(), ..Options::default() };
    Archive::open_with(file, &options, &mut |_| {})
        .map_err(|error| SourceError::Archive { file: name.to_owned(), error })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}
