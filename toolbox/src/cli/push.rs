//! `toolbox push`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use crate::agent::KeySource;
use crate::apply::{AtHand, HostRoute, ImageSource, Place, Push, Seeding, Supply};
use crate::engine::{Docker, Engine as _};
use crate::image::Reference;
use crate::plan::{Action, DesiredImage, Plan, render, send};
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args::{self, Common};
use super::begin::{Begun, begin_with};
use super::connect::{Seen, connect_all};
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::helper::Helper;
use super::interrupt;
use super::prepare::{add_sizes, check_room, default_cache, lasting, missing, platform, source, source_failure};
use super::rollout::Supplies;

/// Arguments of `push`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    names: Vec<String>,
    #[command(flatten)]
    images: args::Images,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Hosts that are sent to at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    parallel: u16,
    #[command(flatten)]
    reconnect: args::Reconnect,
}

type Images = BTreeMap<String, DesiredImage>;
type Ended = (HostOutcome, Option<Failure>);

/// What goes to the hosts.
struct Load {
    hosts: Vec<(Seen, Plan)>,
    supplies: Supplies,
    helper: Reference,
}

/// Shows what the hosts lack, and sends it.
pub(super) async fn run(
    common: &Common,
    arguments: &Arguments,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let references = references(&arguments.names)?;
    let begun = begin_with(Context::of_hosts(common)?, common, key, ui).await?;
    let prepared = prepare(&begun, arguments, &references);
    let ended = match interrupt::or_interrupted(&begun.interrupted, prepared).await {
        Ok(load) if arguments.dry_run => Ok(show(load, ui).await),
        Ok(load) => Ok(send_all(load, arguments, &begun, ui).await),
        Err(failures) => Err(failures),
    };
    begun.end().await;
    let ended = ended?;
    ended.iter().filter_map(|(_, failure)| failure.as_ref()).for_each(|failure| failure.show(&ui));
    let outcomes: Vec<HostOutcome> = ended.into_iter().map(|(outcome, _)| outcome).collect();
    if !arguments.dry_run {
        ui.data(&HostOutcome::recap(&outcomes));
    }
    Ok(ExitStatus::of(&outcomes))
}

/// The names as they are known to engines.
fn references(names: &[String]) -> Result<BTreeMap<String, Reference>, Failures> {
    let (mut references, mut failures) = (BTreeMap::new(), Vec::new());
    for name in names {
        match Reference::parse(name) {
            Ok(reference) => drop(references.insert(name.clone(), reference)),
            Err(error) => failures.push(Failure::text(format!("image {name:?}: {error}"), None)),
        }
    }
    if failures.is_empty() { Ok(references) } else { Err(Failures::configuration(failures)) }
}

async fn prepare(
    begun: &Begun,
    arguments: &Arguments,
    references: &BTreeMap<String, Reference>,
) -> Result<Load, Failures> {
    let cache = arguments.images.cache.clone().unwrap_or_else(default_cache);
    begun.ours.open(lasting(&cache));
    let helper = Helper::find(&cache).await?;
    let source = source(&arguments.images, &cache).await.map_err(|e| source_failure(&e))?;
    let named = references.keys().map(|name| (name.clone(), name.clone())).collect();
    let at_hand = source.describe(&named).await.map_err(|e| source_failure(&e))?;
    all_there(references, &at_hand, arguments)?;
    let seen = connect_all(begun).await?;
    let load = read(&Arc::new(source), seen, &at_hand, &helper).await?;
    check_room(load.hosts.iter().map(|(seen, plan)| (seen, plan))).await?;
    Ok(load)
}

