//! Waiting for containers, never past an interrupt.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::compose::{Condition, RestartPolicy, Service};
use crate::engine::{Engine, EngineError};

use super::health::{self, Patience, Unwell, Wanted};
use super::{ApplyError, Containers, refused};

/// Lines of a failed container's log that are shown.
const LOG_LINES: usize = 20;
/// Lines of a health check's output that are shown.
const HEALTH_LINES: usize = 10;

impl<E: Engine> Containers<'_, E> {
    /// Waits for what the service asks for of its dependencies, also of those that this run did not touch.
    pub(super) async fn wait_for_dependencies(&mut self, service: &Service) -> Result<(), ApplyError> {
        for (name, dependency) in &service.depends_on {
            match dependency.condition {
                Condition::Started => {}
                Condition::Healthy => self.settle(name).await?,
                Condition::CompletedSuccessfully => {
                    let ids = self.ledger.live.get(name).cloned().unwrap_or_default();
                    self.wait(name, &ids, Wanted::Completed).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until all containers of the service are well, those of earlier runs too.
    pub(super) async fn settle(&mut self, service: &str) -> Result<(), ApplyError> {
        let ids = self.ledger.live.get(service).cloned().unwrap_or_default();
        let ids: Vec<String> = ids.into_iter().filter(|id| !self.ledger.well.contains(id)).collect();
        self.all_well(service, &ids).await
    }

    /// Waits until the containers of the service that this run started are well.
    pub(super) async fn started_are_well(&mut self, service: &str) -> Result<(), ApplyError> {
        let started = self.ledger.started.iter().filter(|(s, _)| s == service).map(|(_, id)| id.clone());
        let ids: Vec<String> = started.filter(|id| !self.ledger.well.contains(id)).collect();
        self.all_well(service, &ids).await
    }

    /// Waits until these containers of the service are well.
    pub(super) async fn all_well(&mut self, service: &str, ids: &[String]) -> Result<(), ApplyError> {
        let wanted = if self.plan.relays.contains_key(service) { Wanted::Serving } else { Wanted::Well };
        self.wait(service, ids, wanted).await?;
        self.ledger.well.extend(ids.iter().cloned());
        Ok(())
    }

    async fn wait(&self, service: &str, ids: &[String], wanted: Wanted) -> Result<(), ApplyError> {
        if ids.is_empty() {
            return Ok(());
        }
        let label = match wanted {
            Wanted::Completed => format!("wait until {service} has completed"),
            Wanted::Well | Wanted::Serving => format!("wait until {service} is healthy"),
        };
        let waits = ids.iter().map(|id| self.wait_for_one(service, id, wanted, &label));
        let all = async { self.or_interrupted(try_join_all(waits)).await?.map(drop) };
        self.events.step(&label, all).await
    }

    async fn wait_for_one(&self, service: &str, id: &str, wanted: Wanted, label: &str) -> Result<(), ApplyError> {
        let restart = self.project.services.get(service).map_or(RestartPolicy::No, |s| s.restart);
        let waited = health::wait(self.engine, id, restart, wanted, self.patience(service)).await;
        match refused(label, waited)? {
            Ok(()) => Ok(()),
            Err(unwell) => Err(self.unwell(service, id, unwell).await),
        }
    }

    async fn unwell(&self, service: &str, id: &str, unwell: Unwell) -> ApplyError {
        let reason = match unwell {
            Unwell::Failed(reason) => reason,
            Unwell::TimedOut(state) => format!("{state} after {} s", self.options.timeout.as_secs()),
        };
        let output = self.engine.status(id).await.map(|s| s.health_output).unwrap_or_default();
        let health = output.trim_end().lines().take(HEALTH_LINES).map(str::to_owned).collect();
        let container = self.names.get(id).cloned().unwrap_or_else(|| id.chars().take(12).collect());
        ApplyError::Unwell { service: service.to_owned(), container, reason, health, log: self.last_lines(id).await }
    }

    /// What a container wrote last; nothing where it cannot be asked.
    pub(super) async fn last_lines(&self, container: &str) -> Vec<String> {
        self.engine.logs(container, LOG_LINES).await.unwrap_or_default()
    }

    /// How long is waited for a container of this service.
    pub(super) fn patience(&self, service: &str) -> Patience {
        Patience::with(self.project.services.get(service), self.options.timeout)
    }

    /// Waits between two batches.
    pub(super) async fn wait_between(&self, service: &str, delay: Duration) -> Result<(), ApplyError> {
        if delay.is_zero() {
            return Ok(());
        }
        let label = format!("wait {} s before the next container of {service}", delay.as_secs_f32());
        let waited = self.or_interrupted(tokio::time::sleep(delay));
        self.events.step(&label, waited).await
    }

    /// Gives up waiting when a person interrupts.
    pub(super) async fn or_interrupted<T>(&self, wait: impl Future<Output = T>) -> Result<T, ApplyError> {
        let mut interrupt = self.interrupt.clone();
        tokio::select! {
            done = wait => Ok(done),
            Ok(_) = interrupt.wait_for(|i| *i) => Err(ApplyError::Interrupted),
        }
    }

    pub(super) fn check_interrupt(&self) -> Result<(), ApplyError> {
        if *self.interrupt.borrow() { Err(ApplyError::Interrupted) } else { Ok(()) }
    }

    /// One step between its two events.
    pub(super) async fn step<T>(
        &self,
        label: &str,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, ApplyError> {
        refused(label, self.events.step(label, work).await)
    }
}
