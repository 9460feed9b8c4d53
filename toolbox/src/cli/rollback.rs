//! `toolbox rollback`

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agent::KeySource;
use crate::apply::{Shelf, Store, StoreError};
use crate::compose::Project;
use crate::plan::{DesiredImage, Plan, keeper_name, render};
use crate::release::{Release, ReleaseId};
use crate::state::{EngineState, Role};
use crate::ui::Ui;

use super::args::{Common, Rollback};
use super::begin::{Begun, begin_by_name};
use super::connect::{Seen, connect_all};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::helper::Helper;
use super::interrupt;
use super::prepare::{Wanted, Work, default_cache, lasting};
use super::records::Record;
use super::rollout::{Finished, Rollout, end};

/// Brings an earlier release back, from what the hosts keep alone.
pub(super) async fn run(
    common: &Common,
    arguments: &Rollback,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin_by_name(common, key, ui, ui).await?;
    let finished = roll_back(&begun, arguments, ui).await;
    end(begun, finished, &ui).await
}

async fn roll_back(begun: &Begun, arguments: &Rollback, ui: Ui) -> Result<Vec<Finished>, Failures> {
    let cache = default_cache();
    begun.ours.open(lasting(&cache));
    let helper = Helper::find(&cache).await?;
    let prepared = interrupt::or_interrupted(&begun.interrupted, prepare(begun, arguments, &helper)).await;
    let Chosen { works, record, without } = prepared?;
    works.iter().for_each(|work| ui.say(render(&work.plan).trim_end()));
    without
        .iter()
        .for_each(|seen| ui.say(&format!("{}\n  keeps no release that old, and stays as it is", seen.facts.host)));
    let mut finished = Finished::without_release(without).await;
    if arguments.dry_run {
        finished.extend(Finished::untouched(works).await);
    } else {
        let extension = match works.first().filter(|_| begun.context.is_named_only()) {
            Some(work) => work.wanted.project.toolbox.clone(),
            None => begun.context.project.toolbox.clone(),
        };
        let supplies = works.iter().map(|work| (work.plan.host.clone(), vec![Arc::clone(&helper.supply)])).collect();
        let rollout = Rollout::new(&arguments.rollout, &extension, works.len(), supplies, record);
        finished.extend(rollout.run(works, begun, ui).await);
    }
    finished.sort_by(|a, b| a.outcome.host.cmp(&b.outcome.host));
    Ok(finished)
}

/// What brings a release back.
struct Chosen {
    works: Vec<Work>,
    record: Record,
    /// Hosts that keep no release that old.
    without: Vec<Seen>,
}

/// A host and what it keeps.
struct Kept {
    seen: Seen,
    shelf: Shelf,
}

/// Connects, chooses a release for all hosts, and compares.
async fn prepare(begun: &Begun, arguments: &Rollback, helper: &Helper) -> Result<Chosen, Failures> {
    let asked = asked(arguments)?;
    let project = &begun.context.project.name;
    let kept = shelves(connect_all(begun).await?, project).await?;
    let mut target = match asked {
        Some(id) => Some(known(&kept, id)?),
        None => before(&kept, current(&kept)?),
    };
    while let Some(id) = target {
        let (wanted, record) = again_on_all(&kept, id, arguments.remove_orphans, helper)?;
        let plans = plans(&kept, &wanted)?;
        // What a deploy that only repaired something left on record is what runs.
        if asked.is_some() || plans.values().any(|plan| !plan.is_empty()) {
            return Ok(choose(kept, wanted, plans, record));
        }
        target = before(&kept, id);
    }
    Err(not_kept("the hosts keep no release before the current one".into()))
}

/// The plan of each host that has a part in it, by its name.
fn plans(kept: &[Kept], wanted: &BTreeMap<String, Wanted>) -> Result<BTreeMap<String, Plan>, Failures> {
    let (mut plans, mut failures) = (BTreeMap::new(), Vec::new());
    for Kept { seen, .. } in kept {
        let host = &seen.facts.host;
        match wanted.get(host).map(|wanted| wanted.plan(&seen.facts)) {
            None => {}
            Some(Ok(plan)) => drop(plans.insert(host.clone(), plan)),
            Some(Err(errors)) => failures.extend(errors.iter().map(|e| Failure::of(e, Some(e.hint())))),
        }
    }
    if failures.is_empty() { Ok(plans) } else { Err(Failures::configuration(failures)) }
}

fn choose(
    kept: Vec<Kept>,
    mut wanted: BTreeMap<String, Wanted>,
    mut plans: BTreeMap<String, Plan>,
    record: Record,
) -> Chosen {
    let (mut works, mut without) = (Vec::new(), Vec::new());
    for Kept { seen, .. } in kept {
        match (wanted.remove(&seen.facts.host), plans.remove(&seen.facts.host)) {
            (Some(wanted), Some(plan)) => works.push(Work { seen, wanted, plan }),
            _ => without.push(seen),
        }
    }
    Chosen { works, record, without }
}

fn asked(arguments: &Rollback) -> Result<Option<ReleaseId>, Failures> {
    let parse = |text: &String| text.parse().map_err(|e: crate::release::IdError| not_kept(e.to_string()));
    arguments.release.as_ref().map(parse).transpose()
}

fn not_kept(message: String) -> Failures {
    let hint = "see which there are: toolbox releases";
    Failures::configuration(vec![Failure::text(message, Some(hint.into()))])
}

