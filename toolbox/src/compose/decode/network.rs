//! How a service stands in networks and namespaces.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Context;
use super::fields::Fields;
use crate::compose::keys;
use crate::compose::model::Attachment;
use crate::yaml::{self, Node, Value};

/// The service's networks; `default` where it names none and has no `network_mode`.
pub(super) fn attachments(c: &Context<'_>, service: Fields<'_>) -> BTreeMap<String, Attachment> {
    let mode = service.get("network_mode");
    let Some(node) = service.get("networks") else {
        let default = mode.is_none().then(|| ("default".to_owned(), Attachment::default()));
        return default.into_iter().collect();
    };
    if mode.is_some() {
        c.sink.report(node, "networks and network_mode exclude each other");
    }
    let all: BTreeMap<_, _> = match &node.value {
        Value::Map(entries) => {
            entries.iter().map(|entry| (entry.key.to_string(), attachment(c, &entry.value))).collect()
        }
        _ => yaml::items(c.sink, node)
            .iter()
            .filter_map(|item| yaml::text(c.sink, item))
            .map(|key| (key.to_owned(), Attachment::default()))
            .collect(),
    };
    for key in all.keys().filter(|key| !c.network_keys.contains(key.as_str()) && *key != "default") {
        let hint = "declare it under the top-level networks:";
        c.sink.report_hint(node, format!("the network {key:?} is not defined"), hint);
    }
    all
}

fn attachment(c: &Context<'_>, node: &Node) -> Attachment {
    let fields = Fields::new(c.sink, node, &keys::ATTACHMENT);
    Attachment {
        aliases: fields.strings("aliases"),
        ipv4_address: fields.converted("ipv4_address", |text| {
            let address: Result<Ipv4Addr, _> = text.parse();
            address.map(|ip| ip.to_string()).map_err(|_| format!("{text:?} is no IPv4 address"))
        }),
        ipv6_address: fields.converted("ipv6_address", |text| {
            let address: Result<Ipv6Addr, _> = text.parse();
            address.map(|ip| ip.to_string()).map_err(|_| format!("{text:?} is no IPv6 address"))
        }),
        link_local_ips: fields.strings("link_local_ips"),
        driver_opts: fields.pairs("driver_opts"),
    }
}

/// `network_mode`, `pid` or `ipc`: one of `words`, or the namespace of a service or container.
pub(super) fn namespace(c: &Context<'_>, service: Fields<'_>, key: &str, words: &[&str]) -> Option<String> {
    let node = service.get(key)?;
    let text = yaml::text(c.sink, node)?;
    match text.split_once(':') {
        Some(("service", other)) if !c.enabled.contains(other) => {
            c.sink.report(node, format!("the service {other:?} is not defined or not enabled"));
        }
        Some(("service" | "container", other)) if !other.is_empty() => {}
        _ if words.contains(&text) => {}
        _ => {
            let known = words.join(", ");
            c.sink.report(node, format!("must be {known}, service:NAME or container:NAME, not {text:?}"));
        }
    }
    Some(text.to_owned())
}

/// `extra_hosts:` in the engine's form `name:address`, sorted.
pub(super) fn extra_hosts(c: &Context<'_>, service: Fields<'_>) -> Vec<String> {
    let Some(node) = service.get("extra_hosts") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                for address in yaml::strings(c.sink, &entry.value) {
                    all.extend(extra_host(c, &entry.value, &entry.key, &address));
                }
            }
        }
        _ => {
            for item in yaml::items(c.sink, node) {
                let Some(text) = yaml::text(c.sink, item) else {
                    continue;
                };
                let Some((name, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                    c.sink.report(item, format!("must be NAME=ADDRESS, not {text:?}"));
                    continue;
                };
                all.extend(extra_host(c, item, name, address));
            }
        }
    }
    all.sort();
    all
}

fn extra_host(c: &Context<'_>, node: &Node, name: &str, address: &str) -> Option<String> {
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        c.sink.report(node, format!("{address:?} is no IP address"));
        return None;
    }
    Some(format!("{name}:{bare}"))
}
