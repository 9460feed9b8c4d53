//! `ports:` and `expose:`, short and long, ranges expanded.

use std::net::IpAddr;

use super::Context;
use super::fields::Fields;
use crate::compose::keys;
use crate::compose::model::{ExposedPort, Protocol, PublishedPort};
use crate::yaml::{self, Node, Value};

/// The service's published ports; they are also noted for the check across services.
pub(super) fn published(c: &Context<'_>, node: &Node) -> Vec<PublishedPort> {
    let mut all = Vec::new();
    for item in yaml::items(c.sink, node) {
        let ports = match &item.value {
            Value::Map(_) => long(c, item).into_iter().collect(),
            _ => short(c, item),
        };
        // One that stands there already says the same once more.
        let new: Vec<PublishedPort> = ports.into_iter().filter(|port| !all.contains(port)).collect();
        c.note_ports(item, &new);
        all.extend(new);
    }
    all
}

fn short(c: &Context<'_>, item: &Node) -> Vec<PublishedPort> {
    let Some(text) = yaml::text(c.sink, item) else {
        return Vec::new();
    };
    parse(text).unwrap_or_else(|message| {
        c.sink.report_hint(item, message, "write [[address:]published:]target[/protocol]");
        Vec::new()
    })
}

fn long(c: &Context<'_>, item: &Node) -> Option<PublishedPort> {
    let fields = Fields::new(c.sink, item, &keys::PORT);
    if let Some(mode) = fields.text("mode").filter(|mode| mode != "host" && mode != "ingress") {
        c.sink.report(fields.get("mode")?, format!("must be host or ingress, not {mode:?}"));
    }
    let port = PublishedPort {
        host_ip: fields.converted("host_ip", address),
        published: fields.converted("published", one_published).flatten(),
        target: fields.converted("target", port_number).unwrap_or(0),
        protocol: fields.converted("protocol", protocol).unwrap_or(Protocol::Tcp),
    };
    if fields.get("target").is_none() {
        c.sink.report(item, "target is missing");
    }
    (port.target > 0).then_some(port)
}

fn one_published(text: &str) -> Result<Option<u16>, String> {
    match text {
        "" | "0" => Ok(None),
        _ if text.contains('-') => {
            Err("a range of published ports for one target is not supported: name the one to publish".into())
        }
        _ => port_number(text).map(Some),
    }
}

/// The short form.
fn parse(text: &str) -> Result<Vec<PublishedPort>, String> {
    let (ports, protocol) = split_protocol(text)?;
    let (rest, target) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (host, published) = match rest.rsplit_once(':') {
        Some((host, published)) => (Some(host), published),
        None => (None, rest),
    };
    let host_ip = host.map(address).transpose()?;
    let targets = range(target)?;
    let published = if published.is_empty() { vec![None; targets.len()] } else { some(range(published)?) };
    if published.len() != targets.len() {
        return Err(match targets.len() {
            1 => "a range of published ports for one target is not supported: name the one to publish".into(),
            _ => format!("the ranges of {text:?} differ in length"),
        });
    }
    let pairs = published.into_iter().zip(targets);
    Ok(pairs.map(|(published, target)| PublishedPort { host_ip, published, target, protocol }).collect())
}

fn some(ports: Vec<u16>) -> Vec<Option<u16>> {
    ports.into_iter().map(Some).collect()
}

fn split_protocol(text: &str) -> Result<(&str, Protocol), String> {
    match text.rsplit_once('/') {
        Some((ports, name)) => Ok((ports, protocol(name)?)),
        None => Ok((text, Protocol::Tcp)),
    }
}

fn protocol(name: &str) -> Result<Protocol, String> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(format!("the protocol must be tcp, udp or sctp, not {name:?}")),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("{text:?} is no IP address"))
}

fn port_number(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(format!("{text:?} is no port from 1 to 65535")),
    }
}

fn range(text: &str) -> Result<Vec<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port_number(first)?, port_number(last)?);
    if first > last {
        return Err(format!("the range {text:?} runs backwards"));
    }
    Ok((first..=last).collect())
}

/// Ports for other containers only.
pub(super) fn exposed(c: &Context<'_>, node: &Node) -> Vec<ExposedPort> {
    let mut all = Vec::new();
    for item in yaml::items(c.sink, node) {
        let Some(text) = yaml::text(c.sink, item) else {
            continue;
        };
        let ports = split_protocol(text).and_then(|(ports, protocol)| {
            Ok(range(ports)?.into_iter().map(move |port| ExposedPort { port, protocol }))
        });
        match ports {
            Ok(ports) => all.extend(ports),
            Err(message) => c.sink.report(item, message),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn show(text: &str) -> String {
        let ports = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let one = |p: &super::PublishedPort| {
            let ip = p.host_ip.map(|ip| format!("{ip}|")).unwrap_or_default();
            let published = p.published.map_or("*".into(), |port| port.to_string());
            format!("{ip}{published}>{}/{}", p.target, p.protocol.as_str())
        };
        ports.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_short_form_has_many_shapes() {
        for (text, expected) in [
            ("80", "*>80/tcp"),
            ("80:8080", "80>8080/tcp"),
            ("6060:6060/udp", "6060>6060/udp"),
            ("127.0.0.1:8001:8001", "127.0.0.1|8001>8001/tcp"),
            ("127.0.0.1::80", "127.0.0.1|*>80/tcp"),
            ("[::1]:80:81/SCTP", "::1|80>81/sctp"),
            ("::1:80:81", "::1|80>81/tcp"),
            ("3000-3002", "*>3000/tcp *>3001/tcp *>3002/tcp"),
            ("9090-9091:8080-8081", "9090>8080/tcp 9091>8081/tcp"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, expected) in [
            ("", "\"\" is no port from 1 to 65535"),
            ("0:80", "\"0\" is no port from 1 to 65535"),
            ("80:65536", "\"65536\" is no port from 1 to 65535"),
            ("+80", "\"+80\" is no port from 1 to 65535"),
            ("80:80/icmp", "the protocol must be tcp, udp or sctp, not \"icmp\""),
            ("host:80:80", "\"host\" is no IP address"),
            ("5-3", "the range \"5-3\" runs backwards"),
            ("1-3:4-5", "the ranges of \"1-3:4-5\" differ in length"),
            ("1-3:4", "a range of published ports for one target is not supported: name the one to publish"),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
