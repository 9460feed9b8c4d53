//! Everything that can be done, and refused, before anything that is in charge is touched.
//!
//! Contract: networks, volumes, the keeper, files and names of images are made, and every new container that can be is
//! created under a name of its own, and not started.

use crate::compose::Service;
use crate::engine::{ContainerSpec, Engine, EngineError, HelperSpec, Purpose};
use crate::image::Reference;
use crate::plan::{Action, Cause, Operation, keeper_labels, keeper_name, staged_name};

use super::undo::Undo;
use super::{ApplyError, Containers};

impl<E: Engine> Containers<'_, E> {
    /// Makes everything ready, and touches nothing that is in charge.
    ///
    /// # Errors
    /// [`ApplyError`]; call [`Self::roll_back`], which removes what was created and may not stay.
    pub async fn stage(&mut self) -> Result<(), ApplyError> {
        self.make_keeper().await?;
        let operations = &self.plan.operations;
        for operation in operations {
            self.check_interrupt()?;
            self.make_ready(operation).await?;
        }
        for operation in operations {
            self.check_interrupt()?;
            self.stage_containers(operation).await?;
        }
        Ok(())
    }

    /// Makes the project's keeper, where the plan has one: the first part of [`Self::stage`], for who takes the lock that
    /// is in it before the rest.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn make_keeper(&mut self) -> Result<(), ApplyError> {
        let keeper = keeper_name(&self.project.name);
        if std::mem::replace(&mut self.has_keeper, true) {
            return Ok(());
        }
        for operation in &self.plan.operations {
            self.check_interrupt()?;
            match &operation.action {
                Action::CreateKeeper { name } => self.create_keeper(name).await?,
                Action::RemoveContainer { container, id, .. }
                    if *container == keeper && operation.cause != Cause::Asked =>
                {
                    self.remove_now(container, id, false).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn make_ready(&mut self, operation: &Operation) -> Result<(), ApplyError> {
        let (engine, project) = (self.engine, self.project);
        match &operation.action {
            Action::CreateNetwork { key, name } => {
                self.step(&format!("create network {name}"), engine.create_network(project, key)).await
            }
            Action::CreateVolume { key, name } => {
                self.step(&format!("create volume {name}"), engine.create_volume(project, key)).await
            }
            Action::TagImage { reference, id } => {
                self.step(&format!("tag image {}", reference.familiar()), engine.tag(id, reference)).await
            }
            Action::StoreFiles { configs, secrets } => self.store_files(configs, secrets).await,
            Action::RemoveContainer { container, id, .. } if operation.cause == Cause::NeverInCharge => {
                self.remove_now(container, id, true).await
            }
            _ => Ok(()),
        }
    }

    /// Another deploy that is the first too may have made it a moment ago.
    async fn create_keeper(&mut self, name: &str) -> Result<(), ApplyError> {
        let labels = keeper_labels(self.project);
        let spec = HelperSpec {
            name: name.to_owned(),
            image: self.plan.helper.clone(),
            command: vec!["keep".to_owned()],
            labels: labels.clone(),
            state_volume: Some(name.to_owned()),
            ..HelperSpec::default()
        };
        let creation = async {
            self.engine.create_plain_volume(name, &labels).await?;
            let id = match self.engine.create_helper(&spec).await {
                Err(EngineError::Refused { status: 409, .. }) => name.to_owned(),
                created => created?,
            };
            self.engine.start(&id).await
        };
        self.step(&format!("create keeper {name}"), creation).await
    }

    async fn stage_containers(&mut self, operation: &Operation) -> Result<(), ApplyError> {
        match &operation.action {
            Action::CreateContainer { service, container, number } => {
                self.stage_one(service, container, *number, None).await
            }
            Action::ReplaceContainers { service, batch, .. } => {
                for one in batch {
                    self.stage_one(service, &one.container, one.number, Some(&one.replaces)).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn stage_one(
        &mut self,
        service: &str,
        container: &str,
        number: u32,
        successor_of: Option<&str>,
    ) -> Result<(), ApplyError> {
        if shares_a_namespace(&self.project.services[service]) {
            return Ok(());
        }
        let id = self.created(service, container, number, successor_of).await?;
        self.staged.insert(container.to_owned(), id);
        Ok(())
    }

    /// A new container, staged already or made now; it does not run and has its name only for the time being.
    pub(super) async fn created(
        &mut self,
        service: &str,
        container: &str,
        number: u32,
        successor_of: Option<&str>,
    ) -> Result<String, ApplyError> {
        if let Some(id) = self.staged.remove(container) {
            return Ok(id);
        }
        let definition = &self.project.services[service];
        let files = self.file_binds(definition).await?;
        let spec = ContainerSpec {
            project: self.project,
            service: definition,
            name: &staged_name(container),
            final_name: container,
            number,
            image: &image(definition),
            successor_of,
            behind_relay: self.plan.relays.contains_key(service),
            files: &files,
            release: self.options.release.as_deref(),
            purpose: Purpose::Service,
        };
        let id = self.step(&format!("create container {container}"), self.engine.create_container(spec)).await?;
        self.note(service, Undo::Remove { id: id.clone() });
        self.names.insert(id.clone(), container.to_owned());
        Ok(id)
    }

    /// Removes what was staged and is not used.
    pub(super) async fn discard_staged(&mut self) {
        for (container, id) in std::mem::take(&mut self.staged) {
            // The next deploy removes it otherwise.
            let _ = self.step(&format!("remove container {container}"), self.engine.remove(&id, true)).await;
        }
    }
}

/// The image in the engine's words.
pub(super) fn image(service: &Service) -> String {
    Reference::parse(&service.image).map_or_else(|_| service.image.clone(), |r| r.familiar())
}

/// It is created when the container that it shares with is there.
fn shares_a_namespace(service: &Service) -> bool {
    let modes = [&service.network_mode, &service.pid, &service.ipc];
    modes.into_iter().flatten().any(|mode| mode.starts_with("service:") || mode.starts_with("container:"))
}
