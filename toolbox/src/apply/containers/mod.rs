//! Walking the part of a plan that concerns networks, volumes and containers, and undoing it.
//!
//! Contract: [`Containers::stage`] does everything that touches nothing in charge, so that what can be refused is refused
//! there; [`Containers::flip`] puts the new containers in charge. A container that is replaced is kept until
//! [`Containers::finish`], under another name; on any failure or interruption before that
//! [`Containers::roll_back`] undoes in reverse what was done, so that the earlier containers are in charge again. A
//! service that changes start-first is served all the way there, and all the way back. Created networks, volumes, files
//! and images stay: they hold nothing, or what a person may still want. Absent on purpose: any decision (`plan`).

mod error;
mod files;
mod health;
mod hook;
mod leave;
mod relay;
mod stage;
mod swap;
mod undo;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;

use crate::compose::Project;
use crate::engine::{Engine, EngineError};
use crate::plan::{Action, Operation, Plan};

use super::event::Events;
pub use error::ApplyError;
pub use health::{Patience, Unwell, Wanted, wait};
use leave::{Gone, Leaving};
use undo::{Step, gone_already};

/// Turns true when a person interrupts.
pub type Interrupt = watch::Receiver<bool>;

/// How a plan is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bounds each wait for a container or a hook.
    pub timeout: Duration,
    /// The deploy that makes the containers.
    pub release: Option<String>,
}

/// Carries out the container operations of one plan on one host.
pub struct Containers<'a, E> {
    engine: &'a E,
    project: &'a Project,
    plan: &'a Plan,
    events: &'a Events,
    options: Options,
    interrupt: Interrupt,
    /// Created and not in charge, by their final names.
    staged: BTreeMap<String, String>,
    /// Names of the containers that this run made, by id.
    names: BTreeMap<String, String>,
    undo: Vec<Step>,
    ledger: Ledger,
    /// What failed of services that ask for no rollback.
    failures: Vec<ApplyError>,
    /// Their names.
    held_back: BTreeSet<String>,
    /// Something was changed that was there before.
    touched: bool,
    /// The keeper was made, where the plan has one.
    has_keeper: bool,
    /// Where the keeper's volume is on the host, once it was asked for.
    mountpoint: Option<String>,
}

/// Who serves, who begins and who leaves.
#[derive(Debug, Clone, Default)]
struct Ledger {
    /// The ids of each service's containers that serve, or will as soon as they are well.
    live: BTreeMap<String, Vec<String>>,
    /// Service and id of what was started and not waited for.
    started: Vec<(String, String)>,
    /// Ids of what was seen to be well.
    well: BTreeSet<String>,
    /// To be stopped when the traffic of their service has moved.
    leaving: Vec<Leaving>,
    /// Stopped, to be removed at the end.
    gone: Vec<Gone>,
}

impl<'a, E: Engine> Containers<'a, E> {
    /// For one host.
    pub fn new(
        engine: &'a E,
        project: &'a Project,
        plan: &'a Plan,
        events: &'a Events,
        options: Options,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            engine,
            project,
            plan,
            events,
            options,
            interrupt,
            staged: BTreeMap::new(),
            names: BTreeMap::new(),
            undo: Vec::new(),
            ledger: Ledger { live: plan.running.clone(), ..Ledger::default() },
            failures: Vec::new(),
            held_back: BTreeSet::new(),
            touched: false,
            has_keeper: false,
            mountpoint: None,
        }
    }

    /// Puts what was staged in charge, and waits until what it started is well.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is undone yet: call [`Self::roll_back`], or [`Self::finish`] where it
    /// [`ApplyError::keeps`].
    pub async fn flip(&mut self) -> Result<(), ApplyError> {
        for operation in &self.plan.operations {
            self.check_interrupt()?;
            self.operation(operation).await?;
        }
        for service in self.project.services.keys() {
            self.started_are_well(service).await?;
        }
        self.let_all_go().await?;
        if self.failures.is_empty() { Ok(()) } else { Err(self.kept().await) }
    }

    async fn operation(&mut self, operation: &Operation) -> Result<(), ApplyError> {
        self.touched |= touches(&operation.action);
        match &operation.action {
            Action::RunHook { service, when, index, .. } => self.hook(service, *when, *index).await,
            Action::CreateContainer { service, container, number } => self.create(service, container, *number).await,
            Action::ReplaceContainers { service, order, delay, batch, .. } => {
                self.wait_between(service, *delay).await?;
                self.replace(service, *order, batch).await
            }
            Action::CreateRelay { service, relay, replaces, .. } => {
                self.create_relay(service, relay, replaces.as_deref()).await
            }
            Action::SwitchRelay { service, .. } => self.switch_and_let_go(service).await,
            Action::RetireRelay { service, relay, id } => self.retire_relay(service, relay, id).await,
            Action::StartContainer { service, container, id } => self.start_again(service, container, id).await,
            Action::StopContainer { service, container, id } => self.stop_ahead(service, container, id).await,
            Action::RemoveContainer { service, container, id, volumes } => {
                self.remove(operation, service.as_deref(), container, id, *volumes).await
            }
            Action::RemoveNetwork { name } => {
                self.step(&format!("remove network {name}"), self.engine.remove_network(name)).await
            }
            Action::RemoveVolume { name } => {
                self.step(&format!("remove volume {name}"), self.engine.remove_volume(name)).await
            }
            Action::RemovePin { reference } => {
                let removal = async { self.engine.untag(&reference.full()).await.or_else(gone_already) };
                self.step(&format!("remove image name {}", reference.familiar()), removal).await
            }
            _ => Ok(()),
        }
    }

    /// The end of a deploy of which something failed that is not rolled back.
    async fn kept(&mut self) -> ApplyError {
        self.discard_staged().await;
        ApplyError::Kept { failures: std::mem::take(&mut self.failures) }
    }
}

/// Says what was asked when the engine refused.
fn refused<T>(what: &str, answer: Result<T, EngineError>) -> Result<T, ApplyError> {
    answer.map_err(|error| ApplyError::Engine { what: what.to_owned(), error })
}

/// It changes more than what `stage` has made.
fn touches(action: &Action) -> bool {
    !matches!(
        action,
        Action::InstallEngine
            | Action::StartEngine
            | Action::ChangeSettings { .. }
            | Action::Reboot
            | Action::PushImage { .. }
            | Action::CreateNetwork { .. }
            | Action::CreateVolume { .. }
            | Action::TagImage { .. }
            | Action::CreateKeeper { .. }
            | Action::StoreFiles { .. }
    )
}

#[cfg(test)]
mod tests;
