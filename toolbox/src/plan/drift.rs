//! What a person changed by hand on a container that exists.
//!
//! Contract: short texts, the same for a plan's causes and for `status`. Compared is only what the file decides: further
//! names and addresses that an engine gives are its own business.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::compose::{Attachment, Project, RestartPolicy, Service};
use crate::state::{EngineState, Live, ObservedContainer, Place};

use super::relay::attachments;
use super::text::bytes;

/// What is not as the service says, of a container that was made from just this definition; `behind_relay`: the names
/// and fixed addresses are a relay's.
pub fn drift(
    project: &Project,
    service: &Service,
    engine: &EngineState,
    container: &ObservedContainer,
    behind_relay: bool,
) -> Vec<String> {
    let Some(live) = &container.live else { return Vec::new() };
    let mut wanted = attachments(project, service);
    if behind_relay {
        wanted.values_mut().for_each(|attachment| *attachment = Attachment::default());
    }
    let settings = setting_drift(service, live);
    settings.into_iter().chain(network_drift(service, wanted, engine, live)).collect()
}

/// The same of the relay before a service.
pub fn relay_drift(
    project: &Project,
    service: &Service,
    engine: &EngineState,
    relay: &ObservedContainer,
) -> Vec<String> {
    let Some(live) = &relay.live else { return Vec::new() };
    let restart = (live.restart != "unless-stopped").then(|| format!("restart is {}", live.restart));
    network_drift(service, attachments(project, service), engine, live).into_iter().chain(restart).collect()
}

/// What `docker update` changed. A limit that the host cannot set is dropped by the engine when it creates the
/// container, and nobody can take one away afterwards but by another number: none is no drift.
fn setting_drift(service: &Service, live: &Live) -> Vec<String> {
    let mut what = Vec::new();
    let restart = if live.restart.is_empty() { "no" } else { &live.restart };
    if restart != restart_word(service.restart) {
        what.push(format!("restart is {restart}"));
    }
    let memory = service.mem_limit.map_or(0, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    if differs(memory, live.memory) {
        what.push(format!("mem_limit is {}", u64::try_from(live.memory).map_or("none".into(), bytes)));
    }
    if differs(service.nano_cpus.unwrap_or_default(), live.nano_cpus) {
        what.push(format!("cpus is {}", live.nano_cpus as f64 / 1e9));
    }
    if differs(service.pids_limit.unwrap_or_default(), live.pids_limit) {
        what.push(format!("pids_limit is {}", live.pids_limit));
    }
    let wanted = limits(service);
    let other = live.limits.iter().filter(|(name, value)| match wanted.get(*name) {
        Some(wanted) => wanted != *value,
        // The engine sets it to twice the memory.
        None => **name != "memswap_limit",
    });
    what.extend(other.map(|(name, value)| format!("{name} is {value}")));
    what
}

/// The limits beside those for memory, CPUs and processes that a service asks for, as [`Live::limits`].
pub(super) fn limits(service: &Service) -> BTreeMap<&'static str, String> {
    let more = &service.resources;
    let numbers = [
        ("mem_reservation", service.mem_reservation.and_then(|bytes| bytes.try_into().ok())),
        ("memswap_limit", more.memswap_limit),
        ("cpu_shares", more.cpu_shares),
        ("cpu_period", more.cpu_period),
        ("cpu_quota", more.cpu_quota),
        ("cpu_rt_period", more.cpu_rt_period),
        ("cpu_rt_runtime", more.cpu_rt_runtime),
        ("blkio_config.weight", more.blkio.as_ref().and_then(|blkio| blkio.weight).map(i64::from)),
    ];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?.to_string())));
    numbers.chain(more.cpuset.clone().map(|set| ("cpuset", set))).collect()
}

/// No limit is 0, -1 or absent.
fn differs(wanted: i64, live: i64) -> bool {
    live != 0 && wanted.max(0) != live.max(0)
}

/// A restart policy in the engine's words.
fn restart_word(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => "no".into(),
        RestartPolicy::Always => "always".into(),
        RestartPolicy::UnlessStopped => "unless-stopped".into(),
        RestartPolicy::OnFailure { max: Some(max) } if max > 0 => format!("on-failure:{max}"),
        RestartPolicy::OnFailure { .. } => "on-failure".into(),
    }
}

/// Networks that it was connected to or disconnected from by hand, those that are gone, and what it lost in one.
fn network_drift(
    service: &Service,
    mut wanted: BTreeMap<String, Attachment>,
    engine: &EngineState,
    live: &Live,
) -> Vec<String> {
    match &service.network_mode {
        None => {}
        Some(mode) if ["host", "none", "bridge"].contains(&mode.as_str()) => {
            wanted.insert(mode.clone(), Attachment::default());
        }
        // The engine names the container whose namespace it is by an id.
        Some(_) => return Vec::new(),
    }
    let off = wanted.keys().filter(|n| !live.networks.contains_key(*n)).map(|n| format!("disconnected from {n}"));
    let on = live.networks.keys().filter(|n| !wanted.contains_key(*n)).map(|n| format!("connected to {n}"));
    let there = || wanted.iter().filter_map(|(name, own)| Some((name, own, live.networks.get(name)?)));
    let gone = there().filter(|(name, ..)| !engine.networks.contains_key(*name));
    let gone = gone.map(|(name, ..)| format!("network {name} is gone"));
    off.chain(on).chain(gone).chain(there().flat_map(|(name, own, place)| lost(name, own, place))).collect()
}

/// Names and fixed addresses that it does not have in a network that it is in.
fn lost(network: &str, wanted: &Attachment, place: &Place) -> Vec<String> {
    let names = wanted.aliases.iter().filter(|name| !place.names.contains(*name));
    let names = names.map(|name| format!("without its name {name} in {network}"));
    let fixed = [&wanted.ipv4_address, &wanted.ipv6_address].into_iter().flatten();
    let fixed = fixed.filter_map(|text| text.parse::<IpAddr>().ok());
    let moved = fixed.filter(|fixed| has_another(&place.addresses, fixed));
    names.chain(moved.map(|fixed| format!("without its address {fixed} in {network}"))).collect()
}

/// One that is stopped may not tell any.
fn has_another(addresses: &BTreeSet<IpAddr>, fixed: &IpAddr) -> bool {
    let mut alike = addresses.iter().filter(|ip| ip.is_ipv4() == fixed.is_ipv4()).peekable();
    alike.peek().is_some() && !addresses.contains(fixed)
}
