//! Hooks: a command that runs to its end in a container of a service's new image, such as a migration.
//!
//! Contract: its container is removed however it ends; what it wrote is told when it has ended.

use std::collections::BTreeMap;

use crate::compose::RestartPolicy;
use crate::engine::{ContainerSpec, Engine, Purpose};
use crate::plan::{When, hook_name, shown_hook};

use super::super::event::What;
use super::health::{self, Unwell, Wanted};
use super::stage::image;
use super::undo::Undo;
use super::{ApplyError, Containers, refused};

/// Lines of a hook's output that are told.
const OUTPUT_LINES: usize = 200;

impl<'a, E: Engine> Containers<'a, E> {
    /// Runs the hook at this place among the service's; nothing after a swap that was taken back.
    pub(super) async fn hook(&mut self, service: &str, when: When, index: usize) -> Result<(), ApplyError> {
        if self.held_back.contains(service) {
            return Ok(());
        }
        match when {
            When::Before => self.wait_for_dependencies(&self.project.services[service]).await?,
            When::After => self.started_are_well(service).await?,
        }
        let command = self.hook_command(service, when, index)?;
        let label = format!("run in {service}: {}", shown_hook(command));
        let id = self.hook_container(service, command, &label).await?;
        let ended = self.events.step(&label, self.hook_end(service, &id, command)).await;
        let removed = self.remove_now(&hook_name(self.project, service), &id, true).await;
        ended.and(removed)
    }

    /// A plan holds only the place of a command, as its words may be secrets.
    fn hook_command(&self, service: &str, when: When, index: usize) -> Result<&'a [String], ApplyError> {
        let command = when.hooks(&self.project.services[service]).get(index);
        command.map(Vec::as_slice).ok_or_else(|| ApplyError::Hook {
            service: service.to_owned(),
            command: format!("hooks.{}[{index}]", when.key()),
            reason: "is not in the file".into(),
            log: Vec::new(),
        })
    }

    async fn hook_container(&mut self, service: &str, command: &[String], label: &str) -> Result<String, ApplyError> {
        let definition = &self.project.services[service];
        let files = self.file_binds(definition).await?;
        let name = hook_name(self.project, service);
        let spec = ContainerSpec {
            project: self.project,
            service: definition,
            name: &name,
            final_name: &name,
            number: 1,
            image: &image(definition),
            successor_of: None,
            behind_relay: self.plan.relays.contains_key(service),
            files: &files,
            release: self.options.release.as_deref(),
            purpose: Purpose::OneOff {
                role: "hook",
                command,
                terminal: false,
                entrypoint: None,
                environment: &BTreeMap::new(),
            },
        };
        let id = refused(label, self.engine.create_container(spec).await)?;
        self.note(service, Undo::Remove { id: id.clone() });
        Ok(id)
    }

    async fn hook_end(&self, service: &str, id: &str, command: &[String]) -> Result<(), ApplyError> {
        let what = format!("hook of {service}");
        refused(&what, self.engine.start(id).await)?;
        let wait = health::wait(self.engine, id, RestartPolicy::No, Wanted::Completed, self.patience(service));
        let ended = refused(&what, self.or_interrupted(wait).await?)?;
        let output = self.engine.logs(id, OUTPUT_LINES).await.unwrap_or_default();
        output.into_iter().for_each(|line| self.events.send(What::Note(line)));
        let reason = match ended {
            Ok(()) => return Ok(()),
            Err(Unwell::Failed(reason)) => reason.trim_start_matches("it ").to_owned(),
            Err(Unwell::TimedOut(_)) => format!("still ran after {} s", self.options.timeout.as_secs()),
        };
        let (service, command) = (service.to_owned(), shown_hook(command));
        Err(ApplyError::Hook { service, command, reason, log: self.last_lines(id).await })
    }
}
