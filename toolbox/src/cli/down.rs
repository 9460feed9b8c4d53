//! `toolbox down`

use std::time::Duration;

use crate::agent::KeySource;
use crate::apply::{ApplyError, Containers};
use crate::plan::{Cause, render, teardown};
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args::{Common, Down};
use super::begin::begin;
use super::connect::{Seen, connect_all};
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::interrupt;

/// Takes the project off every host.
pub(super) async fn run(
    common: &Common,
    arguments: &Down,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin(common, key, ui).await?;
    let connected = connect_all(&begun.context, &begun.agent, &begun.events);
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
    interrupted: &crate::apply::Interrupt,
    ui: Ui,
) -> (HostOutcome, Option<Failure>) {
    let name = host.facts.host.clone();
    let session = host.session;
    let (mut changed, mut outcome, mut failure) = (0, Outcome::Ok, None);
    if let (Some(engine), Ok(state)) = (session.engine(), &host.facts.engine) {
        let plan = teardown(&name, &context.project, state, arguments.volumes);
        ui.say(render(&plan).trim_end());
        changed = plan.operations.len();
        let limit = Duration::from_secs(60);
        let events = session.events();
        let mut run = Containers::new(engine, &context.project, events, limit, interrupted.clone());
        // A removal is not taken back: what is gone is gone, and the rest is still there.
        (outcome, failure) = match run.run(&plan).await {
            Ok(()) => (Outcome::Ok, None),
            Err(ApplyError::Interrupted) => (Outcome::Interrupted, None),
            Err(e) => (Outcome::FailedIncomplete, Some(Failure::of(&e, e.hint()).on(&name))),
        };
    }
    if host.facts.engine == Err(Cause::EngineStopped) {
        let message = format!("{name}: the container engine does not run, so that nothing can be removed");
        failure = Some(Failure::text(message, Some("start it on the host: systemctl start docker".into())));
        outcome = Outcome::FailedUntouched;
    }
    session.close().await;
    (HostOutcome { host: name, changed, unchanged: 0, outcome }, failure)
}
