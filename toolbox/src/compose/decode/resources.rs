//! What a service may use: limits from its own keys and from `deploy.resources`, ulimits, devices.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::{Context, device_requests, values};
use crate::compose::keys;
use crate::compose::model::{DeviceRequest, Resources, Ulimit};
use crate::yaml::{self, Node, Value};

/// Limits that can stand in both places.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) mem_limit: Option<u64>,
    pub(super) mem_reservation: Option<u64>,
    pub(super) nano_cpus: Option<i64>,
    pub(super) pids_limit: Option<i64>,
    devices: Vec<DeviceRequest>,
}

/// The limits of a service; the two places may repeat and must not contradict each other.
pub(super) fn limits(c: &Context<'_>, service: Fields<'_>, deploy: Option<Fields<'_>>) -> Limits {
    let deploy = deploy.map(|deploy| of_deploy(c, deploy)).unwrap_or_default();
    let own_pids = service.integer("pids_limit").filter(|pids: &i64| *pids != 0);
    Limits {
        mem_limit: one(service, "mem_limit", service.bytes("mem_limit"), deploy.mem_limit),
        mem_reservation: one(service, "mem_reservation", service.bytes("mem_reservation"), deploy.mem_reservation),
        nano_cpus: one(service, "cpus", service.converted("cpus", values::nano_cpus), deploy.nano_cpus),
        pids_limit: one(service, "pids_limit", own_pids, deploy.pids_limit),
        devices: deploy.devices,
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

fn of_deploy(c: &Context<'_>, deploy: Fields<'_>) -> Limits {
    let Some(resources) = deploy.get("resources") else {
        return Limits::default();
    };
    let resources = Fields::new(c.sink, resources, &keys::RESOURCES);
    let limits = resources.get("limits").map(|node| Fields::new(c.sink, node, &keys::LIMITS));
    let reserved = resources.get("reservations").map(|node| Fields::new(c.sink, node, &keys::RESERVATIONS));
    let devices = reserved.and_then(|fields| fields.get("devices"));
    reserved.map(|fields| fields.converted("cpus", values::nano_cpus));
    Limits {
        mem_limit: limits.and_then(|fields| fields.bytes("memory")),
        nano_cpus: limits.and_then(|fields| fields.converted("cpus", values::nano_cpus)),
        pids_limit: limits.and_then(|fields| fields.integer("pids")).filter(|pids: &i64| *pids != 0),
        mem_reservation: reserved.and_then(|fields| fields.bytes("memory")),
        devices: devices.map(|node| device_requests::reserved(c, node)).unwrap_or_default(),
    }
}

/// The limits that have one place; `requests` are devices that were asked for elsewhere.
pub(super) fn resources(c: &Context<'_>, f: Fields<'_>, limits: Limits, requests: Vec<DeviceRequest>) -> Resources {
    let gpus = f.get("gpus").map(|node| device_requests::gpus(c, node)).unwrap_or_default();
    Resources {
        cpu_period: f.converted("cpu_period", values::microseconds),
        cpu_quota: f.converted("cpu_quota", values::microseconds),
        cpu_rt_period: f.converted("cpu_rt_period", values::microseconds),
        cpu_rt_runtime: f.converted("cpu_rt_runtime", values::microseconds),
        cpu_shares: f.integer("cpu_shares"),
        cpuset: f.filled("cpuset"),
        memswap_limit: f.converted("memswap_limit", bytes_or_unlimited),
        mem_swappiness: f.converted("mem_swappiness", |text| within(text, 0, 100)),
        oom_kill_disable: f.flag("oom_kill_disable"),
        oom_score_adj: f.converted("oom_score_adj", |text| within(text, -1000, 1000)),
        blkio: f.get("blkio_config").map(|node| device_requests::blkio(c, node)),
        device_requests: [limits.devices, gpus, requests].concat(),
    }
}

fn bytes_or_unlimited(text: &str) -> Result<i64, String> {
    match text {
        "-1" => Ok(-1),
        _ => values::bytes(text).and_then(|bytes| i64::try_from(bytes).map_err(|e| e.to_string())),
    }
}

fn within(text: &str, least: i64, most: i64) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a number from {least} to {most}, not {text:?}"))
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

/// `devices:` as `HOST[:CONTAINER[:rwm]]`, and those of the container device interface.
pub(super) fn devices(c: &Context<'_>, service: Fields<'_>) -> (Vec<String>, Vec<DeviceRequest>) {
    let items = service.get("devices").map_or(&[][..], |node| yaml::items(c.sink, node));
    let (cdi, paths): (Vec<_>, Vec<_>) = items.iter().partition(|item| is_cdi(item));
    let names = cdi.into_iter().filter_map(|item| match &item.value {
        Value::Map(_) => item.get("source").and_then(|node| yaml::text(c.sink, node)),
        _ => yaml::text(c.sink, item),
    });
    (paths.into_iter().filter_map(|item| device(c, item)).collect(), names.map(device_requests::cdi).collect())
}

/// Whether it is `vendor.com/class=name`.
fn is_cdi(item: &Node) -> bool {
    let source = if matches!(item.value, Value::Map(_)) { item.get("source") } else { Some(item) };
    matches!(source.map(|node| &node.value), Some(Value::Scalar { text, .. }) if text.contains('=') && !text.starts_with('/'))
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
    let parts: Vec<&str> = text.split(':').collect();
    let permissions = parts.get(2).is_none_or(|word| !word.is_empty() && word.chars().all(|c| "rwm".contains(c)));
    if parts.len() > 3 || !parts.iter().take(2).all(|path| path.starts_with('/')) || !permissions {
        c.sink.report(item, format!("must be /host[:/container[:rwm]], not {text:?}"));
        return None;
    }
    Some(text)
}
