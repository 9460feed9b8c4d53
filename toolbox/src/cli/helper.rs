//! The helper program, which relays and keepers run: where it is, and the image that is made from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::apply::{Supply, desired, find, spool_tarball};
use crate::image::{HelperImage, Reference};
use crate::plan::DesiredImage;

use super::failure::{Failure, Failures};

/// Names that the program may have beside this one; the second is the one in the toolbox's own image.
const NAMES: [&str; 2] = ["toolbox-relay", "relay"];

/// The helper image.
pub(super) struct Helper {
    /// What a plan needs to know of it.
    pub(super) image: Arc<DesiredImage>,
    /// Itself.
    pub(super) supply: Arc<Supply>,
}

impl Helper {
    /// The image's name, where the program is found.
    pub(super) fn reference() -> Option<Reference> {
        let program = std::fs::read(path()?).ok()?;
        HelperImage::of(&program).ok().map(|made| made.reference)
    }

    /// Finds the program, by `TOOLBOX_RELAY` or beside this one, and makes its image in `cache`.
    ///
    /// # Errors
    /// It is not there, or there is no room.
    pub(super) async fn find(cache: &Path) -> Result<Self, Failures> {
        let path = path().ok_or_else(missing)?;
        let name = path.display().to_string();
        let failed = |why: &dyn std::fmt::Display, hint| {
            Failures::configuration(vec![Failure::text(format!("{name}: {why}"), hint)])
        };
        let program = std::fs::read(&path).map_err(|e| failed(&e, None))?;
        let made = HelperImage::of(&program).map_err(|e| failed(&e, e.hint()))?;
        let spool = spool_tarball(made.tarball, &name, cache).await.map_err(|e| failed(&e, e.hint()))?;
        let image = find(&spool, &made.reference).ok_or_else(missing)?;
        let image = Arc::new(desired(made.reference, image));
        Ok(Self { image, supply: Arc::new(Supply::of(spool)) })
    }
}

fn path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("TOOLBOX_RELAY") {
        return Some(path.into());
    }
    let own = std::env::current_exe().ok()?;
    NAMES.iter().map(|name| own.with_file_name(name)).find(|path| path.is_file())
}

fn missing() -> Failures {
    let message = "the program toolbox-relay is not there, which moves connections from old containers to new ones";
    let hint = "put it beside the toolbox program, or set TOOLBOX_RELAY to its path; the toolbox image holds it";
    Failures::configuration(vec![Failure::text(message.into(), Some(hint.into()))])
}
