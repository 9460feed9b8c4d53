//! What `plan` and `deploy` share: look at everything, compare, and know what would be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::apply::{ImageSource, SourceError, Spool, desired, find};
use crate::compose::Project;
use crate::image::Reference;
use crate::plan::{Desired, DesiredImage, HostFacts, Plan, PlanError, human_bytes, reconcile};

use super::args::Images;
use super::begin::Begun;
use super::connect::{Seen, connect_for};
use super::context::Context;
use super::failure::{Failure, Failures, configuration};
use super::helper::Helper;
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
    pub(super) spools: Vec<Arc<Spool>>,
    /// All images at hand.
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
    let helper = Helper::find(&cache).await?;
    let source = source(asked.images, &cache).await.map_err(|e| source_failure(&e))?;
    let mut images = source.describe(&context.images()).await.map_err(|e| source_failure(&e))?;
    let scope = |host: &str| {
        let (project, helper) = (&context.placed[host], &helper.image);
        Desired { project, images: &images, helper, services: None, remove_orphans: false }.scope()
    };
    let seen = connect_for(begun, scope).await?;
    let mut works = plan_all(context, asked, seen, Arc::new(images.clone()), &helper)?;
    let pushes = works.iter().flat_map(|work| work.plan.pushes()).filter(|r| **r != helper.image.reference);
    let pushes: BTreeSet<Reference> = pushes.cloned().collect();
    let mut spools = vec![helper.spool.clone()];
    if !pushes.is_empty() {
        let references: Vec<Reference> = pushes.into_iter().collect();
        let archive = source.spool(&references).await.map_err(|e| source_failure(&e))?;
        add_sizes(&mut images, &archive);
        let seen = works.into_iter().map(|work| work.seen).collect();
        works = plan_all(context, asked, seen, Arc::new(images.clone()), &helper)?;
        spools.push(archive);
    }
    check_room(&works).await?;
    Ok(Prepared { works, spools, images: Arc::new(images) })
}

fn plan_all(
    context: &Context,
    asked: &Asked<'_>,
    seen: Vec<Seen>,
    images: Arc<BTreeMap<String, DesiredImage>>,
    helper: &Helper,
) -> Result<Vec<Work>, Failures> {
    let works = seen.into_iter().map(|seen| {
        let project = context.placed[&seen.facts.host].clone();
        let chosen = asked.services.iter().filter(|name| project.services.contains_key(*name));
        let services = (!asked.services.is_empty()).then(|| chosen.cloned().collect());
        let (images, helper) = (Arc::clone(&images), Arc::clone(&helper.image));
        (seen, Wanted { project, images, helper, services, remove_orphans: asked.remove_orphans })
    });
    let (mut planned, mut failures) = (Vec::new(), Vec::new());
    for (seen, wanted) in works {
        match wanted.plan(&seen.facts) {
            Ok(plan) => planned.push(Work { seen, wanted, plan }),
            Err(errors) => failures.extend(errors.iter().map(|e| Failure::of(e, Some(e.hint())))),
        }
    }
    if failures.is_empty() { Ok(planned) } else { Err(Failures::configuration(failures)) }
}

async fn source(arguments: &Images, cache: &std::path::Path) -> Result<ImageSource, SourceError> {
    match &arguments.images {
        Some(file) => ImageSource::archive(file, cache).await,
        None => ImageSource::engine(&arguments.local_socket, cache).await,
    }
}

/// The image's own cache directory, which is a volume; elsewhere the system's temporary directory.
pub(super) fn default_cache() -> PathBuf {
    let own = PathBuf::from("/var/cache/toolbox");
    if own.is_dir() { own } else { std::env::temp_dir() }
}

fn source_failure(error: &SourceError) -> Failures {
    configuration(error, error.hint())
}

/// The read images replace what the engine said of them, which lacks the sizes.
fn add_sizes(images: &mut BTreeMap<String, DesiredImage>, archive: &Spool) {
    for image in images.values_mut() {
        if let Some(read) = find(archive, &image.reference) {
            *image = desired(image.reference.clone(), read);
        }
    }
}

/// An engine unpacks a tarball beside its data: twice the size must fit.
async fn check_room(works: &[Work]) -> Result<(), Failures> {
    let mut short = Vec::new();
    for Work { seen, plan, .. } in works.iter().filter(|work| work.plan.bytes_to_send() > 0) {
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
