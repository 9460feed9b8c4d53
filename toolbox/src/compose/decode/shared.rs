//! The project's networks and volumes: those that enabled services use.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::fields::{Fields, pairs};
use crate::compose::keys::{self, Keys};
use crate::compose::model::{Ipam, IpamPool, MountSource, Network, Service, Volume};
use crate::compose::names;
use crate::compose::source::clean;
use crate::yaml::{self, Node, Value};

type Services = BTreeMap<String, Service>;

/// Networks in use, `default` among them where a service names none.
pub(super) fn networks(c: &Context<'_>, root: &Node, services: &Services) -> BTreeMap<String, Network> {
    let used: BTreeSet<&str> = services.values().flat_map(|s| s.networks.keys()).map(String::as_str).collect();
    let mut all = declared(c, root, "networks", &keys::NETWORK, &used, network);
    if used.contains("default") {
        all.entry("default".into()).or_insert_with(|| Network {
            name: format!("{}_default", c.project),
            external: false,
            driver: None,
            driver_opts: BTreeMap::new(),
            labels: BTreeMap::new(),
            internal: false,
            attachable: false,
            enable_ipv6: None,
            ipam: Ipam::default(),
        });
    }
    all
}

/// Volumes in use.
pub(super) fn volumes(c: &Context<'_>, root: &Node, services: &Services) -> BTreeMap<String, Volume> {
    let sources = services.values().flat_map(|service| &service.mounts).map(|mount| &mount.source);
    let used = sources.filter_map(|source| match source {
        MountSource::Volume { key, .. } => Some(key.as_str()),
        _ => None,
    });
    declared(c, root, "volumes", &keys::VOLUME, &used.collect(), volume)
}

/// Reads the used entries of a section; of the others only the keys are checked.
fn declared<T>(
    c: &Context<'_>,
    root: &Node,
    section: &str,
    keys: &Keys,
    used: &BTreeSet<&str>,
    read: fn(&Context<'_>, &str, Fields<'_>) -> T,
) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    let entries = root.get(section).map_or(&[][..], |node| yaml::entries(c.sink, node));
    for entry in entries {
        if used.contains(&*entry.key) {
            all.insert(entry.key.to_string(), read(c, &entry.key, Fields::new(c.sink, &entry.value, keys)));
        } else {
            keys.check_unknown(c.sink, &entry.value);
        }
    }
    all
}

fn network(c: &Context<'_>, key: &str, f: Fields<'_>) -> Network {
    let (name, external) = name(c, key, f);
    if let (Some(false), Some(node)) = (f.maybe_flag("enable_ipv4"), f.get("enable_ipv4")) {
        c.sink.report(node, "networks without IPv4 are not supported: engines before 28 make them with IPv4");
    }
    Network {
        name,
        external,
        driver: f.filled("driver"),
        driver_opts: f.pairs("driver_opts"),
        labels: f.pairs("labels"),
        internal: f.flag("internal"),
        attachable: f.flag("attachable"),
        enable_ipv6: f.maybe_flag("enable_ipv6"),
        ipam: f.get("ipam").map(|node| ipam(c, node)).unwrap_or_default(),
    }
}

fn volume(c: &Context<'_>, key: &str, f: Fields<'_>) -> Volume {
    let (name, external) = name(c, key, f);
    Volume { name, external, driver: f.filled("driver"), driver_opts: volume_options(c, f), labels: f.pairs("labels") }
}

/// The driver's options; a relative directory that is bound begins at the project's.
fn volume_options(c: &Context<'_>, f: Fields<'_>) -> BTreeMap<String, String> {
    let mut options = f.pairs("driver_opts");
    let is_bind = options.get("o").is_some_and(|words| words.split(',').any(|word| word == "bind"));
    if let Some(device) = options.get_mut("device").filter(|device| is_bind && !device.starts_with('/')) {
        *device = clean(&c.working_dir.join(&*device)).to_string_lossy().into_owned();
    }
    options
}

/// The engine's name, and whether somebody else makes it.
fn name(c: &Context<'_>, key: &str, f: Fields<'_>) -> (String, bool) {
    let (external, old_name) = match f.get("external").map(|node| (node, &node.value)) {
        // The form of old files: external: {name: x}.
        Some((node, Value::Map(_))) => {
            let old = Fields::new(c.sink, node, &Keys { known: &["name"], without_effect: &[], refused: &[] });
            (true, old.filled("name"))
        }
        _ => (f.flag("external"), None),
    };
    if external {
        external_is_bare(c, f);
    }
    let explicit = f.filled("name").or(old_name);
    let name = explicit.unwrap_or_else(|| match external {
        true => key.to_owned(),
        false => format!("{}_{key}", c.project),
    });
    if !names::is_engine_name(&name) {
        c.sink.report(f.node, format!("{name:?} is no name that the engine takes"));
    }
    (name, external)
}

fn external_is_bare(c: &Context<'_>, f: Fields<'_>) {
    for entry in yaml::entries(c.sink, f.node) {
        let allowed = matches!(&*entry.key, "external" | "name") || entry.key.starts_with("x-");
        if !allowed {
            c.sink.report(&entry.value, "has no effect on what is external");
        }
    }
}

fn ipam(c: &Context<'_>, node: &Node) -> Ipam {
    let fields = Fields::new(c.sink, node, &keys::IPAM);
    let pools = fields.get("config").map_or(&[][..], |node| yaml::items(c.sink, node));
    Ipam {
        driver: fields.filled("driver"),
        pools: pools.iter().map(|pool| ipam_pool(c, pool)).collect(),
        options: fields.pairs("options"),
    }
}

fn ipam_pool(c: &Context<'_>, node: &Node) -> IpamPool {
    let fields = Fields::new(c.sink, node, &keys::IPAM_POOL);
    IpamPool {
        subnet: fields.converted("subnet", cidr),
        gateway: fields.converted("gateway", address),
        ip_range: fields.converted("ip_range", cidr),
        aux_addresses: fields.get("aux_addresses").map(|node| pairs(c.sink, node)).unwrap_or_default(),
    }
}

fn address(text: &str) -> Result<String, String> {
    let address: Result<std::net::IpAddr, _> = text.parse();
    address.map(|_| text.to_owned()).map_err(|_| format!("{text:?} is no IP address"))
}

fn cidr(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no subnet; write 10.1.0.0/16");
    let (base, bits) = text.split_once('/').ok_or_else(wrong)?;
    let base: std::net::IpAddr = base.parse().map_err(|_| wrong())?;
    let bits: u8 = bits.parse().map_err(|_| wrong())?;
    if bits > if base.is_ipv4() { 32 } else { 128 } {
        return Err(wrong());
    }
    Ok(text.to_owned())
}
