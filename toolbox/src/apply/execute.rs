//! Walking the part of a plan that concerns networks, volumes and containers, and undoing it.
//!
//! Contract: a container that is replaced is kept, stopped, under another name until the whole plan has succeeded; on
//! any failure or interruption what was done is undone in reverse, so that the earlier containers run again. Created
//! networks, volumes and images stay: they hold nothing, or what a person may still want.

use std::time::Duration;

use tokio::sync::watch;

use crate::compose::{Condition, Project, Service};
use crate::engine::{ContainerSpec, Engine, EngineError};
use crate::image::Reference;
use crate::plan::{Action, Cause, Operation, Plan, container_name};

use super::event::{Events, What};
use super::health::{self, Unwell, Wanted};

/// Lines of a failed container's log that are shown.
const LOG_LINES: usize = 20;

/// Turns true when a person interrupts.
pub type Interrupt = watch::Receiver<bool>;

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The engine refused.
    #[error("{what}: {error}")]
    Engine {
        /// The operation.
        what: String,
        /// What the engine said.
        error: EngineError,
    },
    /// A container did not come up.
    #[error("service {service} did not become healthy: {reason}{}", shown_log(log))]
    Unwell {
        /// The service.
        service: String,
        /// Why.
        reason: String,
        /// The container's last lines.
        log: Vec<String>,
    },
    /// A person interrupted.
    #[error("interrupted")]
    Interrupted,
}

fn shown_log(log: &[String]) -> String {
    match log {
        [] => "; its log is empty".into(),
        lines => format!("; the last lines of its log:\n    {}", lines.join("\n    ")),
    }
}

impl ApplyError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine { error, .. } => error.hint(),
            Self::Unwell { .. } => Some("fix the service, or give it more time with --timeout SECONDS".into()),
            Self::Interrupted => Some("the next deploy goes on from here".into()),
        }
    }
}

/// How to take one step back.
#[derive(Debug)]
enum Undo {
    /// Remove a container that this run created.
    Remove { id: String },
    /// Give a replaced container its name back and start it.
    Restore { id: String, name: String, was_running: bool },
    /// Stop a container that this run started.
    Stop { id: String },
}

/// Carries out the container operations of one plan.
pub struct Containers<'a, E> {
    engine: &'a E,
    project: &'a Project,
    events: &'a Events,
    timeout: Duration,
    interrupt: Interrupt,
    undo: Vec<Undo>,
    replaced: Vec<String>,
    started: Vec<(String, String)>,
}

impl<'a, E: Engine> Containers<'a, E> {
    /// For one host; `timeout` bounds each wait for a container.
    pub fn new(
        engine: &'a E,
        project: &'a Project,
        events: &'a Events,
        timeout: Duration,
        interrupt: Interrupt,
    ) -> Self {
        let (undo, replaced, started) = (Vec::new(), Vec::new(), Vec::new());
        Self { engine, project, events, timeout, interrupt, undo, replaced, started }
    }

    /// Carries the plan out, and waits until what it started is healthy.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is undone yet: call [`Self::roll_back`].
    pub async fn run(&mut self, plan: &Plan) -> Result<(), ApplyError> {
        for operation in &plan.operations {
            self.check_interrupt()?;
            self.operation(operation).await?;
        }
        for (service, id) in std::mem::take(&mut self.started) {
            self.wait(&service, &id, Wanted::Well).await?;
        }
        Ok(())
    }

    /// Removes what was replaced; to be called when everything else has succeeded.
    ///
    /// # Errors
    /// The engine's, naming the first container that stays.
    pub async fn finish(self) -> Result<(), ApplyError> {
        for id in &self.replaced {
            let removed = self.engine.remove(id, false).await;
            removed.map_err(|error| ApplyError::Engine { what: "removing a replaced container".into(), error })?;
        }
        Ok(())
    }

