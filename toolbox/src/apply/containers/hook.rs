//! Hooks: a command that runs to its end in a container of a service's new image, such as a migration.
//!
//! Contract: its container is removed however it ends; what it writes is told line by line as it comes, as fast as that is
//! shown, and never held but for a line's beginning.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::compose::RestartPolicy;
use crate::engine::{ContainerSpec, Engine, EngineError, Purpose};
use crate::plan::{When, hook_name, shown_hook};

use super::super::event::What;
use super::health::{self, Unwell, Wanted};
use super::stage::image;
use super::undo::Undo;
use super::{ApplyError, Containers, refused};

/// What a hook wrote last may take so long to be shown when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// A longer line is told in parts, bytes.
const LONGEST: usize = 4096;

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
        let ended = self.events.step(&label, self.hook_end(service, when, index, &id)).await;
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

    async fn hook_end(&self, service: &str, when: When, index: usize, id: &str) -> Result<(), ApplyError> {
        let what = format!("hook of {service}");
        refused(&what, self.engine.start(id).await)?;
        let wait = health::wait(self.engine, id, RestartPolicy::No, Wanted::Completed, self.patience(service));
        let (mut wait, of) = (pin!(self.or_interrupted(wait)), format!("{service} hooks.{}[{index}]", when.key()));
        let mut told = pin!(self.tell_output(&of, id));
        let ended = tokio::select! {
            ended = &mut wait => {
                if let Ok(Ok(Ok(()) | Err(Unwell::Failed(_)))) = &ended {
                    let _ = timeout(LAST_WORDS, told).await;
                }
                ended
            }
            () = &mut told => wait.await,
        };
        let reason = match refused(&what, ended?)? {
            Ok(()) => return Ok(()),
            Err(Unwell::Failed(reason)) => reason.trim_start_matches("it ").to_owned(),
            Err(Unwell::TimedOut(_)) => format!("still ran after {} s", self.options.timeout.as_secs()),
        };
        let (service, command) = (service.to_owned(), shown_hook(self.hook_command(service, when, index)?));
        Err(ApplyError::Hook { service, command, reason, log: self.last_lines(id).await })
    }

    /// Tells everything that a container writes, to its end.
    async fn tell_output(&self, of: &str, id: &str) {
        let unreadable = |e: EngineError| self.events.send(What::Note(format!("{of}: its output cannot be read: {e}")));
        let mut output = match self.engine.follow(id).await {
            Ok(output) => output,
            Err(error) => return unreadable(error),
        };
        let mut begun = Vec::new();
        while let Some(part) = output.next().await {
            let Ok((_, part)) = part.map_err(unreadable) else { break };
            begun.extend_from_slice(&part);
            for line in whole_lines(&mut begun) {
                self.events.output(of, line).await;
            }
        }
        if !begun.is_empty() {
            self.events.output(of, String::from_utf8_lossy(&begun).into_owned()).await;
        }
    }
}

/// Takes the whole lines, and as much as is too long for one, from what was written.
fn whole_lines(begun: &mut Vec<u8>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let end = begun.iter().position(|byte| *byte == b'\n');
        let (length, taken) = match end {
            Some(end) if end <= LONGEST => (end, end + 1),
            _ if begun.len() > LONGEST => (LONGEST, LONGEST),
            _ => return lines,
        };
        let line = String::from_utf8_lossy(&begun[..length]);
        lines.push(line.trim_end_matches('\r').to_owned());
        begun.drain(..taken);
    }
}
