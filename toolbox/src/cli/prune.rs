//! `toolbox prune`

use std::time::Duration;

use crate::agent::KeySource;
use crate::apply::Store;
use crate::engine::Docker;
use crate::plan::{Prune as Unneeded, keeper_name, prune};
use crate::state::{ObservedContainer, Role};
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args::{Common, Prune};
use super::begin::{Begun, begin_by_name};
use super::connect::{Seen, connect_all};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::helper::Helper;
use super::interrupt;
use super::lock::{lock, unlock};
use super::records::kept;
use super::rollback::shelf;

/// Lists what nothing needs any more, and removes it where that is asked for.
pub(super) async fn run(
    common: &Common,
    arguments: &Prune,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin_by_name(common, key, ui, ui).await?;
    let connected = connect_all(&begun);
    let connected = interrupt::or_interrupted(&begun.interrupted, connected).await;
    let (begun, connected) = begun.go_on(connected).await?;
    let mut outcomes = Vec::new();
    for seen in connected {
        let host = seen.facts.host.clone();
        if *begun.interrupted.borrow() {
            outcomes.push(HostOutcome { host, changed: 0, unchanged: 0, outcome: Outcome::Interrupted });
            continue;
        }
        let (changed, outcome) = match on_host(&begun, &seen, arguments, &ui).await {
            Ok(changed) => (changed, Outcome::Ok),
            Err(failure) => {
                failure.on(&host).show(&ui);
                (0, Outcome::FailedIncomplete)
            }
        };
        seen.session.close().await;
        outcomes.push(HostOutcome { host, changed, unchanged: 0, outcome });
    }
    begun.end().await;
    if !arguments.yes {
        ui.say("nothing was removed; prune --yes removes it");
    }
    ui.data(&HostOutcome::recap(&outcomes));
    Ok(ExitStatus::of(&outcomes))
}

async fn on_host(begun: &Begun, seen: &Seen, arguments: &Prune, ui: &Ui) -> Result<usize, Failure> {
    let project = &begun.context.project;
    let Some(engine) = seen.session.engine() else {
        return Ok(0);
    };
    let keeper = keeper_name(&project.name);
    if !arguments.yes {
        show(ui, &seen.facts.host, &unneeded(begun, seen, engine).await?);
        return Ok(0);
    }
    // What a deploy is making looks unused.
    let containers = seen.facts.engine.iter().flat_map(|state| &state.containers);
    let lock = lock(engine, containers, &project.name, Duration::ZERO).await?;
    let unneeded = unneeded(begun, seen, engine).await?;
    show(ui, &seen.facts.host, &unneeded);
    let removed = Store::new(engine, &keeper).remove(&unneeded).await;
    unlock(lock).await;
    removed.map(|files| files + unneeded.unused.len()).map_err(|e| Failure::of(&e, e.hint()))
}

async fn unneeded(begun: &Begun, seen: &Seen, engine: &Docker) -> Result<Unneeded, Failure> {
    use crate::engine::Engine as _;
    let project = &begun.context.project;
    let shelf = shelf(seen, &project.name).await.map_err(|e| Failure::of(&e, e.hint()))?;
    let state = engine.observe(&project.name).await.map_err(|e| Failure::of(&e, e.hint()))?;
    let newest = shelf.releases.first().filter(|_| begun.context.is_named_only());
    let keep = kept(newest.map_or(project, |release| &release.project));
    let unneeded = prune(&project.name, &state, &shelf.releases, shelf.damaged.is_empty(), keep);
    // Where nothing of ours runs, no other project is about to use the image either.
    let is_ours = |container: &ObservedContainer| matches!(container.role, Role::Keeper | Role::Relay);
    let are_others = state.containers.iter().any(is_ours);
    Ok(if are_others { unneeded.sparing(Helper::reference().as_ref()) } else { unneeded })
}

fn show(ui: &Ui, host: &str, unneeded: &Unneeded) {
    if unneeded.unused.is_empty() {
        ui.data(&format!("{host}: nothing to remove\n"));
    }
    for one in &unneeded.unused {
        ui.data(&format!("{host}: {one}\n"));
    }
}
