//! New containers in, old ones out.
//!
//! Contract: start-first, the new containers of a batch run and are well before traffic moves to them; then the old ones
//! end their connections and stop. Stop-first, the old ones stop before the new ones start. Both wait until the batch is
//! well. What a batch that fails has done is taken back at once where the service asks for no rollback of everything.

use futures_util::future::try_join_all;

use crate::compose::{FailureAction, UpdateOrder};
use crate::engine::Engine;
use crate::plan::{Action, Cause, Operation, Replacement, parked_name, relay_name, staged_name};

use super::super::event::What;
use super::undo::Undo;
use super::{ApplyError, Containers, refused};

/// A container and its successor, which is created and not started.
struct Pair<'p> {
    old: &'p Replacement,
    new: String,
}

impl<E: Engine> Containers<'_, E> {
    /// A container where there was none.
    pub(super) async fn create(&mut self, service: &str, container: &str, number: u32) -> Result<(), ApplyError> {
        self.wait_for_dependencies(&self.project.services[service]).await?;
        let id = self.created(service, container, number, None).await?;
        self.named(service, &id, container).await?;
        self.start(service, &id, container).await?;
        self.joins(service, &id);
        Ok(())
    }

    /// A container that is as it should be, and does not run.
    pub(super) async fn start_again(&mut self, service: &str, container: &str, id: &str) -> Result<(), ApplyError> {
        if container == relay_name(self.project, service) {
            self.start_relay(service, container, id).await?;
            return self.switch_and_let_go(service).await;
        }
        self.start(service, id, container).await?;
        self.joins(service, id);
        Ok(())
    }

    /// One batch, by the rules of the service for what happens when it fails.
    pub(super) async fn replace(
        &mut self,
        service: &str,
        order: UpdateOrder,
        batch: &[Replacement],
    ) -> Result<(), ApplyError> {
        let (mark, before, staged) = (self.undo.len(), self.ledger.clone(), self.staged.clone());
        let done = match order {
            UpdateOrder::StartFirst => self.start_first(service, batch).await,
            UpdateOrder::StopFirst => self.stop_first(service, batch).await,
        };
        let action = self.failure_action(service);
        match done {
            Err(error) if action != FailureAction::Rollback && error.is_of_a_container() => {
                refused(&format!("taking back {service}"), self.take_back_to(mark).await)?;
                (self.ledger, self.staged) = (before, staged);
                self.events.send(What::Note(format!("{service} stays as it was, and the deploy will not succeed")));
                self.failures.push(error);
                self.held_back.insert(service.to_owned());
                if action == FailureAction::Pause { Err(self.kept().await) } else { Ok(()) }
            }
            done => done,
        }
    }

    /// Where a relay comes or goes, containers of before and after cannot be mixed: it is everything or nothing. The same
    /// holds for what was stopped or removed before the batch.
    fn failure_action(&self, name: &str) -> FailureAction {
        let goes = |o: &Operation| match &o.action {
            Action::RetireRelay { service, .. } | Action::StopContainer { service, .. } => service == name,
            Action::RemoveContainer { service, .. } => service.as_deref() == Some(name) && o.cause == Cause::NeverWell,
            _ => false,
        };
        if self.relay_follows(name) || self.plan.operations.iter().any(goes) {
            return FailureAction::Rollback;
        }
        self.project.services[name].update.failure_action
    }

    async fn start_first(&mut self, service: &str, batch: &[Replacement]) -> Result<(), ApplyError> {
        self.wait_for_dependencies(&self.project.services[service]).await?;
        let pairs = self.pairs(service, batch).await?;
        self.exchange_names(service, &pairs).await?;
        self.start_and_wait(service, &pairs).await?;
        self.exchange_live(service, &pairs);
        self.all_leave(service, &pairs).await;
        // Until the relay stands ready that knows the new ones, the old ones serve.
        if self.relay_follows(service) { Ok(()) } else { self.let_go(service).await }
    }

    /// Before such a service no relay stands.
    async fn stop_first(&mut self, service: &str, batch: &[Replacement]) -> Result<(), ApplyError> {
        self.wait_for_dependencies(&self.project.services[service]).await?;
        let pairs = self.pairs(service, batch).await?;
        self.exchange_names(service, &pairs).await?;
        self.all_leave(service, &pairs).await;
        self.let_go(service).await?;
        self.start_and_wait(service, &pairs).await?;
        self.exchange_live(service, &pairs);
        Ok(())
    }

    async fn pairs<'p>(&mut self, service: &str, batch: &'p [Replacement]) -> Result<Vec<Pair<'p>>, ApplyError> {
        let mut pairs = Vec::new();
        for old in batch {
            let new = self.created(service, &old.container, old.number, Some(&old.replaces)).await?;
            pairs.push(Pair { old, new });
        }
        Ok(pairs)
    }

    async fn exchange_names(&mut self, service: &str, pairs: &[Pair<'_>]) -> Result<(), ApplyError> {
        for Pair { old, new } in pairs {
            self.park(service, &old.replaces, &old.replaced_name, &old.container).await?;
            self.named(service, new, &old.container).await?;
        }
        Ok(())
    }

    /// Gives a staged container its final name.
    async fn named(&mut self, service: &str, id: &str, container: &str) -> Result<(), ApplyError> {
        self.note(service, Undo::Rename { id: id.to_owned(), name: staged_name(container) });
        refused(&format!("naming container {container}"), self.engine.rename(id, container).await)
    }

    async fn start(&mut self, service: &str, id: &str, container: &str) -> Result<(), ApplyError> {
        self.note(service, Undo::Stop { id: id.to_owned(), grace: None });
        self.step(&format!("start container {container}"), self.engine.start(id)).await
    }

    async fn start_and_wait(&mut self, service: &str, pairs: &[Pair<'_>]) -> Result<(), ApplyError> {
        for Pair { new, .. } in pairs {
            self.note(service, Undo::Stop { id: new.clone(), grace: None });
        }
        let this = &*self;
        let starts = pairs.iter().map(async |Pair { old, new }: &Pair<'_>| {
            this.step(&format!("start container {}", old.container), this.engine.start(new)).await
        });
        try_join_all(starts).await?;
        let ids: Vec<String> = pairs.iter().map(|p| p.new.clone()).collect();
        self.all_well(service, &ids).await
    }

    async fn all_leave(&mut self, service: &str, pairs: &[Pair<'_>]) {
        for Pair { old, .. } in pairs {
            let parked = parked_name(&old.replaces, &old.container);
            // A run that was killed parked it: it ran before that, and shall again where this run fails.
            let ran = old.replaced_name == parked;
            self.leaves(service, &parked, &old.replaces, false, ran).await;
        }
    }

    fn exchange_live(&mut self, service: &str, pairs: &[Pair<'_>]) {
        let live = self.ledger.live.entry(service.to_owned()).or_default();
        live.retain(|id| pairs.iter().all(|p| p.old.replaces != *id));
        live.extend(pairs.iter().map(|p| p.new.clone()));
    }

    /// The container serves, or will as soon as it is well.
    fn joins(&mut self, service: &str, id: &str) {
        let live = self.ledger.live.entry(service.to_owned()).or_default();
        if !live.iter().any(|l| l == id) {
            live.push(id.to_owned());
        }
        self.ledger.started.push((service.to_owned(), id.to_owned()));
    }

    /// Two containers of the service may run at once.
    pub(super) fn starts_first(&self, service: &str) -> bool {
        self.plan.relays.contains_key(service)
            || self.plan.operations.iter().any(|o| match &o.action {
                Action::ReplaceContainers { service: s, order, .. } => {
                    s == service && *order == UpdateOrder::StartFirst
                }
                _ => false,
            })
    }

    /// The plan creates a relay before the service.
    pub(super) fn relay_follows(&self, name: &str) -> bool {
        let creates = |a: &Action| matches!(a, Action::CreateRelay { service, .. } if service == name);
        self.plan.operations.iter().any(|o| creates(&o.action))
    }

    /// A new container of the plan will have this name.
    pub(super) fn wants_name(&self, name: &str) -> bool {
        self.plan.operations.iter().any(|o| match &o.action {
            Action::ReplaceContainers { batch, .. } => batch.iter().any(|r| r.container == name),
            Action::CreateContainer { container, .. } => container == name,
            _ => false,
        })
    }
}
