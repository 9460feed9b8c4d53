//! Every step that changes a host, and how it is taken back.
//!
//! Contract: the way back is on record before the step is taken, and taking back what was not done does no harm. Steps
//! are taken back in reverse, so that a service is served on the way back as on the way there: the earlier container
//! runs and is well before its relay is switched back, and only then does the new one go. Once a step of a service
//! cannot be taken back its earlier ones stay too, as they would take away the container that is in charge.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::compose::RestartPolicy;
use crate::engine::{Engine, EngineError};

use super::super::event::What;
use super::super::relay::{Relay, Routes};
use super::Containers;
use super::health::{self, Unwell, Wanted};

/// How to take one step back.
#[derive(Debug, Clone)]
pub(super) enum Undo {
    /// Remove a container that this run created.
    Remove { id: String },
    /// Give a container the name that it had.
    Rename { id: String, name: String },
    /// Start a container that this run stopped; with `well` wait until it is.
    Start { id: String, name: String, well: bool },
    /// Stop a container that this run started.
    Stop { id: String, grace: Option<Duration> },
    /// Send a relay's connections where they went before.
    Switch { relay: String, routes: Routes },
}

/// One step of one service's change.
#[derive(Debug, Clone)]
pub(super) struct Step {
    service: String,
    undo: Undo,
}

impl<E: Engine> Containers<'_, E> {
    /// On record before it happens.
    pub(super) fn note(&mut self, service: &str, undo: Undo) {
        self.undo.push(Step { service: service.to_owned(), undo });
    }

    /// Takes back every step in reverse; `Ok(false)` where nothing was touched that was there before.
    ///
    /// # Errors
    /// The first failure, after trying every step that others do not forbid: a person is needed.
    pub async fn roll_back(mut self) -> Result<bool, EngineError> {
        let touched = self.touched;
        self.take_back_to(0).await.map(|()| touched)
    }

    /// Takes back the steps after the first `mark`.
    pub(super) async fn take_back_to(&mut self, mark: usize) -> Result<(), EngineError> {
        let mut first_error = None;
        let mut left = BTreeSet::new();
        for step in self.undo.split_off(mark).into_iter().rev() {
            if left.contains(&step.service) {
                continue;
            }
            if let Err(error) = self.take_back(&step).await {
                if !matches!(step.undo, Undo::Remove { .. }) {
                    left.insert(step.service);
                }
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    async fn take_back(&self, step: &Step) -> Result<(), EngineError> {
        match &step.undo {
            Undo::Remove { id } => self.engine.remove(id, true).await.or_else(gone_already),
            Undo::Rename { id, name } => self.engine.rename(id, name).await.or_else(already_named),
            Undo::Stop { id, grace } => self.engine.stop(id, *grace).await.or_else(gone_already),
            Undo::Start { id, name, well } => {
                self.events.send(What::Note(format!("bringing back the earlier {name}")));
                self.engine.start(id).await?;
                if *well { self.well_again(step, id, name).await } else { Ok(()) }
            }
            Undo::Switch { relay, routes } => {
                let relay = Relay::new(self.engine, relay);
                let leaving = relay.switch(routes).await?;
                relay.drain(&leaving, self.drain_limit(&step.service)).await.map(drop)
            }
        }
    }

    async fn well_again(&self, step: &Step, id: &str, name: &str) -> Result<(), EngineError> {
        let service = self.project.services.get(&step.service);
        let restart = service.map_or(RestartPolicy::UnlessStopped, |s| s.restart);
        let patience = self.patience(&step.service);
        let reason = match health::wait(self.engine, id, restart, Wanted::Well, patience).await? {
            Ok(()) => return Ok(()),
            Err(Unwell::Failed(reason)) => reason,
            Err(Unwell::TimedOut(state)) => format!("{state} after {} s", patience.limit.as_secs()),
        };
        let what = format!("bringing back the earlier {name}");
        Err(EngineError::Refused { what, message: reason, status: 0 })
    }
}

pub(super) fn gone_already(error: EngineError) -> Result<(), EngineError> {
    if error.is_not_found() { Ok(()) } else { Err(error) }
}

/// Renaming a container to the name that it has is refused: there is nothing to move.
pub(super) fn already_named(error: EngineError) -> Result<(), EngineError> {
    match &error {
        EngineError::Refused { message, .. } if message.contains("same name") => Ok(()),
        _ => Err(error),
    }
}
