//! `toolbox deploy`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc::UnboundedSender;

use crate::agent::KeySource;
use crate::apply::{ApplyError, Containers, Event, Events, HostSession, Interrupt, Spool, What, push, verify};
use crate::compose::Project;
use crate::image::Reference;
use crate::plan::{Action, Plan, render};
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args::{Common, Deploy};
use super::begin::begin;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::interrupt;
use super::prepare::{Prepared, prepare};

/// Shows what has to change, changes it, and says what became of every host.
pub(super) async fn run(
    common: &Common,
    arguments: &Deploy,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin(common, key, ui).await?;
    let prepared = prepare(&begun.context, &begun.agent, &arguments.images, &begun.events);
    let finished = match interrupt::or_interrupted(&begun.interrupted, prepared).await {
        Ok(prepared) => {
            prepared.plans.iter().for_each(|plan| ui.say(render(plan).trim_end()));
            Ok(apply_all(prepared, &begun.context.project, arguments, &begun.events, &begun.interrupted).await)
        }
        Err(failures) => {
            ui.data(&HostOutcome::recap(&failures.outcomes(&begun.context.hosts)));
            Err(failures)
        }
    };
    begun.end().await;
    let finished = finished?;
    finished.iter().filter_map(|f| f.failure.as_ref()).for_each(|f| f.show(&ui));
    let outcomes: Vec<HostOutcome> = finished.into_iter().map(|f| f.outcome).collect();
    ui.data(&HostOutcome::recap(&outcomes));
    Ok(ExitStatus::of(&outcomes))
}

/// What became of a host.
struct Finished {
    outcome: HostOutcome,
    failure: Option<Failure>,
}

async fn apply_all(
    prepared: Prepared,
    project: &Project,
    arguments: &Deploy,
    events: &UnboundedSender<Event>,
    interrupt: &Interrupt,
) -> Vec<Finished> {
    let Prepared { hosts, plans, spool } = prepared;
    let spool = &spool;
    let work = hosts.into_iter().zip(plans).map(|(host, plan)| async move {
        let run = HostRun {
            project,
            plan,
            spool: spool.clone(),
            timeout: Duration::from_secs(arguments.timeout),
            interrupt: interrupt.clone(),
            events: Events::new(&host.facts.host, events.clone()),
        };
        run.go(host.session).await
    });
    stream::iter(work).buffered(arguments.parallel.into()).collect().await
}

/// One host's way through its plan.
struct HostRun<'a> {
    project: &'a Project,
    plan: Plan,
    spool: Option<Arc<Spool>>,
    timeout: Duration,
    interrupt: Interrupt,
    events: Events,
}

impl HostRun<'_> {
    async fn go(self, mut session: HostSession) -> Finished {
        let mut interrupt = self.interrupt.clone();
        let readied = tokio::select! {
            readied = self.ready(&mut session) => readied,
            _ = interrupt.wait_for(|i| *i) => Err((Outcome::Interrupted, None)),
        };
        let (outcome, failure) = match readied {
            Ok(()) => self.containers(&session).await,
            Err(ended) => ended,
        };
        session.close().await;
        self.finished(outcome, failure)
    }

    fn finished(&self, outcome: Outcome, failure: Option<Failure>) -> Finished {
        let changed = if outcome == Outcome::Ok { self.plan.operations.len() } else { 0 };
        let unchanged = self.plan.unchanged.len();
        let outcome = HostOutcome { host: self.plan.host.clone(), changed, unchanged, outcome };
        Finished { outcome, failure }
    }

    /// The engine runs and holds the images. What this adds to a host stays when a later step fails.
    async fn ready(&self, session: &mut HostSession) -> Result<(), (Outcome, Option<Failure>)> {
        let host = &self.plan.host;
        for operation in &self.plan.operations {
            let prepared = session.prepare(&operation.action).await;
            prepared.map_err(|e| (Outcome::FailedUntouched, Some(Failure::of(&e, e.hint()).on(host))))?;
        }
        let held: BTreeMap<Reference, usize> = self.plan.operations.iter().filter_map(pushed).collect();
        let (Some(spool), false) = (&self.spool, held.is_empty()) else {
            return Ok(());
        };
        let Some(engine) = session.engine() else {
            return Ok(());
        };
        let names: Vec<String> = held.keys().map(Reference::familiar).collect();
        let label = format!("push {}", names.join(", "));
        let sent = self.events.step(&label, push(engine, spool, &held, &self.events)).await;
        sent.map_err(|e| (Outcome::FailedUntouched, Some(Failure::of(&e, e.hint()).on(host))))
    }

    /// Containers, health, verification; all of it is undone when any of it fails.
    async fn containers(&self, session: &HostSession) -> (Outcome, Option<Failure>) {
        let host = &self.plan.host;
        let Some(engine) = session.engine() else {
            let message = format!("{host}: the container engine is not there");
            return (Outcome::FailedUntouched, Some(Failure::text(message, None)));
        };
        let mut containers = Containers::new(engine, self.project, &self.events, self.timeout, self.interrupt.clone());
        let done = match containers.run(&self.plan).await {
            Ok(()) => self.verify(session).await,
            Err(ApplyError::Interrupted) => Err((Outcome::Interrupted, None)),
            Err(e) => Err((Outcome::FailedRolledBack, Some(Failure::of(&e, e.hint()).on(host)))),
        };
        let (outcome, failure) = match done {
            Ok(()) => return self.finish(containers).await,
            Err(ended) => ended,
        };
        match containers.roll_back().await {
            Ok(true) => (outcome, failure),
            Ok(false) if outcome == Outcome::FailedRolledBack => (Outcome::FailedUntouched, failure),
            Ok(false) => (outcome, failure),
            Err(error) => {
                if let Some(failure) = failure {
                    self.events.send(What::Note(failure.to_string()));
                }
                let hint = "log in on the host and look: docker ps --all".to_owned();
                let message = format!("{host}: the roll back failed: {error}");
                (Outcome::FailedBroken, Some(Failure::text(message, Some(hint))))
            }
        }
    }

    /// The new containers work: what they replaced may go. That one of those stays is no reason to go back.
    async fn finish(&self, containers: Containers<'_, crate::engine::Docker>) -> (Outcome, Option<Failure>) {
        if let Err(error) = containers.finish().await {
            self.events.send(What::Note(format!("{error}; the next deploy removes it")));
        }
        (Outcome::Ok, None)
    }

    async fn verify(&self, session: &HostSession) -> Result<(), (Outcome, Option<Failure>)> {
        for service in self.project.services.values() {
            let Some(url) = &service.toolbox.verify else {
                continue;
            };
            let mut interrupt = self.interrupt.clone();
            let label = format!("verify {url}");
            let asked = self.events.step(&label, verify(session, &service.name, url));
            let answer = tokio::select! {
                answer = asked => answer,
                _ = interrupt.wait_for(|i| *i) => return Err((Outcome::Interrupted, None)),
            };
            match answer {
                Ok(text) => self.events.send(What::Note(format!("{url} answers {text:?}"))),
                Err(e) => {
                    let hint = "see what the service says: docker logs on the host".to_owned();
                    let failure = Failure::of(&e, Some(hint)).on(&self.plan.host);
                    return Err((Outcome::FailedRolledBack, Some(failure)));
                }
            }
        }
        Ok(())
    }
}

fn pushed(operation: &crate::plan::Operation) -> Option<(Reference, usize)> {
    match &operation.action {
        Action::PushImage { reference, held_layers, .. } => Some((reference.clone(), *held_layers)),
        _ => None,
    }
}
