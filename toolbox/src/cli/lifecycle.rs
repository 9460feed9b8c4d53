//! `toolbox restart`, `toolbox stop` and `toolbox start`: containers as they are, in the order of their dependencies.
//!
//! Contract: no container is made or removed.

mod restart;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use crate::agent::KeySource;
use crate::apply::{Interrupt, Lock, Patience, Unwell, Wanted, wait};
use crate::compose::{Condition, Project};
use crate::engine::{Engine as _, EngineError};
use crate::plan::is_in_charge;
use crate::state::ObservedContainer;
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args::{Common, Cycle, Start, Stop};
use super::begin::begin_by_name;
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::hosts::{self, Reached};
use super::lock::{lock, unlock};
use super::services::chosen;

/// How many last lines of a container's log an error shows.
const LOG_LINES: usize = 20;

/// What is done to services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Steps {
    /// Stop them, with this much time instead of their own.
    stop: Option<Option<Duration>>,
    /// Start them, and wait so long until they are well.
    start: Option<Duration>,
}

/// Stops and starts the containers of each service one after the other; relays and the keeper go on.
pub(super) async fn restart(
    common: &Common,
    arguments: &Cycle,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let start = Some(Duration::from_secs(arguments.start.wait_timeout));
    let steps = Steps { stop: Some(arguments.timeout.map(Duration::from_secs)), start };
    run(common, &arguments.start.services, steps, key, ui).await
}

/// Stops services, then the relays before them.
pub(super) async fn stop(
    common: &Common,
    arguments: &Stop,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let steps = Steps { stop: Some(arguments.timeout.map(Duration::from_secs)), start: None };
    run(common, &arguments.services, steps, key, ui).await
}

/// Starts services that were stopped.
pub(super) async fn start(
    common: &Common,
    arguments: &Start,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let steps = Steps { stop: None, start: Some(Duration::from_secs(arguments.wait_timeout)) };
    run(common, &arguments.services, steps, key, ui).await
}

async fn run(
    common: &Common,
    names: &[String],
    steps: Steps,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin_by_name(common, key, ui, ui).await?;
    let services = chosen_of(&begun.context, names)?;
    let reached = hosts::reach_all(&begun).await;
    let (begun, mut reached) = begun.go_on(reached).await?;
    let project = &begun.context.project;
    hosts::are_deployed(&reached, names)?;
    let locks = lock_all(&mut reached, &project.name).await?;
    let projects = projects(&reached, &begun.context).await?;
    let works = reached.iter().zip(&projects).map(|(host, project)| {
        let life = Life { host, project, interrupted: begun.interrupted.clone() };
        let all = || project.services.keys().cloned().collect();
        life.carry_out(services.clone().unwrap_or_else(all), steps, names.is_empty())
    });
    let finished = join_all(works).await;
    join_all(locks.into_iter().map(unlock)).await;
    hosts::end(reached, begun).await;
    finished.iter().filter_map(|(_, failure)| failure.as_ref()).for_each(|f| f.show(&ui));
    let outcomes: Vec<HostOutcome> = finished.into_iter().map(|(outcome, _)| outcome).collect();
    ui.data(&HostOutcome::recap(&outcomes));
    Ok(ExitStatus::of(&outcomes))
}

/// The locks of all hosts, in their order; then the hosts are looked at again, as nobody else changes them.
async fn lock_all(hosts: &mut [Reached], project: &str) -> Result<Vec<Option<Lock>>, Failures> {
    let mut locks = Vec::new();
    for host in hosts {
        let locked = lock(&host.engine, &host.containers, project, Duration::ZERO).await;
        locks.push(locked.map_err(|failure| Failures::failed(vec![failure.on(&host.name)]))?);
        let containers = host.engine.containers(project).await;
        host.containers = containers.map_err(|e| Failures::failed(vec![Failure::of(&e, e.hint()).on(&host.name)]))?;
    }
    Ok(locks)
}

/// The services with these names; `None` is all of a project that is not known yet.
fn chosen_of(context: &Context, names: &[String]) -> Result<Option<BTreeSet<String>>, Failures> {
    match (context.is_named_only(), names) {
        (false, _) => chosen(&context.project, names).map(Some),
        (true, []) => Ok(None),
        (true, names) => Ok(Some(names.iter().cloned().collect())),
    }
}

