//! Containers on their way out.
//!
//! Contract: a container that may serve somebody is stopped only when the traffic has moved from it and its connections
//! have ended, and it is removed only when the whole deploy has succeeded. Until then it carries a parked name.

use futures_util::future::try_join_all;

use crate::engine::Engine;
use crate::plan::{Action, Cause, Operation, keeper_name, parked_name};

use super::undo::{Undo, already_named, gone_already};
use super::{ApplyError, Containers, refused};

/// A container that nobody needs once the new ones are in charge.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    pub(super) service: String,
    /// The name that it has until it is removed.
    pub(super) container: String,
    pub(super) id: String,
    /// Its anonymous volumes go too.
    pub(super) volumes: bool,
    /// It ran before this run, or before an earlier one was killed; with whether it was well.
    pub(super) ran: Option<bool>,
}

/// A stopped container that the end of the deploy removes.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    container: String,
    id: String,
    volumes: bool,
}

impl Leaving {
    /// The name under which people know it.
    fn name(&self) -> &str {
        self.container.strip_prefix(&parked_name(&self.id, "")).unwrap_or(&self.container)
    }
}

impl<E: Engine> Containers<'_, E> {
    /// A plan's removal of a container.
    pub(super) async fn remove(
        &mut self,
        operation: &Operation,
        service: Option<&str>,
        container: &str,
        id: &str,
        volumes: bool,
    ) -> Result<(), ApplyError> {
        match operation.cause {
            // A person takes the project down: networks and volumes follow, and nothing comes back.
            Cause::Asked => self.remove_now(container, id, volumes).await,
            // Done while staging.
            Cause::NeverInCharge => Ok(()),
            _ if container == keeper_name(&self.project.name) => Ok(()),
            Cause::NeverWell => self.never_well(container, id, volumes).await,
            Cause::LeftOver => self.left_over(service, container, id, volumes).await,
            _ => self.scale_down(service, container, id, volumes).await,
        }
    }

    pub(super) async fn remove_now(&self, container: &str, id: &str, volumes: bool) -> Result<(), ApplyError> {
        let removal = async {
            self.engine.stop(id, None).await.or_else(gone_already)?;
            self.engine.remove(id, volumes).await.or_else(gone_already)
        };
        self.step(&format!("remove container {container}"), removal).await
    }

    /// Whatever fails from here on, what was stopped for it comes back instead.
    async fn never_well(&mut self, container: &str, id: &str, volumes: bool) -> Result<(), ApplyError> {
        for operation in &self.plan.operations {
            let Action::ReplaceContainers { service, batch, .. } = &operation.action else { continue };
            for earlier in batch.iter().filter(|one| one.container == container) {
                let (id, name) = (earlier.replaces.clone(), container.to_owned());
                self.note(service, Undo::Start { id, name, well: false });
            }
        }
        self.remove_now(container, id, volumes).await
    }

    /// Another service needs a port of it before its own turn comes.
    pub(super) async fn stop_ahead(&mut self, service: &str, container: &str, id: &str) -> Result<(), ApplyError> {
        if self.ran(id).await.is_some() {
            let (id, name) = (id.to_owned(), container.to_owned());
            self.note(service, Undo::Start { id, name, well: false });
        }
        self.step(&format!("stop container {container}"), self.engine.stop(id, None)).await
    }

    /// It may be the last that works: it stays until the new ones are in charge, except where two at once do harm.
    async fn left_over(
        &mut self,
        service: Option<&str>,
        container: &str,
        id: &str,
        volumes: bool,
    ) -> Result<(), ApplyError> {
        let service = service.unwrap_or(container);
        self.exits(service, id);
        let name = if self.wants_name(container) {
            self.park(service, id, container, container).await?
        } else {
            container.to_owned()
        };
        self.leaves(service, &name, id, volumes, false).await;
        if self.starts_first(service) { Ok(()) } else { self.let_go(service).await }
    }

    async fn scale_down(
        &mut self,
        service: Option<&str>,
        container: &str,
        id: &str,
        volumes: bool,
    ) -> Result<(), ApplyError> {
        let service = service.unwrap_or(container);
        self.exits(service, id);
        self.leaves(service, container, id, volumes, false).await;
        self.let_go(service).await
    }

    /// It gets no new connections any more once the relay hears of it.
    fn exits(&mut self, service: &str, id: &str) {
        if let Some(live) = self.ledger.live.get_mut(service) {
            live.retain(|l| l != id);
        }
    }

    /// Moves a container out of the way of its successor's name; returns the name that it has then. `name` is what it
    /// is called now, `container` what it shall be called again on the way back.
    pub(super) async fn park(
        &mut self,
        service: &str,
        id: &str,
        name: &str,
        container: &str,
    ) -> Result<String, ApplyError> {
        let parked = parked_name(id, container);
        let name = if name == parked { container } else { name };
        self.note(service, Undo::Rename { id: id.to_owned(), name: name.to_owned() });
        let renamed = self.engine.rename(id, &parked).await.or_else(already_named);
        refused(&format!("putting container {name} aside"), renamed)?;
        Ok(parked)
    }

    /// The container goes as soon as the service's traffic has moved. `ran`: it ran before an earlier run was killed.
    pub(super) async fn leaves(&mut self, service: &str, container: &str, id: &str, volumes: bool, ran: bool) {
        let ran = self.ran(id).await.or(ran.then_some(false));
        let (service, container, id) = (service.to_owned(), container.to_owned(), id.to_owned());
        self.ledger.leaving.push(Leaving { service, container, id, volumes, ran });
    }

    /// `None` for a container that does not run; else whether it is well. One that cannot be asked may run.
    pub(super) async fn ran(&self, id: &str) -> Option<bool> {
        match self.engine.status(id).await {
            Ok(status) => match status.state.as_str() {
                "running" => Some(status.health.as_deref().is_none_or(|h| h == "healthy")),
                "restarting" | "paused" => Some(false),
                _ => None,
            },
            Err(error) => (!error.is_not_found()).then_some(false),
        }
    }

    /// Traffic moves to the containers of the service as they are now, and those that leave it stop.
    pub(super) async fn switch_and_let_go(&mut self, service: &str) -> Result<(), ApplyError> {
        if self.relay_runs(service).await? {
            self.switch(service).await?;
        }
        self.let_go(service).await
    }

    /// Those that leave the service end their connections and stop. Before that its relay sends elsewhere.
    pub(super) async fn let_go(&mut self, service: &str) -> Result<(), ApplyError> {
        let all = std::mem::take(&mut self.ledger.leaving).into_iter();
        let (leaving, staying): (Vec<_>, Vec<_>) = all.partition(|l| l.service == service);
        self.ledger.leaving = staying;
        if leaving.is_empty() {
            return Ok(());
        }
        let others = self.ledger.live.get(service).is_some_and(|live| !live.is_empty());
        if others && self.relay_runs(service).await? {
            self.switch(service).await?;
            self.drain(service, leaving.iter().map(|l| l.id.as_str())).await?;
        }
        self.stop_all(service, &leaving).await?;
        leaving.iter().for_each(|l| self.goes(&l.container, &l.id, l.volumes));
        Ok(())
    }

    async fn stop_all(&mut self, service: &str, leaving: &[Leaving]) -> Result<(), ApplyError> {
        let waits = self.starts_first(service);
        for one in leaving {
            if let Some(was_well) = one.ran {
                let (id, name) = (one.id.clone(), one.name().to_owned());
                self.note(service, Undo::Start { id, name, well: waits && was_well });
            }
        }
        let this = &*self;
        let stops = leaving.iter().map(async |l: &Leaving| {
            this.step(&format!("stop container {}", l.name()), this.engine.stop(&l.id, None)).await
        });
        try_join_all(stops).await.map(drop)
    }

    /// The same for every service.
    pub(super) async fn let_all_go(&mut self) -> Result<(), ApplyError> {
        while let Some(leaving) = self.ledger.leaving.first() {
            let service = leaving.service.clone();
            self.let_go(&service).await?;
        }
        Ok(())
    }

    pub(super) fn goes(&mut self, container: &str, id: &str, volumes: bool) {
        self.ledger.gone.push(Gone { container: container.to_owned(), id: id.to_owned(), volumes });
    }

    /// Removes what was replaced; to be called when everything else has succeeded, or was [`ApplyError::keeps`].
    ///
    /// # Errors
    /// [`ApplyError::Left`], naming all that stay.
    pub async fn finish(self) -> Result<(), ApplyError> {
        let (mut names, mut first) = (Vec::new(), None);
        for gone in self.ledger.gone {
            match self.engine.remove(&gone.id, gone.volumes).await {
                Err(error) if !error.is_not_found() => {
                    names.push(gone.container);
                    first.get_or_insert(error);
                }
                _ => {}
            }
        }
        first.map_or(Ok(()), |error| Err(ApplyError::Left { names, error }))
    }
}
