//! Why images cannot be had, and what to do about it.

use std::io;

use crate::engine::EngineError;
use crate::image::{ArchiveError, LayoutError, ReferenceError, SpoolError};

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
    /// Two files hold different images of one name and platform.
    #[error("image {image} for {platform} is in {first} and, with other content, in {second}")]
    Ambiguous {
        /// The image.
        image: String,
        /// Its platform.
        platform: String,
        /// A file.
        first: String,
        /// Another file.
        second: String,
    },
    /// The images of a file have no names.
    #[error("{file}: none of its images has a name")]
    Nameless {
        /// The file.
        file: String,
    },
    /// Somebody put another image in its place.
    #[error("image {image} was changed while it was read")]
    Changed {
        /// The image.
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
    /// Standard input is asked for images more than once, or is a terminal.
    #[error("{0}")]
    StandardInput(&'static str),
    /// The file cannot be opened.
    #[error("{file}: {error}")]
    Open {
        /// The tarball.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// The directory is not to be read.
    #[error("{file}: {error}")]
    Layout {
        /// The directory.
        file: String,
        /// What is wrong with it.
        error: LayoutError,
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
        error: io::Error,
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
            Self::Ambiguous { .. } => Some("give only the file that holds the right one".into()),
            Self::Nameless { .. } => Some(
                "name them when they are saved: docker save NAME:TAG, or skopeo copy … oci:DIRECTORY:NAME:TAG".into(),
            ),
            Self::Changed { .. } => Some("wait for the build to end, then repeat the command".into()),
            Self::StandardInput(_) => Some("docker save IMAGE… | toolbox deploy --images -".into()),
            Self::Layout { error, .. } => error.hint().map(str::to_owned),
            Self::Spool { error, .. } => error.hint().map(str::to_owned),
            Self::Archive { error, .. } => error.hint().map(str::to_owned),
            Self::Spooling { .. } => Some("set TOOLBOX_CACHE to a directory with room for the images".into()),
            Self::Name { .. } | Self::Engine { .. } | Self::Open { .. } => None,
        }
    }
}
