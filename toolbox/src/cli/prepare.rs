//! What `plan` and `deploy` share: look at everything, compare, and know what would be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::apply::{Event, ImageSource, SourceError, Spool, desired, find};
use crate::image::Reference;
use crate::plan::{Desired, DesiredImage, Plan, human_bytes, reconcile};
use crate::ssh::AgentDialer;

use super::args::Images;
use super::connect::{Seen, connect_all};
use super::context::Context;
use super::failure::{Failure, Failures, configuration};

/// Everything that a deploy needs; nothing was changed yet.
pub(super) struct Prepared {
    /// The hosts, in the order of `plans`.
    pub(super) hosts: Vec<Seen>,
    /// One plan a host.
    pub(super) plans: Vec<Plan>,
    /// The images to send, where there are any.
    pub(super) spool: Option<Arc<Spool>>,
}

/// Connects, looks, compares; reads the images that must be sent.
///
/// # Errors
/// Whatever stands in the way of a plan, before anything is changed.
pub(super) async fn prepare(
    context: &Context,
    agent: &AgentDialer,
    arguments: &Images,
    events: &UnboundedSender<Event>,
) -> Result<Prepared, Failures> {
    let source = source(arguments).await.map_err(|e| source_failure(&e))?;
    let mut images = source.describe(&context.images()).await.map_err(|e| source_failure(&e))?;
    let hosts = connect_all(context, agent, events).await?;
    let mut plans = plans(context, &hosts, &images)?;
    let pushes: BTreeSet<Reference> = plans.iter().flat_map(Plan::pushes).cloned().collect();
    let mut spool = None;
    if !pushes.is_empty() {
        let references: Vec<Reference> = pushes.into_iter().collect();
        let archive = source.spool(&references).await.map_err(|e| source_failure(&e))?;
        add_sizes(&mut images, &archive);
        plans = self::plans(context, &hosts, &images)?;
        check_room(&hosts, &plans).await?;
        spool = Some(archive);
    }
    Ok(Prepared { hosts, plans, spool })
}

async fn source(arguments: &Images) -> Result<ImageSource, SourceError> {
    let cache = arguments.cache.clone().unwrap_or_else(cache);
    match &arguments.images {
        Some(file) => ImageSource::archive(file, &cache).await,
        None => ImageSource::engine(&arguments.local_socket, &cache).await,
    }
}

/// The image's own cache directory, which is a volume; elsewhere the system's temporary directory.
fn cache() -> PathBuf {
    let own = PathBuf::from("/var/cache/toolbox");
    if own.is_dir() { own } else { std::env::temp_dir() }
}

fn source_failure(error: &SourceError) -> Failures {
    configuration(error, error.hint())
}

fn plans(context: &Context, hosts: &[Seen], images: &BTreeMap<String, DesiredImage>) -> Result<Vec<Plan>, Failures> {
    let desired = Desired { project: &context.project, images };
    let (mut plans, mut failures) = (Vec::new(), Vec::new());
    for host in hosts {
        match reconcile(desired, &host.facts) {
            Ok(plan) => plans.push(plan),
            Err(errors) => failures.extend(errors.iter().map(|e| Failure::of(e, Some(e.hint())))),
        }
    }
    if failures.is_empty() { Ok(plans) } else { Err(Failures::configuration(failures)) }
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
async fn check_room(hosts: &[Seen], plans: &[Plan]) -> Result<(), Failures> {
    let mut short = Vec::new();
    for (host, plan) in hosts.iter().zip(plans) {
        let free = host.session.free_bytes(&host.facts).await;
        let free = free.map_err(|e| Failures::failed(vec![Failure::of(&e, e.hint()).on(&plan.host)]))?;
        short.extend(free.and_then(|free| no_room(plan, free)));
    }
    if short.is_empty() { Ok(()) } else { Err(Failures::failed(short)) }
}

fn no_room(plan: &Plan, free: u64) -> Option<Failure> {
    let needed = plan.bytes_to_send().saturating_mul(2);
    (needed > free).then(|| {
        let (needed, free) = (human_bytes(needed), human_bytes(free));
        let message = format!("{}: the images need {needed} on the host's disk, {free} are free", plan.host);
        Failure::text(message, Some("make room on the host: docker system df, docker image prune".into()))
    })
}