/// Reads what any host lacks, once for all hosts of a platform.
async fn read(source: &Arc<ImageSource>, seen: Vec<Seen>, at_hand: &AtHand, helper: &Helper) -> Result<Load, Failures> {
    let mut platforms: BTreeMap<(String, String), Vec<Seen>> = BTreeMap::new();
    for seen in seen {
        platforms.entry(platform(&seen.facts)).or_default().push(seen);
    }
    let reference = helper.image.reference.clone();
    let mut load = Load { hosts: Vec::new(), supplies: Supplies::new(), helper: reference };
    for ((architecture, variant), seen) in platforms {
        let mut images = at_hand.for_host(&architecture, &variant);
        let mut hosts = plan_all(seen, &images)?;
        let mut here = vec![Arc::clone(&helper.supply)];
        let (lacking, layers) = missing(hosts.iter().map(|(_, plan)| (&images, plan)), &load.helper);
        if !lacking.is_empty() {
            here.extend(source.fetch(&lacking, Some(&layers)).await.map_err(|e| source_failure(&e))?);
            add_sizes(&mut images, &here);
            hosts = plan_all(hosts.into_iter().map(|(seen, _)| seen).collect(), &images)?;
        }
        load.supplies.extend(hosts.iter().map(|(_, plan)| (plan.host.clone(), here.clone())));
        load.hosts.extend(hosts);
    }
    load.hosts.sort_by(|(_, a), (_, b)| a.host.cmp(&b.host));
    Ok(load)
}

fn all_there(references: &BTreeMap<String, Reference>, images: &AtHand, arguments: &Arguments) -> Result<(), Failures> {
    let files: Vec<String> = arguments.images.images.iter().map(|file| file.display().to_string()).collect();
    let place = if files.is_empty() { "not here".to_owned() } else { format!("not in {}", files.join(", ")) };
    let images = images.for_host("", "");
    let missing = references.keys().filter(|name| !images.contains_key(*name));
    let failures: Vec<Failure> = missing
        .map(|name| {
            let hint = format!("see what there is: docker image ls; or fetch it first: docker pull {name}");
            Failure::text(format!("image {name} is {place}"), Some(hint))
        })
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(Failures::configuration(failures)) }
}

/// What each host lacks; or everything that stands in the way on any of them.
fn plan_all(seen: Vec<Seen>, images: &Images) -> Result<Vec<(Seen, Plan)>, Failures> {
    let (mut planned, mut failures) = (Vec::new(), Vec::new());
    for seen in seen {
        if seen.facts.engine.is_err() {
            let hint = "make it ready first: toolbox bootstrap; or start it on the host: systemctl start docker";
            let message = format!("{}: no container engine runs there", seen.facts.host);
            failures.push((seen.facts.host.clone(), Failure::text(message, Some(hint.into()))));
            continue;
        }
        match send(images.values(), &seen.facts) {
            Ok(plan) => planned.push((seen, plan)),
            Err(errors) => {
                failures.extend(errors.iter().map(|e| (seen.facts.host.clone(), Failure::of(e, Some(e.hint())))));
            }
        }
    }
    if failures.is_empty() { Ok(planned) } else { Err(Failures::of_hosts(failures)) }
}

/// Prints the plans.
async fn show(load: Load, ui: Ui) -> Vec<Ended> {
    let mut ended = Vec::new();
    for (seen, plan) in load.hosts {
        ui.data(&render(&plan));
        seen.session.close().await;
        ended.push((outcome(&plan, Outcome::Ok), None));
    }
    ended
}

