//! What a project has on a host and does not need any more.
//!
//! Contract: only what this project's labels, pins or records name, and only what no container needs; on any doubt a
//! thing stays. Whoever asks holds the project's lock: what a deploy is making looks unused. Absent on purpose: images
//! under names that a person gave (another project may use them), networks, volumes and what they hold.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::image::Reference;
use crate::release::{Release, ReleaseId, pinned};
use crate::state::{EngineState, ObservedContainer, ObservedImage, Role};

use super::names::parked_from;

/// The repository of helper images.
const HELPER: &str = "docker.io/library/toolbox-relay:";

/// What can go from a host, containers first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Prune {
    /// Each thing, in the order in which it is removed.
    pub unused: Vec<Unused>,
    /// The files below `files/` that stay, where all others go: those of kept releases and those that a container sees.
    /// Absent where that is not known, and all stay.
    pub files: Option<BTreeSet<String>>,
}

/// One thing that is not needed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// What it is.
    #[serde(flatten)]
    pub thing: Thing,
    /// Why it is not needed.
    pub reason: &'static str,
}

/// Something that can be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Thing {
    /// A container.
    Container {
        /// Its name.
        name: String,
        /// The engine's id.
        id: String,
    },
    /// A name that kept an image; the image goes with its last name.
    Pin {
        /// The name.
        reference: Reference,
    },
    /// An image that relays and keepers are made from.
    HelperImage {
        /// Its name.
        reference: Reference,
    },
    /// A release's record.
    Release {
        /// The release.
        id: ReleaseId,
    },
}

impl Prune {
    /// The same without the helper image of this toolbox, which another project's deploy may have sent and not used yet;
    /// without any where it is not known.
    pub fn sparing(mut self, own: Option<&Reference>) -> Self {
        self.unused.retain(|one| match &one.thing {
            Thing::HelperImage { reference } => own.is_some_and(|own| own != reference),
            _ => true,
        });
        self
    }

    /// The same without containers and helper images: what goes by itself after a deploy.
    pub fn releases_only(mut self) -> Self {
        self.unused.retain(|one| matches!(one.thing, Thing::Pin { .. } | Thing::Release { .. }));
        self
    }
}

/// What of the project is not needed on this host.
///
/// `releases` are its records, newest first. The first stays, and so do `keep` that brought nothing back: a rollback does
/// not push out what one could go back to. `whole` says that there are no others that could not be read; without it only
/// pins of releases that were read and are old go, and no file.
pub fn prune(project: &str, engine: &EngineState, releases: &[Release], whole: bool, keep: usize) -> Prune {
    let (kept, old) = partition(releases, keep);
    let containers: Vec<Unused> =
        engine.of_project(project).filter_map(|container| left_over(engine, container)).collect();
    let pins = Pins {
        project,
        kept: kept.iter().map(|release| release.id).collect(),
        // What could not be read may need an image.
        old: (!whole).then(|| old.iter().map(|release| release.id).collect()),
    };
    let goes =
        |id: &str| containers.iter().any(|one| matches!(&one.thing, Thing::Container { id: of, .. } if of == id));
    let staying = engine.containers.iter().filter(|container| !goes(&container.id));
    let used: BTreeSet<&str> = staying.map(|container| container.image_id.as_str()).collect();
    let images = engine.images.iter().flat_map(|image| {
        let is_used = used.contains(image.facts.id.as_str());
        pins.of(image, is_used).into_iter().chain(helper(image, is_used))
    });
    let images: Vec<Unused> = images.collect();
    let records = old.iter().map(|release| Thing::Release { id: release.id }.because("newer releases are kept"));
    Prune {
        files: whole.then(|| files(&kept, engine)),
        unused: containers.into_iter().chain(images).chain(records).collect(),
    }
}

fn partition(releases: &[Release], keep: usize) -> (Vec<&Release>, Vec<&Release>) {
    let mut room = keep.max(1);
    let (kept, old): (Vec<_>, Vec<_>) = releases.iter().enumerate().partition(|(place, release)| {
        let stays = room > 0 && release.rollback_of.is_none();
        room -= usize::from(stays);
        stays || *place == 0
    });
    let releases = |list: Vec<(usize, _)>| list.into_iter().map(|(_, release)| release).collect();
    (releases(kept), releases(old))
}

/// A container of ours that has done its work.
fn left_over(engine: &EngineState, container: &ObservedContainer) -> Option<Unused> {
    let stopped = matches!(container.state.as_str(), "created" | "exited" | "dead");
    let by_us = container.release.is_some() || container.role == Role::Relay;
    // Until its successor is well it may be the one to go back to.
    let replaced =
        parked_from(container).is_some_and(|name| engine.containers.iter().any(|c| c.name == name && c.is_well()));
    let reason = match container.role {
        Role::Service | Role::Relay if stopped && by_us && replaced => "it was replaced",
        Role::Service if container.state == "created" && by_us && container.name.ends_with(".next") => {
            "it was never put in charge"
        }
        Role::Service | Role::Relay | Role::Keeper => return None,
        // One that was only created may be about to start.
        _ if stopped && container.state != "created" => "its command has ended",
        _ => return None,
    };
    let (name, id) = (container.name.clone(), container.id.clone());
    Some(Thing::Container { name, id }.because(reason))
}

/// Which pins of a project go.
struct Pins<'a> {
    project: &'a str,
    kept: BTreeSet<ReleaseId>,
    /// Only pins of these go; absent where all go that are not kept.
    old: Option<BTreeSet<ReleaseId>>,
}

impl Pins<'_> {
    /// The pins of an image that go. The engine keeps the last name of an image that a container uses.
    fn of(&self, image: &ObservedImage, is_used: bool) -> Vec<Unused> {
        let (going, staying): (Vec<_>, Vec<_>) = image.references.iter().partition(|name| self.goes(name));
        if is_used && staying.is_empty() {
            return Vec::new();
        }
        let parsed = going.into_iter().filter_map(|name| Reference::parse(name).ok());
        parsed.map(|reference| Thing::Pin { reference }.because("its release is not kept")).collect()
    }

    fn goes(&self, name: &str) -> bool {
        let Some(release) = pinned(self.project, name) else { return false };
        !self.kept.contains(&release) && self.old.as_ref().is_none_or(|old| old.contains(&release))
    }
}

fn helper(image: &ObservedImage, is_used: bool) -> Vec<Unused> {
    if is_used {
        return Vec::new();
    }
    let names = image.references.iter().filter(|name| name.starts_with(HELPER));
    let parsed = names.filter_map(|name| Reference::parse(name).ok());
    parsed.map(|reference| Thing::HelperImage { reference }.because("no relay or keeper is made from it")).collect()
}

/// The files of these releases, and what containers see of any project's files.
fn files(kept: &[&Release], engine: &EngineState) -> BTreeSet<String> {
    let seen = engine.containers.iter().flat_map(|container| &container.binds);
    let seen = seen.filter_map(|path| path.rsplit_once("/files/").map(|(_, name)| name.to_owned()));
    kept.iter().flat_map(|release| release.files()).chain(seen).collect()
}

impl Thing {
    fn because(self, reason: &'static str) -> Unused {
        Unused { thing: self, reason }
    }
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.thing, self.reason)
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { name, .. } => write!(f, "container {name}"),
            Self::Pin { reference } => write!(f, "image name {reference}"),
            Self::HelperImage { reference } => write!(f, "image {reference}"),
            Self::Release { id } => write!(f, "release {id}"),
        }
    }
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
