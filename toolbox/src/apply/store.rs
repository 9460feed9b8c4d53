//! What a host keeps of good deploys: records, the images' names, and files; all behind the project's keeper.
//!
//! Contract: a record is written last, so that it stands for a deploy that is whole; one that was cut short is named
//! and passed over. Reading needs no lock, everything else does. Absent on purpose: what is kept and what goes
//! (`plan::prune`), and the writing of configs and secrets (`apply::containers`).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use crate::engine::{Engine, EngineError};
use crate::image::{record, records};
use crate::plan::{Prune, Thing, Unused};
use crate::release::{Release, ReleaseId};

/// Where the keeper sees its volume.
const STATE: &str = "/state";

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The volume is there and nothing holds it.
    #[error("the host keeps releases, and no keeper {keeper} is there to read them")]
    NoKeeper {
        /// The keeper's name.
        keeper: String,
    },
    /// The records are no tarball.
    #[error("the releases on the host cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The keeper did not remove what it was told to.
    #[error("old releases and files were not removed: {0}")]
    NotSwept(String),
}

impl StoreError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::NoKeeper { .. } => Some("deploy the project again, which makes one: toolbox deploy; or take away what it kept: toolbox down --volumes".into()),
            Self::Unreadable(_) => None,
            Self::NotSwept(_) => Some("deploy again, or run toolbox prune".into()),
        }
    }
}

/// The records of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shelf {
    /// Newest first.
    pub releases: Vec<Release>,
    /// Records that are there and cannot be read, with the reason: one short text each.
    pub damaged: Vec<String>,
}

impl Shelf {
    /// The release with this id.
    pub fn find(&self, id: ReleaseId) -> Option<&Release> {
        self.releases.iter().find(|release| release.id == id)
    }

    /// The newest release, also where its record cannot be read.
    pub fn newest(&self) -> Option<ReleaseId> {
        let damaged = self.damaged.iter().filter_map(|text| text.split(['.', ':']).next()?.parse().ok());
        self.releases.iter().map(|release| release.id).chain(damaged).max()
    }

    /// The record that cannot be read, where it is newer than all that can.
    pub fn damaged_and_newest(&self) -> Option<&str> {
        let newest = self.releases.first().map(|release| release.id.to_string()).unwrap_or_default();
        self.damaged.iter().map(String::as_str).find(|damaged| *damaged > newest.as_str())
    }
}

/// The store of one project on one host.
#[derive(Debug)]
pub struct Store<'a, E> {
    engine: &'a E,
    /// The keeper's container.
    keeper: &'a str,
}

impl<'a, E: Engine> Store<'a, E> {
    /// The store behind this keeper, whose container need not run but for [`Self::remove`].
    pub fn new(engine: &'a E, keeper: &'a str) -> Self {
        Self { engine, keeper }
    }

    /// All records, in one request; none where there is no keeper.
    ///
    /// # Errors
    /// The engine's, or that its answer is no tarball.
    pub async fn shelf(&self) -> Result<Shelf, StoreError> {
        let tarball = self.engine.get_files(self.keeper, &format!("{STATE}/releases")).await?;
        let mut shelf = Shelf::default();
        for (name, content) in records(&tarball.unwrap_or_default())? {
            match Release::from_json(&content) {
                Ok(release) => shelf.releases.push(release),
                Err(error) => shelf.damaged.push(format!("{name}: {error}")),
            }
        }
        shelf.releases.sort_by_key(|release| std::cmp::Reverse(release.id));
        Ok(shelf)
    }

    /// Writes the record of a deploy that is whole.
    ///
    /// # Errors
    /// The engine's.
    pub async fn write(&self, release: &Release) -> Result<(), StoreError> {
        let tarball = record(&file(release.id), &release.to_json())?;
        Ok(self.engine.put_files(self.keeper, STATE, tarball).await?)
    }

    /// Gives the release's images the names that keep them from being collected.
    ///
    /// # Errors
    /// The engine's, also where an image is gone.
    pub async fn pin(&self, release: &Release) -> Result<(), StoreError> {
        for (service, released) in &release.services {
            self.engine.tag(&released.image.id, &release.pin(service)).await?;
        }
        Ok(())
    }

    /// Removes what is unused, and the files that are not to be kept; returns how many files and records went.
    ///
    /// # Errors
    /// The first failure, after trying everything.
    pub async fn remove(&self, prune: &Prune) -> Result<usize, StoreError> {
        let mut first_error = None;
        for Unused { thing, .. } in &prune.unused {
            let removed = match thing {
                Thing::Container { id, .. } => self.engine.remove(id, false).await,
                Thing::Pin { reference } | Thing::HelperImage { reference } => {
                    self.engine.untag(&reference.full()).await
                }
                Thing::Release { .. } => Ok(()),
            };
            // Somebody else may have been faster.
            if let Err(error) = removed.or_else(|e| if e.is_not_found() { Ok(()) } else { Err(e) }) {
                first_error.get_or_insert(StoreError::Engine(error));
            }
        }
        let swept = self.sweep(prune).await;
        first_error.map_or(swept, Err)
    }

    /// The volume's directories belong to the keeper's user, who may remove the files in them and read none. Without a
    /// keeper there is nothing.
    async fn sweep(&self, prune: &Prune) -> Result<usize, StoreError> {
        let old = prune.unused.iter().filter_map(|one| match &one.thing {
            Thing::Release { id } => Some(file(*id)),
            _ => None,
        });
        let old: BTreeSet<String> = old.collect();
        let request = json!({ "releases": old, "keep_files": prune.files });
        let command = ["/toolbox-relay".to_owned(), "sweep".to_owned()];
        let ended = match self.engine.exec(self.keeper, &command, request.to_string().as_bytes()).await {
            Err(error) if error.is_not_found() => return Ok(0),
            ended => ended?,
        };
        match serde_json::from_slice::<Swept>(&ended.stdout) {
            Ok(swept) if ended.status == 0 => Ok(swept.removed.len()),
            _ => Err(StoreError::NotSwept(last_line(&ended.stderr))),
        }
    }
}

#[derive(Deserialize)]
struct Swept {
    removed: Vec<String>,
}

/// The name of a release's record.
fn file(id: ReleaseId) -> String {
    format!("{id}.json")
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().last().unwrap_or("the keeper said nothing").trim().to_owned()
}
