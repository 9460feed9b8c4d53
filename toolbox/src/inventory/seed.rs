//! Hosts that pass images on to others.

use indexmap::IndexMap;

use super::Host;
use super::draft::Variables;
use super::host::is_address;
use crate::yaml::{Sink, nearest};

/// Reports seeds that are no hosts, and those that have a seed themselves.
pub(super) fn check(hosts: &IndexMap<String, Host>, variables: &IndexMap<String, Variables>, sink: &Sink) {
    for (name, host) in hosts {
        let (Some(seed), Some(node)) = (&host.seed, variables[name].get("toolbox_seed")) else { continue };
        match hosts.get(&seed.host) {
            Some(Host { seed: None, .. }) => {}
            Some(Host { seed: Some(its), .. }) => {
                let message = format!("{} has a seed itself ({}), so it passes nothing on", seed.host, its.host);
                sink.report_hint(node, message, format!("write {}", its.host));
            }
            None => {
                let message = format!("{:?} is no host of the inventory", seed.host);
                match nearest(&seed.host, hosts.keys().map(String::as_str)) {
                    Some(near) => sink.report_hint(node, message, format!("did you mean {near}?")),
                    None => sink.report(node, message),
                }
            }
        }
    }
}

/// An address, and the port where there is one; an IPv6 address with a port stands in brackets.
pub(super) fn place(text: &str) -> Result<(String, u16), String> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (address, port) = match (bracketed, text.split_once(':')) {
        (Some((address, "")), _) => (address, None),
        (Some((address, port)), _) => (address, Some(port.strip_prefix(':').unwrap_or(""))),
        (None, Some((address, port))) if !port.contains(':') => (address, Some(port)),
        (None, _) => (text, None),
    };
    let port = port.map_or(Some(0), |port| port.parse().ok().filter(|port| *port > 0));
    match port.filter(|_| is_address(address)) {
        Some(port) => Ok((address.to_owned(), port)),
        None => Err(format!("must be an address, such as 10.0.0.2 or 10.0.0.2:7600, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_an_address_with_or_without_a_port() {
        for (text, address, port) in [
            ("10.0.0.2", "10.0.0.2", 0),
            ("10.0.0.2:7600", "10.0.0.2", 7600),
            ("web02.internal:1", "web02.internal", 1),
            ("2001:db8::1", "2001:db8::1", 0),
            ("[2001:db8::1]", "2001:db8::1", 0),
            ("[2001:db8::1]:65535", "2001:db8::1", 65_535),
        ] {
            assert_eq!(place(text), Ok((address.to_owned(), port)));
        }
        for text in ["", ":7", "a:0", "a:65536", "a:b", "a b", "[::1", "[::1]7", "[::1]:", "http://a", "10.0.0.0/8"] {
            assert!(place(text).unwrap_err().contains("must be an address"), "{text}");
        }
    }
}
