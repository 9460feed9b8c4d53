//! `toolbox bootstrap`

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use crate::agent::KeySource;
use crate::apply::{Events, HostSession, Readiness, SessionError};
use crate::inventory::{EngineSettings, Host};
use crate::plan::{Plan, render};
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args::{Common, Format};
use super::begin::{Begun, begin_with};
use super::bundle::Given;
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::interrupt;

/// Arguments of `bootstrap`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Show what would be done, and do nothing
    #[arg(long)]
    check: bool,
    /// Form of what is shown
    #[arg(long, value_enum, default_value_t, requires = "check")]
    format: Format,
    /// Exit with 2 where something would be done
    #[arg(long, requires = "check")]
    detailed_exitcode: bool,
    /// Reboot the hosts on which an update waits for it (Debian and its kin), and wait until they are back
    #[arg(long)]
    reboot: bool,
    #[command(flatten)]
    bundle: Given,
    /// Hosts that are worked on at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    parallel: u16,
}

/// A host, and what has to be done there.
struct Work {
    session: HostSession,
    settings: EngineSettings,
    plan: Plan,
}

/// Makes the hosts ready for deploys.
pub(super) async fn run(
    common: &Common,
    arguments: &Arguments,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let context = Context::of_hosts(common)?;
    context.warn(&ui);
    let bundle = arguments.bundle.open()?;
    let mut begun = begin_with(context, common, key, ui).await?;
    begun.bundle = bundle;
    let ended = match interrupt::or_interrupted(&begun.interrupted, look_at_all(&begun, arguments)).await {
        Ok(works) if arguments.check => Ok(check(works, arguments, ui).await),
        Ok(works) => Ok(make_all_ready(works, arguments, &begun, ui).await),
        Err(failures) => Err(failures),
    };
    begun.end().await;
    let (outcomes, failures) = match ended? {
        Ended::Checked(status) => return Ok(status),
        Ended::Made(outcomes, failures) => (outcomes, failures),
    };
    failures.iter().for_each(|failure| failure.show(&ui));
    ui.data(&HostOutcome::recap(&outcomes));
    Ok(ExitStatus::of(&outcomes))
}

enum Ended {
    Checked(ExitStatus),
    Made(Vec<HostOutcome>, Vec<Failure>),
}

/// What has to be done on every host, or everything that stands in the way on any.
async fn look_at_all(begun: &Begun, arguments: &Arguments) -> Result<Vec<Work>, Failures> {
    let looks = begun.context.hosts.iter().map(|host| async move {
        let failed = |e: SessionError| (host.name.clone(), Failure::of(&e, e.hint()).on(&host.name));
        look_at(host, begun, arguments).await.map_err(failed)
    });
    let (mut works, mut failures) = (Vec::new(), Vec::new());
    for result in join_all(looks).await {
        match result {
            Ok(work) => works.push(work),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(works) } else { Err(Failures::of_hosts(failures)) }
}

async fn look_at(host: &Host, begun: &Begun, arguments: &Arguments) -> Result<Work, SessionError> {
    let (events, ours) = (Events::new(&host.name, begun.events.clone()), Arc::clone(&begun.ours));
    let (target, engine) = (begun.context.target(host), begun.context.engine(host));
    let mut session = HostSession::open(target, engine, begun.agent.clone(), events, ours, None).await?;
    session.set_packages(begun.packages(host)).await?;
    let settings = host.engine.clone();
    let plan = session.plan_readiness(&Readiness { settings: &settings, reboot: arguments.reboot }).await?;
    Ok(Work { session, settings, plan })
}

/// Prints what would be done.
async fn check(works: Vec<Work>, arguments: &Arguments, ui: Ui) -> Ended {
    let mut plans = Vec::new();
    for work in works {
        work.session.close().await;
        plans.push(work.plan);
    }
    ui.data(&match arguments.format {
        Format::Text => plans.iter().map(render).collect::<String>(),
        Format::Json => serde_json::to_string_pretty(&plans).unwrap_or_default() + "\n",
    });
    let changes = plans.iter().any(|plan| !plan.is_empty());
    let told = changes && arguments.detailed_exitcode;
    Ended::Checked(if told { ExitStatus::Configuration } else { ExitStatus::Done })
}

async fn make_all_ready(works: Vec<Work>, arguments: &Arguments, begun: &Begun, ui: Ui) -> Ended {
    works.iter().for_each(|work| ui.say(render(&work.plan).trim_end()));
    let makes = works.into_iter().map(|work| make_ready(work, arguments, begun));
    let made: Vec<_> = stream::iter(makes).buffered(arguments.parallel.into()).collect().await;
    let (outcomes, failures): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    Ended::Made(outcomes, failures.into_iter().flatten().collect())
}

async fn make_ready(mut work: Work, arguments: &Arguments, begun: &Begun) -> (HostOutcome, Option<Failure>) {
    let wanted = Readiness { settings: &work.settings, reboot: arguments.reboot };
    let mut interrupted = begun.interrupted.clone();
    let (mut changed, mut ended) = (0, Ok(()));
    for operation in &work.plan.operations {
        // A package manager that is at work is not left alone: an interrupt counts before the next step.
        if *interrupted.borrow_and_update() {
            ended = Err((Outcome::Interrupted, None));
            break;
        }
        if let Err(error) = work.session.make_ready(&operation.action, &wanted).await {
            let failure = Failure::of(&error, error.hint()).on(&work.plan.host);
            ended = Err((Outcome::FailedIncomplete, Some(failure)));
            break;
        }
        changed += 1;
    }
    work.session.close().await;
    let (outcome, failure) = ended.map_or_else(|ended| ended, |()| (Outcome::Ok, None));
    let unchanged = work.plan.unchanged.len();
    (HostOutcome { host: work.plan.host, changed, unchanged, outcome }, failure)
}
