//! The keeper, which has to be there before the lock that is in it.
//!
//! Contract: before the lock is ours a keeper is made where none runs; one that runs goes only while its lock is ours.

use crate::engine::{Docker, Engine as _};
use crate::plan::{Action, keeper_name};
use crate::ui::Outcome;

use super::super::super::failure::Failure;
use super::{Ended, HostRun};

impl HostRun<'_> {
    pub(super) async fn make_keeper(&self, engine: &Docker) -> Result<(), Ended> {
        self.containers(engine, None).make_keeper().await.map_err(|e| self.ended(&e))
    }

    pub(super) fn replaces_keeper(&self) -> bool {
        let keeper = keeper_name(&self.wanted.project.name);
        let mut actions = self.plan.operations.iter().map(|operation| &operation.action);
        actions.any(|action| matches!(action, Action::RemoveContainer { container, .. } if *container == keeper))
    }

    /// A lock ends with its keeper: one that runs goes only while its lock is ours, so that it is nobody else's.
    pub(super) async fn replace_keeper(&self, engine: &Docker) -> Result<(), Ended> {
        let keeper = keeper_name(&self.wanted.project.name);
        let state = match engine.status(&keeper).await {
            Ok(status) => status.state,
            Err(error) if error.is_not_found() => "gone".to_owned(),
            Err(error) => return Err(self.failed(Outcome::FailedUntouched, &error, error.hint())),
        };
        let held = match state.as_str() {
            "running" => Some(self.lock(engine).await?),
            "paused" => return Err(self.paused(&keeper)),
            _ => None,
        };
        let made = self.make_keeper(engine).await;
        drop(held);
        made
    }

    /// Whoever has the lock in it cannot be asked.
    fn paused(&self, keeper: &str) -> Ended {
        let message =
            format!("{}: the keeper {keeper} is paused, and may hold the lock of another deploy", self.plan.host);
        let hint = format!("let it go on, on the host: docker unpause {keeper}");
        (Outcome::FailedUntouched, Some(Failure::text(message, Some(hint))))
    }
}
