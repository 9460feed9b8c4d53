//! Why images did not arrive.

use std::collections::BTreeSet;

use crate::engine::{EngineError, not_unpacked};
use crate::image::Reference;
use crate::plan::human_bytes;

use super::super::source::SourceError;

/// Why an image did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The tarball does not hold what the plan wants to send.
    #[error("image {reference} is not in the tarball")]
    NotInArchive {
        /// The image.
        reference: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What was left out could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The engine refused what a receiver gave it.
    #[error("loading images: {text}")]
    Load {
        /// Its words.
        text: String,
    },
    /// The host's disk is full.
    #[error("keeping what has arrived on the host: {text}")]
    NoSpace {
        /// The receiver's words.
        text: String,
    },
    /// The same, with figures.
    #[error("{why}; the images need {} on the host's disk, {} are free now", human_bytes(*.needed), human_bytes(*.free))]
    Full {
        /// What was said.
        why: Box<PushError>,
        /// Bytes that the images take until they are loaded.
        needed: u64,
        /// Bytes that are free after what had arrived has been cleared away.
        free: u64,
    },
    /// What was to be sent cannot be read here any more.
    #[error("reading the images: {reason}")]
    Unread {
        /// What the system says.
        reason: String,
    },
    /// The connection, the engine or the receiver went away in the middle.
    #[error("sending images was cut: {reason}")]
    Cut {
        /// What is known of it.
        reason: String,
    },
}

/// What did not arrive.
#[derive(Debug)]
pub struct Unsent {
    /// Why.
    pub error: PushError,
    /// The images; the others of the push did.
    pub images: BTreeSet<Reference>,
}

impl PushError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Full { needed, free, .. } if free >= needed => {
                Some("make room on the host: it may lack inodes (df -i), not bytes; then run it again".into())
            }
            Self::Load { .. } | Self::NoSpace { .. } | Self::Full { .. } if self.says_full() => {
                Some("make room on the host (docker image prune, docker system df) and run it again".into())
            }
            Self::Unread { .. } => {
                Some("see that there is room where images are spooled (--cache), and run it again".into())
            }
            Self::Cut { .. } => Some("run it again: it goes on from what has arrived".into()),
            _ => None,
        }
    }

    /// A disk of the host is full.
    pub(super) fn says_full(&self) -> bool {
        match self {
            Self::NoSpace { .. } | Self::Full { .. } => true,
            Self::Engine(_) | Self::Load { .. } => EngineError::says_full(&self.to_string()),
            Self::NotInArchive { .. } | Self::Source(_) | Self::Unread { .. } | Self::Cut { .. } => false,
        }
    }

    /// The line broke, or whoever is at its other end.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Engine(EngineError::Unreachable { .. }))
    }

    /// Something was loaded, or might have been, and the engine can be asked about it.
    pub(super) fn engine_answered(&self) -> bool {
        match self {
            Self::Engine(error) => !matches!(error, EngineError::Unreachable { .. }),
            Self::Load { .. } | Self::NoSpace { .. } | Self::Full { .. } => true,
            Self::NotInArchive { .. } | Self::Source(_) | Self::Unread { .. } | Self::Cut { .. } => false,
        }
    }

    /// Those of these images that it is about; all of them where it does not say so of each.
    pub(super) fn images(&self, all: BTreeSet<Reference>) -> BTreeSet<Reference> {
        let named: Vec<&str> = match self {
            Self::Engine(EngineError::NotLoaded { reference, .. }) => vec![reference],
            Self::Engine(EngineError::Refused { message: said, .. }) | Self::Load { text: said } => {
                not_unpacked(said).collect()
            }
            _ => Vec::new(),
        };
        let named: Option<BTreeSet<Reference>> = named.into_iter().map(|name| Reference::parse(name).ok()).collect();
        named.filter(|named| !named.is_empty() && named.is_subset(&all)).unwrap_or(all)
    }

    /// The engine was reached, had room, and did not make of it what was sent: that it lacks a layer may be the reason.
    pub fn may_lack_layers(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Load { .. })
            && !matches!(self, Self::Engine(EngineError::Unreachable { .. }))
            && !self.says_full()
    }
}
