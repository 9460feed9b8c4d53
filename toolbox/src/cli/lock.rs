//! The project's lock on a host, for verbs that change what is there.

use std::time::Duration;

use crate::apply::{Lock, acquire};
use crate::engine::Docker;
use crate::plan::keeper_name;
use crate::release::who;
use crate::state::{ObservedContainer, Role};

use super::failure::Failure;

/// How long a keeper that runs on a busy host may take to answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Takes the lock, which is in the keeper; `None` where no keeper runs, and so nothing that another run could change.
///
/// # Errors
/// Another run holds it, and has done so for `wait`.
pub(super) async fn lock<'a>(
    engine: &Docker,
    containers: impl IntoIterator<Item = &'a ObservedContainer>,
    project: &str,
    wait: Duration,
) -> Result<Option<Lock>, Failure> {
    let mut containers = containers.into_iter();
    let running = containers.any(|c| c.project.as_deref() == Some(project) && c.role == Role::Keeper && c.is_running());
    if !running {
        return Ok(None);
    }
    let locked = acquire(engine, &keeper_name(project), &who(), wait, PATIENCE).await;
    locked.map(Some).map_err(|e| Failure::of(&e, e.hint()))
}

/// Gives it back.
pub(super) async fn unlock(lock: Option<Lock>) {
    if let Some(lock) = lock {
        lock.release().await;
    }
}