async fn shelves(seen: Vec<Seen>, project: &str) -> Result<Vec<Kept>, Failures> {
    let (mut kept, mut failures) = (Vec::new(), Vec::new());
    for seen in seen {
        let host = seen.facts.host.clone();
        match shelf(&seen, project).await {
            Ok(shelf) => kept.push(Kept { seen, shelf }),
            Err(e) => failures.push((host.clone(), Failure::of(&e, e.hint()).on(&host))),
        }
    }
    if failures.is_empty() { Ok(kept) } else { Err(Failures::of_hosts(failures)) }
}

/// The deploy that runs on the hosts, or that was brought back last.
fn current(kept: &[Kept]) -> Result<ReleaseId, Failures> {
    for Kept { seen, shelf } in kept {
        if let Some(damaged) = shelf.damaged_and_newest() {
            let message = format!("{}: the newest release cannot be read: {damaged}", seen.facts.host);
            let hint = "name the release to go back to: toolbox rollback RELEASE";
            return Err(Failures::configuration(vec![Failure::text(message, Some(hint.into()))]));
        }
    }
    let newest = kept.iter().filter_map(|kept| kept.shelf.releases.first()).max_by_key(|release| release.id);
    newest.map(Release::origin).ok_or_else(|| not_kept("the hosts keep no release".into()))
}

/// The newest deploy before `id` that any of the hosts keeps.
fn before(kept: &[Kept], id: ReleaseId) -> Option<ReleaseId> {
    let releases = kept.iter().flat_map(|kept| &kept.shelf.releases);
    releases.filter(|release| release.rollback_of.is_none() && release.id < id).map(|release| release.id).max()
}

fn known(kept: &[Kept], id: ReleaseId) -> Result<ReleaseId, Failures> {
    let release = kept.iter().find_map(|kept| kept.shelf.find(id));
    release.map(Release::origin).ok_or_else(|| not_kept(format!("the hosts do not keep release {id}")))
}

/// What each host shall run so that it is as it was after that deploy, which may not have touched it; nothing of a host
/// that keeps no release that old.
fn again_on_all(
    kept: &[Kept],
    id: ReleaseId,
    remove_orphans: bool,
    helper: &Helper,
) -> Result<(BTreeMap<String, Wanted>, Record), Failures> {
    let (mut wanted, mut failures, mut record) = (BTreeMap::new(), Vec::new(), Record::default());
    for Kept { seen, shelf } in kept {
        let host = seen.facts.host.clone();
        let Some(release) = shelf.releases.iter().find(|r| r.rollback_of.is_none() && r.id <= id) else {
            continue;
        };
        match again(release, seen, remove_orphans, helper) {
            Ok(one) => {
                record.rollback_of.insert(host.clone(), (release.id, release.git.clone()));
                wanted.insert(host, one);
            }
            Err(failure) => failures.push((host.clone(), failure.on(&host))),
        }
    }
    if failures.is_empty() { Ok((wanted, record)) } else { Err(Failures::of_hosts(failures)) }
}

/// The release as what the host shall run.
fn again(release: &Release, seen: &Seen, remove_orphans: bool, helper: &Helper) -> Result<Wanted, Failure> {
    let engine = seen.facts.engine.as_ref().map_err(|cause| Failure::text(cause.to_string(), None))?;
    let mut project = as_a_rollback(release.project.clone());
    let images = Arc::new(images(release, &mut project, engine)?);
    let helper = Arc::clone(&helper.image);
    Ok(Wanted { project, images, helper, services: None, remove_orphans })
}

/// The releases of a host; none where the project has left nothing.
///
/// # Errors
/// They are there and cannot be read.
pub(super) async fn shelf(seen: &Seen, project: &str) -> Result<Shelf, StoreError> {
    let (Some(engine), Ok(state)) = (seen.session.engine(), &seen.facts.engine) else {
        return Ok(Shelf::default());
    };
    let keeper = keeper_name(project);
    if state.of_project(project).any(|container| container.role == Role::Keeper) {
        return Store::new(engine, &keeper).shelf().await;
    }
    if state.volumes.contains_key(&keeper) { Err(StoreError::NoKeeper { keeper }) } else { Ok(Shelf::default()) }
}

/// The release's images, which the host has pinned. Two services that name one image may have run different ones, after
/// a deploy of one of them: the second is then named by its pin.
fn images(
    release: &Release,
    project: &mut Project,
    engine: &EngineState,
) -> Result<BTreeMap<String, DesiredImage>, Failure> {
    let mut images: BTreeMap<String, DesiredImage> = BTreeMap::new();
    for (name, service) in &mut project.services {
        let Some(released) = release.services.get(name) else { continue };
        let pin = release.pin(name);
        let here = engine.image(&pin.full()).or_else(|| engine.images.iter().find(|i| i.facts.id == released.image.id));
        let here = here.ok_or_else(|| gone(release, name))?;
        let other = images.get(&service.image).is_some_and(|image| image.facts.id != here.facts.id);
        let reference = if other { pin } else { released.image.reference.clone() };
        if other {
            service.image = reference.familiar();
        }
        let image = DesiredImage { reference, facts: here.facts.clone(), layer_sizes: BTreeMap::new() };
        images.insert(service.image.clone(), image);
    }
    Ok(images)
}

fn gone(release: &Release, service: &str) -> Failure {
    let message = format!("the image of {service} in release {} is not on the host any more", release.id);
    let hint = match &release.git {
        Some(git) => format!("somebody removed it there; deploy again from the sources: {}", git.revision),
        None => "somebody removed it there; deploy again from the sources of that release".into(),
    };
    Failure::text(message, Some(hint))
}

/// `rollback_config` says how.
fn as_a_rollback(mut project: Project) -> Project {
    for service in project.services.values_mut() {
        if let Some(rollback) = service.rollback.clone() {
            service.update = rollback;
        }
    }
    project
}
