//! What `plan` and `deploy` share: look at everything, compare, and know what would be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::apply::{AtHand, ImageSource, SourceError, Supply, desired, find};
use crate::compose::Project;
use crate::image::{DiffId, Reference};
use crate::plan::{Action, Desired, DesiredImage, HostFacts, Plan, PlanError, human_bytes, reconcile};
use crate::state::EngineState;

use super::args::Images;
use super::begin::Begun;
use super::connect::{Seen, connect_for};
use super::context::Context;
use super::failure::{Failure, Failures, configuration};
use super::helper::Helper;
use super::rollout::Supplies;
use super::services::chosen;

/// What a host shall run.
pub(super) struct Wanted {
    /// What belongs on the host.
    pub(super) project: Project,
    /// Images at hand.
    pub(super) images: Arc<BTreeMap<String, DesiredImage>>,
    /// What relays and the keeper are made from.
    pub(super) helper: Arc<DesiredImage>,
    /// Only these services are changed.
    pub(super) services: Option<BTreeSet<String>>,
    /// Containers of services that are not in the project go.
    pub(super) remove_orphans: bool,
}

impl Wanted {
    /// What has to happen on a host that is like this.
    ///
    /// # Errors
    /// Everything that stands in the way.
    pub(super) fn plan(&self, facts: &HostFacts) -> Result<Plan, Vec<PlanError>> {
        reconcile(self.desired(), facts)
    }

    /// For the plan, and for what it must know.
    pub(super) fn desired(&self) -> Desired<'_> {
        Desired {
            project: &self.project,
            images: &self.images,
            helper: &self.helper,
            services: self.services.as_ref(),
            remove_orphans: self.remove_orphans,
        }
    }
}

/// A host, what it shall run, and what has to happen for that.
pub(super) struct Work {
    /// The host.
    pub(super) seen: Seen,
    /// What it shall run.
    pub(super) wanted: Wanted,
    /// What has to happen.
    pub(super) plan: Plan,
}

/// Everything that a deploy needs; nothing was changed yet.
pub(super) struct Prepared {
    /// The hosts.
    pub(super) works: Vec<Work>,
    /// The images to send.
    pub(super) supplies: Supplies,
    /// All images at hand, by name and platform.
    pub(super) images: Arc<BTreeMap<String, DesiredImage>>,
}

/// What a person asked for beyond the files.
pub(super) struct Asked<'a> {
    /// Where images come from.
    pub(super) images: &'a Images,
    /// Only these services; empty is all.
    pub(super) services: &'a [String],
    /// Containers of services that are not in the project go.
    pub(super) remove_orphans: bool,
}

/// Connects, looks, compares; reads the images that must be sent.
///
/// # Errors
/// Whatever stands in the way of a plan, before anything is changed.
pub(super) async fn prepare(begun: &Begun, asked: &Asked<'_>) -> Result<Prepared, Failures> {
    let context = &begun.context;
    chosen(&context.project, asked.services)?;
    let cache = asked.images.cache.clone().unwrap_or_else(default_cache);
    begun.ours.open(lasting(&cache));
    let helper = Helper::find(&cache).await?;
    let source = source(asked.images, &cache).await.map_err(|e| source_failure(&e))?;
    let at_hand = source.describe(&context.images()).await.map_err(|e| source_failure(&e))?;
    let usual = at_hand.for_host("", "");
    let scope = |host: &str| {
        let (project, helper) = (&context.placed[host], &helper.image);
        Desired { project, images: &usual, helper, services: None, remove_orphans: false }.scope()
    };
    let seen = connect_for(begun, scope).await?;
    let works = plan_all(context, asked, seen, &at_hand, &helper)?;
    let (works, supplies) = read(&Arc::new(source), works, &helper).await?;
    check_room(works.iter().map(|work| (&work.seen, &work.plan))).await?;
    Ok(Prepared { works, supplies, images: Arc::new(at_hand.all()) })
}

/// Reads what any host must get, once for all hosts of a platform, and plans anew with the sizes.
async fn read(source: &Arc<ImageSource>, works: Vec<Work>, helper: &Helper) -> Result<(Vec<Work>, Supplies), Failures> {
    let order: Vec<String> = works.iter().map(|work| work.plan.host.clone()).collect();
    let mut platforms: BTreeMap<(String, String), Vec<Work>> = BTreeMap::new();
    for work in works {
        platforms.entry(platform(&work.seen.facts)).or_default().push(work);
    }
    let (mut planned, mut supplies) = (Vec::new(), Supplies::new());
    for mut works in platforms.into_values() {
        let mut here = vec![Arc::clone(&helper.supply)];
        let each = works.iter().map(|work| (&*work.wanted.images, &work.plan));
        let (images, layers) = missing(each, &helper.image.reference);
        if !images.is_empty() {
            here.extend(source.fetch(&images, Some(&layers)).await.map_err(|e| source_failure(&e))?);
            works = plan_each(works.into_iter().map(|mut work| {
                add_sizes(Arc::make_mut(&mut work.wanted.images), &here);
                (work.seen, work.wanted)
            }))?;
        }
        supplies.extend(works.iter().map(|work| (work.plan.host.clone(), here.clone())));
        planned.extend(works);
    }
    planned.sort_by_key(|work| order.iter().position(|host| *host == work.plan.host));
    Ok((planned, supplies))
}

