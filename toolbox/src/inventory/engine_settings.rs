//! Settings of a host's engine that `toolbox bootstrap` sees to, only where they are asked for.
//!
//! Contract: each variable is checked as far as Docker would refuse it; what is absent is left alone on the host.

use std::net::IpAddr;

use serde::Serialize;

use crate::yaml::{self, Node, Sink};

/// What daemon.json of Docker shall hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EngineSettings {
    /// Containers go on while the engine is down (`toolbox_live_restore`).
    pub live_restore: Option<bool>,
    /// How much containers' logs may take (`toolbox_log_rotation`).
    pub log_rotation: Option<LogRotation>,
    /// Where networks get their addresses from (`toolbox_address_pools`); never empty.
    pub address_pools: Option<Vec<AddressPool>>,
}

impl EngineSettings {
    /// Nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Limits of a container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogRotation {
    /// Size at which a file is put aside, with Docker's units: `10m`.
    pub max_size: String,
    /// Files that are kept; Docker keeps one where this is absent.
    pub max_file: Option<u32>,
}

/// Addresses that are dealt out to networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressPool {
    /// All of them, as a network: `10.200.0.0/16`.
    pub base: String,
    /// Length of each network's prefix.
    pub size: u8,
}

impl LogRotation {
    /// `{max_size: 10m, max_file: 3}`.
    pub(super) fn read(node: &Node, sink: &Sink) -> Option<Self> {
        yaml::check_keys(sink, node, &["max_size", "max_file"], &[]);
        let size = required(node, "max_size", sink)?;
        let max_size = yaml::text(sink, size)?.trim().to_owned();
        if !is_size(&max_size) {
            sink.report(size, format!("must be a size such as 10m, not {max_size:?}"));
        }
        let max_file = node.get("max_file").and_then(|count| {
            let number = yaml::integer::<u32>(sink, count)?;
            if number == 0 {
                sink.report(count, "must be at least 1");
            }
            Some(number)
        });
        Some(Self { max_size, max_file })
    }
}

impl AddressPool {
    /// `[{base: 10.200.0.0/16, size: 24}]`.
    pub(super) fn read_all(node: &Node, sink: &Sink) -> Option<Vec<Self>> {
        let items = yaml::items(sink, node);
        if items.is_empty() {
            sink.report(node, "must hold at least one pool, or be left out");
        }
        let pools: Vec<Self> = items.iter().filter_map(|item| Self::read(item, sink)).collect();
        (!pools.is_empty()).then_some(pools)
    }

    fn read(node: &Node, sink: &Sink) -> Option<Self> {
        yaml::check_keys(sink, node, &["base", "size"], &[]);
        let (base, size) = (required(node, "base", sink)?, required(node, "size", sink)?);
        let (text, number) = (yaml::text(sink, base)?.trim(), yaml::integer::<u8>(sink, size)?);
        match network(text) {
            Err(message) => sink.report_hint(base, message, "write 10.200.0.0/16"),
            Ok((prefix, bits)) if number < prefix || number > bits => {
                sink.report(size, format!("must be from {prefix} to {bits}"));
            }
            Ok(_) => {}
        }
        Some(Self { base: text.to_owned(), size: number })
    }
}

fn required<'a>(node: &'a Node, key: &str, sink: &Sink) -> Option<&'a Node> {
    let found = node.get(key).filter(|value| !value.is_null());
    if found.is_none() && matches!(node.value, yaml::Value::Map(_)) {
        sink.report(node, format!("{key} is missing"));
    }
    found
}

/// A size of Docker's `max-size`.
fn is_size(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let number = lower.strip_suffix('b').unwrap_or(&lower);
    let number = number.strip_suffix(['k', 'm', 'g']).unwrap_or(number);
    number.parse::<u64>().is_ok_and(|number| number > 0)
}

/// Lengths of the prefix and of the whole address.
fn network(text: &str) -> Result<(u8, u8), String> {
    let wrong = || format!("{text:?} is no network");
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    let (value, bits) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    if prefix > bits {
        return Err(wrong());
    }
    match value.checked_shl(prefix.into()).unwrap_or(0) {
        0 => Ok((prefix, bits)),
        _ => Err(format!("{text:?} has an address that is not the network's own")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_no_bits_beyond_their_prefix() {
        assert_eq!(network("10.200.0.0/16"), Ok((16, 32)));
        assert_eq!(network("0.0.0.0/0"), Ok((0, 32)));
        assert_eq!(network("10.0.0.1/32"), Ok((32, 32)));
        assert_eq!(network("fd00:1::/48"), Ok((48, 128)));
        for wrong in ["10.200.1.0/16", "fd00::1/64", "10.0.0.0", "10.0.0.0/33", "ten/8", ""] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_dockers() {
        assert!(["10m", "1G", "500kb", "1048576"].into_iter().all(is_size));
        assert!(!["", "m", "0", "10 m", "-1m", "10x", "1.5m"].into_iter().any(is_size));
    }
}
