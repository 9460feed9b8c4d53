//! Errors on their way to a person: a message, the next step, and the exit status.

use std::collections::BTreeSet;

use crate::inventory::Host;
use crate::ui::{HostOutcome, Outcome, Ui, with_causes};

use super::exit_status::ExitStatus;

/// One error as it is shown.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
}

/// What stopped a run; all of it is shown.
#[derive(Debug)]
pub(super) struct Failures {
    status: ExitStatus,
    list: Vec<Failure>,
    /// The hosts that some of it is about.
    hosts: BTreeSet<String>,
}

impl Failure {
    /// What is wrong, without the next step.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// A message.
    pub(super) fn text(message: String, hint: Option<String>) -> Self {
        Self { message, hint }
    }

    /// An error with its causes.
    pub(super) fn of(error: &dyn std::error::Error, hint: Option<String>) -> Self {
        Self { message: with_causes(error), hint }
    }

    /// The same, about a host.
    pub(super) fn on(self, host: &str) -> Self {
        Self { message: format!("{host}: {}", self.message), ..self }
    }

    /// The next step.
    pub(super) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Shows it.
    pub(super) fn show(&self, ui: &Ui) {
        ui.error(&self.message, self.hint.as_deref());
    }
}

impl Failures {
    /// A problem of usage or configuration: nothing was touched.
    pub(super) fn configuration(list: Vec<Failure>) -> Self {
        Self { status: ExitStatus::Configuration, list, hosts: BTreeSet::new() }
    }

    /// A failure of the world: a host, an engine, a network.
    pub(super) fn failed(list: Vec<Failure>) -> Self {
        Self { status: ExitStatus::Failed, list, hosts: BTreeSet::new() }
    }

    /// A failure of these hosts, before anything was changed on any.
    pub(super) fn of_hosts(failures: Vec<(String, Failure)>) -> Self {
        let (hosts, list) = failures.into_iter().unzip();
        Self { status: ExitStatus::Failed, list, hosts }
    }

    /// What became of every host, where it was hosts that failed.
    pub(super) fn outcomes(&self, all: &[Host]) -> Vec<HostOutcome> {
        let outcome =
            |name: &String| if self.hosts.contains(name) { Outcome::FailedUntouched } else { Outcome::Untouched };
        let hosts = all.iter().filter(|_| !self.hosts.is_empty());
        hosts
            .map(|h| HostOutcome { host: h.name.clone(), changed: 0, unchanged: 0, outcome: outcome(&h.name) })
            .collect()
    }

    /// Nothing to show, only a way to end.
    pub(super) fn with_status(status: ExitStatus) -> Self {
        Self { status, list: Vec::new(), hosts: BTreeSet::new() }
    }

    /// Shows every error; the status to exit with.
    pub(super) fn show(self, ui: &Ui) -> ExitStatus {
        for failure in &self.list {
            failure.show(ui);
        }
        self.status
    }
}

/// One problem of configuration.
pub(super) fn configuration(error: &dyn std::error::Error, hint: Option<String>) -> Failures {
    Failures::configuration(vec![Failure::of(error, hint)])
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
