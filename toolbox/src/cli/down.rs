//! `toolbox down`

use std::time::Duration;

use crate::agent::KeySource;
use crate::apply::{ApplyError, Containers, Interrupt, Options};
use crate::compose::Project;
use crate::engine::Engine as _;
use crate::plan::{Cause, render, teardown};
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args::{Common, Down};
use super::begin::{begin, begin_by_name};
use super::connect::{Seen, connect_all};
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::interrupt;
use super::lock::{lock, unlock};

/// Takes the project off every host.
pub(super) async fn run(
    common: &Common,
    arguments: &Down,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    // What volumes there are is in the file, and what they hold does not come back.
    let begun = match arguments.volumes {
        true => begin(common, key, ui).await?,
        false => begin_by_name(common, key, ui, ui).await?,
    };
    let connected = connect_all(&begun);
    let finished = match interrupt::or_interrupted(&begun.interrupted, connected).await {
        Ok(hosts) => {
            let mut finished = Vec::new();
            for host in hosts {
                finished.push(take_down(host, &begun.context, arguments, &begun.interrupted, ui).await);
            }
            Ok(finished)
        }
        Err(failures) => Err(failures),
    };
    begun.end().await;
    let finished = finished?;
    finished.iter().filter_map(|(_, failure)| failure.as_ref()).for_each(|f| f.show(&ui));
    let outcomes: Vec<HostOutcome> = finished.into_iter().map(|(outcome, _)| outcome).collect();
    ui.data(&HostOutcome::recap(&outcomes));
    Ok(ExitStatus::of(&outcomes))
}

async fn take_down(
    host: Seen,
    context: &Context,
    arguments: &Down,
    interrupted: &Interrupt,
    ui: Ui,
) -> (HostOutcome, Option<Failure>) {
    let name = host.facts.host.clone();
    let (changed, outcome, failure) = match &host.facts.engine {
        Ok(_) => match remove(&host, &context.project, arguments, interrupted, ui).await {
            Ok(changed) => (changed, Outcome::Ok, None),
            Err((outcome, failure)) => (0, outcome, failure.map(|failure| failure.on(&name))),
        },
        Err(Cause::EngineStopped) => {
            let message = format!("{name}: the container engine does not run, so that nothing can be removed");
            let hint = "start it on the host: systemctl start docker";
            (0, Outcome::FailedUntouched, Some(Failure::text(message, Some(hint.into()))))
        }
        Err(_) => (0, Outcome::Ok, None),
    };
    host.session.close().await;
    (HostOutcome { host: name, changed, unchanged: 0, outcome }, failure)
}

type Ended = (Outcome, Option<Failure>);

/// Removes what is there once nobody else changes it.
async fn remove(
    host: &Seen,
    project: &Project,
    arguments: &Down,
    interrupted: &Interrupt,
    ui: Ui,
) -> Result<usize, Ended> {
    let (Some(engine), Ok(before)) = (host.session.engine(), &host.facts.engine) else {
        return Ok(0);
    };
    let untouched = |failure| (Outcome::FailedUntouched, Some(failure));
    let lock = lock(engine, &before.containers, &project.name, Duration::ZERO).await.map_err(untouched)?;
    let state = engine.observe(&project.name).await.map_err(|e| untouched(Failure::of(&e, e.hint())))?;
    let plan = teardown(&host.facts.host, project, &state, arguments.volumes);
    ui.say(render(&plan).trim_end());
    let options = Options { timeout: Duration::from_secs(60), release: None };
    let mut run = Containers::new(engine, project, &plan, host.session.events(), options, interrupted.clone());
    // A removal is not taken back: what is gone is gone, and the rest is still there.
    let ended = match run.flip().await {
        Ok(()) => Ok(plan.operations.len()),
        Err(ApplyError::Interrupted) => Err((Outcome::Interrupted, None)),
        Err(e) => Err((Outcome::FailedIncomplete, Some(Failure::of(&e, e.hint())))),
    };
    unlock(lock).await;
    ended
}
