//! Ring 1: the record of a good deploy, which every host of it keeps.
//!
//! Contract: a release holds what is needed to bring the same containers back without the project's files: the resolved
//! project, and each service's image by content. It holds the values of `environment`, and of configs and secrets only
//! digests: their contents stay files of the host. Its JSON carries a format number; a newer one is refused, and what
//! was cut short is never taken for whole. Absent on purpose: where records are kept (`apply::store`).

mod check;
mod git;
mod id;
mod partial;
mod who;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::compose::{FileMount, FileObject, Project};
use crate::image::{DiffId, Reference};

pub use git::Git;
pub use id::{IdError, ReleaseId, rfc3339_after};
pub use who::who;

/// Characters of a name that an image's name takes over: three parts of it have 255 together.
const MOST_KEPT: usize = 100;
/// The form of record that is written, and the newest that is read.
const FORMAT: u32 = 1;

/// A good deploy, as it stands on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    format: u32,
    /// Its name, the same on all hosts of the deploy.
    pub id: ReleaseId,
    /// When, RFC 3339 in UTC.
    pub created: String,
    /// Who, as [`who`] tells.
    pub by: String,
    /// What git said of the project's directory.
    pub git: Option<Git>,
    /// The release that it brought back.
    #[serde(default)]
    pub rollback_of: Option<ReleaseId>,
    /// The resolved project, as far as it belongs to this host.
    pub project: Project,
    /// The project's services by name.
    pub services: BTreeMap<String, ReleasedService>,
}

/// What a service was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedService {
    /// The fingerprint of its definition (label `com.docker.compose.config-hash`).
    pub config_hash: String,
    /// Its image.
    pub image: ReleasedImage,
}

/// An image by name and by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedImage {
    /// Its name in the compose file.
    pub reference: Reference,
    /// What this host's engine calls it.
    pub id: String,
    /// Its layers, lowest first.
    pub layers: Vec<DiffId>,
    /// The processor it is for, in Go's words.
    pub architecture: String,
    /// On a containerd store: we loaded it, so that its layers are there under the names that our manifests use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loaded: bool,
}

/// Why a text is no release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A newer toolbox wrote it.
    #[error("it has format {format}, and this toolbox reads up to {FORMAT}")]
    Newer {
        /// Its format.
        format: u32,
    },
    /// It is cut short or was never one.
    #[error("it is no whole record: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It says something that no record says.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl Release {
    /// The record of this deploy; `services` names those of `project`.
    pub fn new(
        id: ReleaseId,
        by: String,
        git: Option<Git>,
        project: Project,
        services: BTreeMap<String, ReleasedService>,
    ) -> Self {
        Self { format: FORMAT, id, created: id.rfc3339(), by, git, rollback_of: None, project, services }
    }

    /// The deploy that it is, or that it brought back.
    pub fn origin(&self) -> ReleaseId {
        self.rollback_of.unwrap_or(self.id)
    }

    /// Its JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // It cannot fail: all map keys are texts.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// [`ReleaseError`]; also for any part of a record, as no part of a JSON object is one.
    pub fn from_json(text: &[u8]) -> Result<Self, ReleaseError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Head { format } = serde_json::from_slice(text)?;
        if format > FORMAT {
            return Err(ReleaseError::Newer { format });
        }
        let release: Self = serde_json::from_slice(text)?;
        release.check().map_err(ReleaseError::Damaged)?;
        Ok(release)
    }

    /// The names below `files/` of the configs and secrets that its services see.
    pub fn files(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for service in self.project.services.values() {
            let configs = service.configs.iter().map(|mount| (mount, &self.project.configs));
            let secrets = service.secrets.iter().map(|mount| (mount, &self.project.secrets));
            let both = configs.chain(secrets);
            names.extend(both.filter_map(|(mount, objects)| Some(file_name(objects.get(&mount.key)?, mount))));
        }
        names
    }

    /// The name that keeps the service's image on the host: `toolbox.local/<project>/<service>:<release>`.
    pub fn pin(&self, service: &str) -> Reference {
        let name = format!("{}{}:{}", pins(&self.project.name), component(service), self.id);
        Reference::parse(&name).expect("its parts were made to be an image's name")
    }
}

/// What the full names of all pins of a project begin with.
pub fn pins(project: &str) -> String {
    format!("toolbox.local/{}/", component(project))
}

/// The release that a pin of the project belongs to; `None` for every other name of an image.
pub fn pinned(project: &str, reference: &str) -> Option<ReleaseId> {
    reference.strip_prefix(&pins(project))?.rsplit_once(':')?.1.parse().ok()
}

/// A name as part of an image's name: as it is where Docker allows that, else changed, with a digest for distinction
/// (Compose allows capitals in services, and `_` at the end of projects).
fn component(name: &str) -> String {
    let as_it_is = Reference::parse(&format!("toolbox.local/{name}"));
    if name.len() <= MOST_KEPT && as_it_is.is_ok_and(|reference| reference.path() == name) {
        return name.to_owned();
    }
    let lower = name.to_lowercase();
    let kept: String = lower.chars().filter(char::is_ascii_alphanumeric).take(MOST_KEPT).collect();
    format!("{kept}x{}", &hex::encode(Sha256::digest(name))[..8])
}

/// The name of a config or secret on a host, below `files/`: `<digest>-<uid>-<gid>-<mode octal>`.
pub fn file_name(object: &FileObject, mount: &FileMount) -> String {
    format!("{}-{}-{}-{:o}", object.digest, mount.uid, mount.gid, mount.mode)
}

#[cfg(test)]
mod tests;