    /// Takes back every step in reverse; `Ok(false)` where there was none.
    ///
    /// # Errors
    /// The first failure, after trying every step: a person is needed.
    pub async fn roll_back(mut self) -> Result<bool, EngineError> {
        let mut first_error = None;
        let any = !self.undo.is_empty();
        for step in std::mem::take(&mut self.undo).into_iter().rev() {
            if let Err(error) = self.take_back(step).await {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(any), Err)
    }

    async fn operation(&mut self, operation: &Operation) -> Result<(), ApplyError> {
        let events = self.events.clone();
        match &operation.action {
            Action::InstallEngine | Action::StartEngine | Action::PushImage { .. } => Ok(()),
            Action::CreateNetwork { key, name } => {
                let label = format!("create network {name}");
                simple(&events, &label, self.engine.create_network(self.project, key)).await
            }
            Action::CreateVolume { key, name } => {
                let label = format!("create volume {name}");
                simple(&events, &label, self.engine.create_volume(self.project, key)).await
            }
            Action::RemoveNetwork { name } => {
                simple(&events, &format!("remove network {name}"), self.engine.remove_network(name)).await
            }
            Action::RemoveVolume { name } => {
                simple(&events, &format!("remove volume {name}"), self.engine.remove_volume(name)).await
            }
            // It may be the last that worked: it goes when everything else has succeeded.
            Action::RemoveContainer { container, id, .. } if operation.cause == Cause::LeftOver => {
                self.note_restore(id, container).await;
                simple(&events, &format!("stop container {container}"), self.engine.stop(id, None)).await?;
                self.replaced.push(id.clone());
                Ok(())
            }
            Action::RemoveContainer { container, id, volumes } => {
                let label = format!("remove container {container}");
                let removal = async {
                    self.engine.stop(id, None).await?;
                    self.engine.remove(id, *volumes).await
                };
                simple(&events, &label, removal).await
            }
            Action::CreateContainer { service, container } => self.create(service, container, None).await,
            Action::RecreateContainer { service, container, replaces, replaced_name } => {
                self.retire(container, replaces, replaced_name).await?;
                self.create(service, container, Some(replaces)).await
            }
            Action::StartContainer { service, container, id } => {
                simple(&events, &format!("start container {container}"), self.engine.start(id)).await?;
                self.undo.push(Undo::Stop { id: id.clone() });
                self.started.push((service.clone(), id.clone()));
                Ok(())
            }
        }
    }

    /// Stops the old container and moves it out of the way of its successor's name.
    async fn retire(&mut self, container: &str, id: &str, name: &str) -> Result<(), ApplyError> {
        let parked = format!("{}_{container}", &id[..id.len().min(12)]);
        if name == parked {
            // A run that was killed parked it: it ran before that, and shall again where this run fails.
            self.undo.push(Undo::Restore { id: id.to_owned(), name: container.to_owned(), was_running: true });
        } else {
            self.note_restore(id, name).await;
        }
        let events = self.events.clone();
        let retirement = async {
            self.engine.rename(id, &parked).await.or_else(already_named)?;
            self.engine.stop(id, None).await
        };
        simple(&events, &format!("stop container {name}"), retirement).await?;
        self.replaced.push(id.to_owned());
        Ok(())
    }

    /// On record before it happens: an undo of a step that was not taken does no harm.
    async fn note_restore(&mut self, id: &str, name: &str) {
        let was_running = self.engine.status(id).await.is_ok_and(|s| s.state == "running" || s.state == "restarting");
        self.undo.push(Undo::Restore { id: id.to_owned(), name: name.to_owned(), was_running });
    }

    async fn create(&mut self, name: &str, container: &str, successor_of: Option<&str>) -> Result<(), ApplyError> {
        let service = &self.project.services[name];
        self.wait_for_dependencies(service).await?;
        let events = self.events.clone();
        let image = Reference::parse(&service.image).map_or_else(|_| service.image.clone(), |r| r.familiar());
        let spec = ContainerSpec { project: self.project, service, name: container, image: &image, successor_of };
        let engine = self.engine;
        let undo = &mut self.undo;
        let creation = async {
            let id = engine.create_container(spec).await?;
            undo.push(Undo::Remove { id: id.clone() });
            engine.start(&id).await?;
            Ok(id)
        };
        let id = simple(&events, &format!("create container {container}"), creation).await?;
        self.started.push((name.to_owned(), id));
        Ok(())
    }

    /// Waits for what the service asks for of its dependencies, also of those that this run did not touch.
    async fn wait_for_dependencies(&mut self, service: &Service) -> Result<(), ApplyError> {
        for (name, dependency) in &service.depends_on {
            let wanted = match dependency.condition {
                Condition::Started => continue,
                Condition::Healthy => Wanted::Well,
                Condition::CompletedSuccessfully => Wanted::Completed,
            };
            let id = match self.started.iter().position(|(s, _)| s == name) {
                Some(index) => self.started.remove(index).1,
                None => match self.project.services.get(name) {
                    Some(service) => container_name(self.project, service),
                    // Not required, and not enabled.
                    None => continue,
                },
            };
            self.wait(name, &id, wanted).await?;
        }
        Ok(())
    }

    async fn wait(&mut self, service: &str, id: &str, wanted: Wanted) -> Result<(), ApplyError> {
        let label = match wanted {
            Wanted::Well => format!("wait until {service} is healthy"),
            Wanted::Completed => format!("wait until {service} has completed"),
        };
        let restart = self.project.services[service].restart;
        let mut interrupt = self.interrupt.clone();
        let waiting = async {
            let waited = health::wait(self.engine, id, restart, wanted, self.timeout);
            let waited = tokio::select! {
                waited = waited => waited,
                _ = interrupt.wait_for(|i| *i) => return Err(ApplyError::Interrupted),
            };
            match waited.map_err(|error| ApplyError::Engine { what: label.clone(), error })? {
                Ok(()) => Ok(()),
                Err(unwell) => Err(self.unwell(service, id, unwell).await),
            }
        };
        self.events.step(&label, waiting).await
    }

    async fn unwell(&self, service: &str, id: &str, unwell: Unwell) -> ApplyError {
        let reason = match unwell {
            Unwell::Failed(reason) => reason,
            Unwell::TimedOut(state) => format!("{state} after {} s", self.timeout.as_secs()),
        };
        let log = self.engine.logs(id, LOG_LINES).await.unwrap_or_default();
        ApplyError::Unwell { service: service.to_owned(), reason, log }
    }

    fn check_interrupt(&self) -> Result<(), ApplyError> {
        if *self.interrupt.borrow() { Err(ApplyError::Interrupted) } else { Ok(()) }
    }

    async fn take_back(&self, step: Undo) -> Result<(), EngineError> {
        match step {
            Undo::Remove { id } => self.engine.remove(&id, true).await,
            Undo::Stop { id } => self.engine.stop(&id, None).await,
            Undo::Restore { id, name, was_running } => {
                self.events.send(What::Note(format!("bringing back the earlier {name}")));
                self.engine.rename(&id, &name).await.or_else(already_named)?;
                if was_running { self.engine.start(&id).await } else { Ok(()) }
            }
        }
    }
}

/// Renaming a container to the name that it has is refused: there is nothing to move.
fn already_named(error: EngineError) -> Result<(), EngineError> {
    match &error {
        EngineError::Refused { message, .. } if message.contains("same name") => Ok(()),
        _ => Err(error),
    }
}

async fn simple<T>(
    events: &Events,
    label: &str,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, ApplyError> {
    let done = events.step(label, work).await;
    done.map_err(|error| ApplyError::Engine { what: label.to_owned(), error })
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
