//! What a service may use: `deploy`, limits, ulimits, devices.

use std::collections::BTreeMap;

use super::Context;
use super::fields::Fields;
use super::values;
use crate::compose::keys;
use crate::compose::model::Ulimit;
use crate::yaml::{self, Node, Value};

/// Limits from the service's own keys and from `deploy.resources`.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) mem_limit: Option<u64>,
    pub(super) mem_reservation: Option<u64>,
    pub(super) nano_cpus: Option<i64>,
    pub(super) pids_limit: Option<i64>,
}

/// The limits of a service; the two places may repeat and must not contradict each other.
pub(super) fn limits(c: &Context<'_>, service: Fields<'_>) -> Limits {
    let deploy = service.get("deploy").map(|node| deploy(c, node)).unwrap_or_default();
    let own_pids = service.integer("pids_limit").filter(|pids: &i64| *pids != 0);
    Limits {
        mem_limit: one(service, "mem_limit", service.bytes("mem_limit"), deploy.mem_limit),
        mem_reservation: one(service, "mem_reservation", service.bytes("mem_reservation"), deploy.mem_reservation),
        nano_cpus: one(service, "cpus", service.converted("cpus", values::nano_cpus), deploy.nano_cpus),
        pids_limit: one(service, "pids_limit", own_pids, deploy.pids_limit),
    }
}

fn one<T: PartialEq>(service: Fields<'_>, key: &str, own: Option<T>, deploy: Option<T>) -> Option<T> {
    if let (Some(own), Some(deploy), Some(node)) = (&own, &deploy, service.get(key))
        && own != deploy
    {
        service.sink.report(node, "contradicts deploy.resources");
    }
    own.or(deploy)
}

fn deploy(c: &Context<'_>, node: &Node) -> Limits {
    let fields = Fields::new(c.sink, node, &keys::DEPLOY);
    if let Some((mode, at)) = fields.text("mode").zip(fields.get("mode")).filter(|(mode, _)| mode != "replicated") {
        c.sink.report(at, format!("the mode {mode:?} is not supported yet, only replicated"));
    }
    replicas(fields, "replicas");
    let Some(resources) = fields.get("resources") else {
        return Limits::default();
    };
    let resources = Fields::new(c.sink, resources, &keys::RESOURCES);
    let limits = resources.get("limits").map(|node| Fields::new(c.sink, node, &keys::LIMITS));
    let reserved = resources.get("reservations").map(|node| Fields::new(c.sink, node, &keys::RESERVATIONS));
    Limits {
        mem_limit: limits.and_then(|fields| fields.bytes("memory")),
        nano_cpus: limits.and_then(|fields| fields.converted("cpus", values::nano_cpus)),
        pids_limit: limits.and_then(|fields| fields.integer("pids")).filter(|pids: &i64| *pids != 0),
        mem_reservation: reserved.and_then(|fields| fields.bytes("memory")),
    }
}

/// `scale` or `deploy.replicas`: one container, until more are supported.
pub(super) fn replicas(fields: Fields<'_>, key: &str) {
    let count: Option<u32> = fields.integer(key);
    if let (Some(count), Some(node)) = (count, fields.get(key))
        && count != 1
    {
        fields.sink.report(node, format!("{count} containers of a service are not supported yet, only 1"));
    }
}

/// `ulimits:`.
pub(super) fn ulimits(c: &Context<'_>, node: &Node) -> BTreeMap<String, Ulimit> {
    let entries = yaml::entries(c.sink, node).iter();
    entries.filter_map(|entry| Some((entry.key.to_string(), ulimit(c, &entry.value)?))).collect()
}

fn ulimit(c: &Context<'_>, node: &Node) -> Option<Ulimit> {
    let limit = match &node.value {
        Value::Map(_) => {
            let fields = Fields::new(c.sink, node, &keys::ULIMIT);
            for key in ["soft", "hard"].into_iter().filter(|key| fields.get(key).is_none()) {
                c.sink.report(node, format!("{key} is missing"));
            }
            Ulimit { soft: fields.integer("soft")?, hard: fields.integer("hard")? }
        }
        _ => yaml::integer(c.sink, node).map(|both| Ulimit { soft: both, hard: both })?,
    };
    if limit.soft < -1 || limit.hard < -1 || (limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard)) {
        c.sink.report(node, "the soft limit must not be above the hard one, and -1 is no limit");
    }
    Some(limit)
}

/// `devices:` as `HOST[:CONTAINER[:rwm]]`.
pub(super) fn devices(c: &Context<'_>, node: &Node) -> Vec<String> {
    yaml::items(c.sink, node).iter().filter_map(|item| device(c, item)).collect()
}

fn device(c: &Context<'_>, item: &Node) -> Option<String> {
    let text = match &item.value {
        Value::Map(_) => {
            let fields = Fields::new(c.sink, item, &keys::DEVICE);
            let source = fields.filled("source").unwrap_or_default();
            let target = fields.filled("target").unwrap_or_else(|| source.clone());
            let permissions = fields.filled("permissions").unwrap_or_else(|| "rwm".into());
            format!("{source}:{target}:{permissions}")
        }
        _ => yaml::text(c.sink, item)?.to_owned(),
    };
    if text.contains('=') && !text.starts_with('/') {
        c.sink.report(item, "devices of the container device interface are not supported yet");
        return None;
    }
    let parts: Vec<&str> = text.split(':').collect();
    let permissions = parts.get(2).is_none_or(|word| !word.is_empty() && word.chars().all(|c| "rwm".contains(c)));
    if parts.len() > 3 || !parts.iter().take(2).all(|path| path.starts_with('/')) || !permissions {
        c.sink.report(item, format!("must be /host[:/container[:rwm]], not {text:?}"));
        return None;
    }
    Some(text)
}