/// The images that some of the hosts lack, and the layers of them.
pub(super) fn missing<'a>(
    hosts: impl Iterator<Item = (&'a BTreeMap<String, DesiredImage>, &'a Plan)>,
    helper: &Reference,
) -> (Vec<DesiredImage>, BTreeSet<DiffId>) {
    let (mut lacking, mut layers) = (BTreeMap::new(), BTreeSet::new());
    for (images, plan) in hosts {
        for action in plan.operations.iter().map(|operation| &operation.action) {
            let Action::PushImage { reference, held_layers, .. } = action else { continue };
            let image = images.values().find(|image| image.reference == *reference && reference != helper);
            let Some(image) = image else { continue };
            layers.extend(image.facts.layers.iter().skip(*held_layers));
            lacking.insert(reference, image.clone());
        }
    }
    (lacking.into_values().collect(), layers)
}

/// The read images replace what their source said of them, which lacks the sizes.
pub(super) fn add_sizes(images: &mut BTreeMap<String, DesiredImage>, supplies: &[Arc<Supply>]) {
    for image in images.values_mut() {
        if let Some(read) = supplies.iter().find_map(|supply| find(supply.spool(), &image.reference)) {
            *image = desired(image.reference.clone(), read);
        }
    }
}

/// Architecture and variant of the engine; empty where they are not known.
pub(super) fn platform(facts: &HostFacts) -> (String, String) {
    let words = |engine: &EngineState| (engine.architecture.clone(), engine.variant.clone());
    facts.engine.as_ref().map(words).unwrap_or_default()
}

fn plan_all(
    context: &Context,
    asked: &Asked<'_>,
    seen: Vec<Seen>,
    at_hand: &AtHand,
    helper: &Helper,
) -> Result<Vec<Work>, Failures> {
    let works = seen.into_iter().map(|seen| {
        let project = context.placed[&seen.facts.host].clone();
        let chosen = asked.services.iter().filter(|name| project.services.contains_key(*name));
        let services = (!asked.services.is_empty()).then(|| chosen.cloned().collect());
        let (architecture, variant) = platform(&seen.facts);
        let images = Arc::new(at_hand.for_host(&architecture, &variant));
        let helper = Arc::clone(&helper.image);
        (seen, Wanted { project, images, helper, services, remove_orphans: asked.remove_orphans })
    });
    plan_each(works)
}

/// The plan of each host, or everything that stands in the way on any of them.
fn plan_each(works: impl Iterator<Item = (Seen, Wanted)>) -> Result<Vec<Work>, Failures> {
    let (mut planned, mut failures) = (Vec::new(), Vec::new());
    for (seen, wanted) in works {
        match wanted.plan(&seen.facts) {
            Ok(plan) => planned.push(Work { seen, wanted, plan }),
            Err(errors) => failures.extend(errors.iter().map(|e| Failure::of(e, Some(e.hint())))),
        }
    }
    if failures.is_empty() { Ok(planned) } else { Err(Failures::configuration(failures)) }
}

pub(super) async fn source(arguments: &Images, cache: &Path) -> Result<ImageSource, SourceError> {
    if arguments.images.is_empty() {
        return ImageSource::engine(&arguments.local_socket, cache).await;
    }
    ImageSource::files(&arguments.images, cache).await
}

/// The image's own cache directory, which is a volume; elsewhere the system's temporary directory.
pub(super) fn default_cache() -> PathBuf {
    let own = PathBuf::from("/var/cache/toolbox");
    if own.is_dir() { own } else { std::env::temp_dir() }
}

/// The directory, where it is one that outlives the system.
pub(super) fn lasting(cache: &Path) -> Option<&Path> {
    (cache != std::env::temp_dir()).then_some(cache)
}

pub(super) fn source_failure(error: &SourceError) -> Failures {
    configuration(error, error.hint())
}

/// An engine unpacks a tarball beside its data: twice the size must fit.
pub(super) async fn check_room(works: impl Iterator<Item = (&Seen, &Plan)>) -> Result<(), Failures> {
    let mut short = Vec::new();
    for (seen, plan) in works.filter(|(_, plan)| plan.bytes_to_send() > 0) {
        let free = seen.session.free_bytes(&seen.facts).await;
        let failed = |e: crate::apply::SessionError| {
            Failures::of_hosts(vec![(plan.host.clone(), Failure::of(&e, e.hint()).on(&plan.host))])
        };
        short.extend(free.map_err(failed)?.and_then(|free| no_room(plan, free)));
    }
    if short.is_empty() { Ok(()) } else { Err(Failures::of_hosts(short)) }
}

fn no_room(plan: &Plan, free: u64) -> Option<(String, Failure)> {
    let needed = plan.bytes_to_send().saturating_mul(2);
    (needed > free).then(|| {
        let (needed, free) = (human_bytes(needed), human_bytes(free));
        let message = format!("{}: the images need {needed} on the host's disk, {free} are free", plan.host);
        let hint = "make room on the host: docker system df, docker image prune";
        (plan.host.clone(), Failure::text(message, Some(hint.into())))
    })
}
