//! What holds between services: ports, container names, the order of starting, how they can be replaced.

mod rollout;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::alone::bind_the_same;
use super::model::{Protocol, PublishedPort, Service};
use super::order;
use crate::yaml::{Node, Problem, Sink};

/// What two services with one port may do.
const APART: &str = "publish another port, or on another address, or give them different x-toolbox.hosts";

type Services = BTreeMap<String, Service>;

/// A published port with the problem to report should another claim it.
pub(super) struct NotedPort {
    host_ip: Option<IpAddr>,
    published: Option<u16>,
    protocol: Protocol,
    place: Problem,
}

impl NotedPort {
    /// A port that stands at `node`.
    pub(super) fn new(node: &Node, port: &PublishedPort) -> Self {
        Self {
            host_ip: port.host_ip,
            published: port.published,
            protocol: port.protocol,
            place: node.problem(String::new()),
        }
    }
}

/// A service, and the address that it binds.
type Claim<'a> = (&'a str, Option<IpAddr>);

/// Refuses what cannot be between services.
pub(super) fn services(services: &Services, root: &Node, sink: &Sink) {
    container_names(services, root, sink);
    cycles(services, root, sink);
    rollout::check(services, root, sink);
}

/// Refuses two claims on one port of a host.
pub(super) fn ports(ports: &BTreeMap<String, Vec<NotedPort>>, services: &Services, sink: &Sink) {
    let mut claims: HashMap<(u16, Protocol), Vec<Claim<'_>>> = HashMap::new();
    for (name, noted) in ports {
        for port in noted {
            let Some(published) = port.published else {
                continue;
            };
            let others = claims.entry((published, port.protocol)).or_default();
            let meets =
                |(other, ip): &&Claim<'_>| bind_the_same(*ip, port.host_ip) && share_hosts(services, other, name);
            if let Some((other, _)) = others.iter().find(meets) {
                let protocol = port.protocol.as_str();
                let message = format!("the port {published}/{protocol} is published already by the service {other:?}");
                sink.push(Problem { message, ..port.place.clone() }.with_hint(APART));
            }
            others.push((name, port.host_ip));
        }
    }
}

/// Services that name no common host or group may stand on different hosts; the plan sees whether they do.
fn share_hosts(services: &Services, one: &str, other: &str) -> bool {
    let hosts = |name: &str| services.get(name).map_or(&[][..], |service| &service.toolbox.hosts);
    let (one, other) = (hosts(one), hosts(other));
    one.is_empty() || other.is_empty() || one.iter().any(|host| other.contains(host))
}

/// Refuses one explicit container name for two services.
fn container_names(services: &Services, root: &Node, sink: &Sink) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in services {
        let Some(container) = &service.container_name else {
            continue;
        };
        if let Some(owner) = owners.insert(container, name)
            && let Some(node) = field(root, name, "container_name")
        {
            sink.report(node, format!("the name {container:?} is taken already by the service {owner:?}"));
        }
    }
}

/// Refuses services that wait for each other.
fn cycles(services: &Services, root: &Node, sink: &Sink) {
    let Some(cycle) = order::cycle(services) else {
        return;
    };
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).copied().collect();
    let message = format!("the services wait for each other: {}", names.join(" -> "));
    let first = cycle.first().copied().unwrap_or_default();
    let keys = ["depends_on", "network_mode", "pid", "ipc"];
    let node = keys.iter().find_map(|key| field(root, first, key));
    sink.report_hint(node.unwrap_or(root), message, "take one of them out of it");
}

fn field<'a>(root: &'a Node, service: &str, key: &str) -> Option<&'a Node> {
    root.get("services")?.get(service)?.get(key)
}