/// What each host runs: as the file says, or the host's newest release.
async fn projects(hosts: &[Reached], context: &Context) -> Result<Vec<Project>, Failures> {
    let project = &context.project;
    if !context.is_named_only() {
        return Ok(vec![project.clone(); hosts.len()]);
    }
    let released = try_join_all(hosts.iter().map(|host| host.released(&project.name))).await;
    released.map_err(|failure| Failures::failed(vec![failure]))
}

/// Why a host is not as it was asked for.
enum Stopped {
    Interrupted,
    Failed(Failure),
}

/// The services' containers on one host.
pub(super) struct Life<'a> {
    /// The host.
    pub(super) host: &'a Reached,
    /// The project.
    pub(super) project: &'a Project,
    /// Turns true at Ctrl-C.
    pub(super) interrupted: Interrupt,
}

/// How many containers were changed, and how many were so already.
#[derive(Default)]
struct Count {
    changed: usize,
    unchanged: usize,
}

impl Life<'_> {
    async fn carry_out(self, services: BTreeSet<String>, steps: Steps, whole: bool) -> (HostOutcome, Option<Failure>) {
        let mut count = Count::default();
        let done = self.steps(&services, steps, whole, &mut count).await;
        let (outcome, failure) = match done {
            Ok(()) => (Outcome::Ok, None),
            Err(Stopped::Interrupted) => (Outcome::Interrupted, None),
            Err(Stopped::Failed(failure)) => (Outcome::FailedIncomplete, Some(failure.on(&self.host.name))),
        };
        let (host, Count { changed, unchanged }) = (self.host.name.clone(), count);
        (HostOutcome { host, changed, unchanged, outcome }, failure)
    }

    async fn steps(
        &self,
        services: &BTreeSet<String>,
        steps: Steps,
        whole: bool,
        count: &mut Count,
    ) -> Result<(), Stopped> {
        match steps {
            Steps { stop: Some(grace), start: Some(limit) } => self.restart(services, grace, limit, count).await,
            Steps { stop: Some(grace), start: None } => self.stop(services, grace, whole, count).await,
            Steps { start: Some(limit), .. } => self.start(services, limit, count).await,
            Steps { stop: None, start: None } => Ok(()),
        }
    }

    /// Starts what a service needs and does not run.
    ///
    /// # Errors
    /// What cannot be started, or is not there.
    pub(super) async fn start_dependencies(&self, service: &str, limit: Duration) -> Result<(), Failures> {
        let mut needed = BTreeSet::new();
        self.add_dependencies(service, &mut needed);
        if let Some(absent) = needed.iter().find(|name| self.host.of_service(name).is_empty()) {
            return Err(hosts::not_deployed(absent, &self.host.name));
        }
        self.start(&needed, limit, &mut Count::default()).await.map_err(|stopped| match stopped {
            Stopped::Interrupted => Failures::with_status(ExitStatus::Interrupted),
            Stopped::Failed(failure) => Failures::failed(vec![failure.on(&self.host.name)]),
        })
    }

    fn add_dependencies(&self, service: &str, needed: &mut BTreeSet<String>) {
        let Some(service) = self.project.services.get(service) else { return };
        for name in service.depends_on.keys().filter(|name| self.project.services.contains_key(*name)) {
            if needed.insert(name.clone()) {
                self.add_dependencies(name, needed);
            }
        }
    }

    /// Relays go after their services, so that nobody is refused before; the keeper only with the whole project.
    async fn stop(
        &self,
        services: &BTreeSet<String>,
        grace: Option<Duration>,
        whole: bool,
        count: &mut Count,
    ) -> Result<(), Stopped> {
        let mut rounds: Vec<Vec<&ObservedContainer>> = Vec::new();
        for level in self.levels(services).into_iter().rev() {
            rounds.push(level.iter().flat_map(|service| self.host.of_service(service)).collect());
        }
        rounds.push(services.iter().filter_map(|service| self.host.relay_of(service)).collect());
        rounds.push(self.host.keeper().filter(|_| whole).into_iter().collect());
        for round in rounds {
            let (up, down): (Vec<_>, Vec<_>) = round.into_iter().partition(|c| runs(c));
            try_join_all(up.iter().map(|c| self.stop_one(c, grace))).await?;
            count.changed += up.len();
            count.unchanged += down.len();
        }
        Ok(())
    }

    async fn start(&self, services: &BTreeSet<String>, limit: Duration, count: &mut Count) -> Result<(), Stopped> {
        let first = self.host.keeper().into_iter().chain(services.iter().filter_map(|s| self.host.relay_of(s)));
        let mut rounds: Vec<Vec<&ObservedContainer>> = vec![first.collect()];
        rounds.extend(self.levels(services).iter().map(|level| self.in_charge(level)));
        for round in rounds {
            let (up, down): (Vec<_>, Vec<_>) = round.into_iter().partition(|c| runs(c));
            try_join_all(down.iter().map(|c| self.start_one(c, limit))).await?;
            count.changed += down.len();
            count.unchanged += up.len();
        }
        Ok(())
    }

    fn levels(&self, services: &BTreeSet<String>) -> Vec<Vec<&str>> {
        let order = self.project.start_order().into_iter();
        order.map(|level| level.into_iter().filter(|name| services.contains(*name)).collect()).collect()
    }

    /// Without what a deploy that was interrupted left behind.
    fn in_charge(&self, services: &[&str]) -> Vec<&ObservedContainer> {
        let own = services.iter().flat_map(|service| self.host.of_service(service));
        own.filter(|c| is_in_charge(c)).collect()
    }

    async fn stop_one(&self, container: &ObservedContainer, grace: Option<Duration>) -> Result<(), Stopped> {
        let label = format!("stop {}", container.name);
        let stopping = self.host.engine.stop(&container.id, grace);
        self.until_interrupted(self.host.session.events().step(&label, stopping)).await
    }

    async fn start_one(&self, container: &ObservedContainer, limit: Duration) -> Result<(), Stopped> {
        let label = format!("start {}", container.name);
        let starting = self.host.engine.start(&container.id);
        self.until_interrupted(self.host.session.events().step(&label, starting)).await?;
        match container.service.as_deref().filter(|_| container.relay_of.is_none()) {
            Some(service) => self.wait(service, container, limit).await,
            None => Ok(()),
        }
    }

    async fn wait(&self, service: &str, container: &ObservedContainer, limit: Duration) -> Result<(), Stopped> {
        let Some(definition) = self.project.services.get(service) else { return Ok(()) };
        let label = format!("wait until {} is well", container.name);
        let wanted = self.wanted(service);
        let patience = Patience::with(Some(definition), limit);
        let waiting = wait(&self.host.engine, &container.id, definition.restart, wanted, patience);
        let waited = self.until_interrupted(self.host.session.events().step(&label, waiting)).await?;
        match waited {
            Ok(()) => Ok(()),
            Err(unwell) => Err(Stopped::Failed(self.unwell(container, unwell, limit).await)),
        }
    }

    /// What the services that depend on it wait for.
    fn wanted(&self, service: &str) -> Wanted {
        let mut dependencies = self.project.services.values().filter_map(|s| s.depends_on.get(service));
        let completes = dependencies.any(|d| d.condition == Condition::CompletedSuccessfully);
        if completes { Wanted::Completed } else { Wanted::Well }
    }

    async fn unwell(&self, container: &ObservedContainer, unwell: Unwell, limit: Duration) -> Failure {
        let reason = match unwell {
            Unwell::Failed(reason) => reason,
            Unwell::TimedOut(state) => format!("{state} after {} s", limit.as_secs()),
        };
        let log = self.host.engine.logs(&container.id, LOG_LINES).await.unwrap_or_default();
        let shown: String = log.iter().map(|line| format!("\n    {line}")).collect();
        Failure::text(format!("{}: {reason}{shown}", container.name), None)
    }

    async fn until_interrupted<T>(&self, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, Stopped> {
        let mut interrupt = self.interrupted.clone();
        tokio::select! {
            done = work => done.map_err(|e| Stopped::Failed(Failure::of(&e, e.hint()))),
            _ = interrupt.wait_for(|i| *i) => Err(Stopped::Interrupted),
        }
    }
}

/// Its processes exist, or will again in a moment.
fn runs(container: &ObservedContainer) -> bool {
    matches!(container.state.as_str(), "running" | "restarting" | "paused")
}