async fn send_all(load: Load, arguments: &Arguments, begun: &Begun, ui: Ui) -> Vec<Ended> {
    let Load { mut hosts, supplies, helper } = load;
    let (count, seeding) = (hosts.len(), Seeding::among(&begun.context.hosts));
    hosts.iter().for_each(|(_, plan)| ui.say(render(plan).trim_end()));
    // Those that a seed passes images on to come while it does.
    hosts.sort_by_key(|(_, plan)| !seeding.is_seed(&plan.host));
    let seeding = &seeding;
    let sends = hosts.into_iter().map(|(seen, plan)| {
        let reconnect = arguments.reconnect.limit();
        let cargo = Cargo { supplies: &supplies[&plan.host], helper: &helper, hosts: count, reconnect };
        async move {
            let mut interrupted = begun.interrupted.clone();
            let place = seeding.begin(&plan.host, cargo.supplies.iter().map(|supply| supply.shipment(count)));
            let sent = tokio::select! {
                sent = send_one(&seen, &plan, &cargo, place) => sent,
                _ = interrupted.wait_for(|i| *i) => Err((Outcome::Interrupted, None)),
            };
            let (how, failure) = sent.map_or_else(|ended| ended, |()| (Outcome::Ok, None));
            seen.session.close().await;
            (outcome(&plan, how), failure)
        }
    });
    let mut ended: Vec<Ended> = stream::iter(sends).buffer_unordered(arguments.parallel.into()).collect().await;
    ended.sort_by(|(a, _), (b, _)| a.host.cmp(&b.host));
    ended
}

fn outcome(plan: &Plan, outcome: Outcome) -> HostOutcome {
    let changed = if outcome == Outcome::Ok { plan.operations.len() } else { 0 };
    HostOutcome { host: plan.host.clone(), changed, unchanged: plan.unchanged.len(), outcome }
}

/// What a host gets its images from.
struct Cargo<'a> {
    supplies: &'a [Arc<Supply>],
    helper: &'a Reference,
    hosts: usize,
    reconnect: Duration,
}

async fn send_one(seen: &Seen, plan: &Plan, cargo: &Cargo<'_>, place: Place) -> Result<(), (Outcome, Option<Failure>)> {
    let failed = |error: &dyn std::error::Error, hint| {
        (Outcome::FailedIncomplete, Some(Failure::of(error, hint).on(&plan.host)))
    };
    let (Some(engine), Ok(facts)) = (seen.session.engine(), &seen.facts.engine) else { return Ok(()) };
    seen.session.comes_back();
    tag(engine, plan).await.map_err(|e| failed(&e, e.hint()))?;
    let held: BTreeMap<Reference, usize> = plan.operations.iter().filter_map(pushed).collect();
    let (route, events) = (HostRoute::new(&seen.session), seen.session.events());
    let shipments = cargo.supplies.iter().map(|supply| supply.shipment(cargo.hosts));
    let helper = shipments.into_iter().find(|s| s.holds(cargo.helper)).map(|s| (cargo.helper, s));
    for supply in cargo.supplies {
        let shipment = supply.shipment(cargo.hosts);
        let here: BTreeMap<Reference, usize> =
            held.iter().filter(|(r, _)| shipment.holds(r)).map(|(r, h)| (r.clone(), *h)).collect();
        if here.is_empty() {
            place.leave(shipment);
            continue;
        }
        let (images, ours, place) = (&facts.images, seen.session.ours(), &place);
        let reconnect = cargo.reconnect;
        let sending = Push { shipment, held: &here, helper, images, ours, place, reconnect };
        let names: Vec<String> = here.keys().map(Reference::familiar).collect();
        let sent = supply.send(engine, &route, &sending, events);
        let sent = events.step(&format!("push {}", names.join(", ")), sent).await;
        place.leave(shipment);
        sent.map_err(|e| failed(&e, e.hint()))?;
    }
    Ok(())
}

/// Names for images that the host holds.
async fn tag(engine: &Docker, plan: &Plan) -> Result<(), crate::engine::EngineError> {
    for operation in &plan.operations {
        if let Action::TagImage { reference, id } = &operation.action {
            engine.tag(id, reference).await?;
        }
    }
    Ok(())
}

/// An image that is sent, and how many of its layers the host holds.
pub(super) fn pushed(operation: &crate::plan::Operation) -> Option<(Reference, usize)> {
    match &operation.action {
        Action::PushImage { reference, held_layers, .. } => Some((reference.clone(), *held_layers)),
        _ => None,
    }
}
