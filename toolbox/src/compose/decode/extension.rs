//! `x-toolbox`, of a service and of the file.

use super::Context;
use super::fields::Fields;
use super::values;
use crate::compose::keys;
use crate::compose::model::{Batch, Hooks, ProjectExtension, ProxyProtocol, ServiceExtension};
use crate::yaml::{self, Node, Sink, Value};

/// What stands under `x-toolbox` of a service.
pub(super) fn extension(c: &Context<'_>, service: Fields<'_>) -> ServiceExtension {
    let Some(node) = service.get("x-toolbox") else {
        return ServiceExtension::default();
    };
    let fields = Fields::new(c.sink, node, &keys::TOOLBOX);
    let hooks = fields.get("hooks").map(|node| Fields::new(c.sink, node, &keys::HOOKS_OF_SERVICE));
    let commands = |key| hooks.map(|hooks| commands(hooks, key)).unwrap_or_default();
    ServiceExtension {
        verify: fields.converted("verify", verify_url),
        hosts: hosts(fields),
        proxy_protocol: fields.converted("proxy_protocol", proxy_protocol),
        drain: fields.duration("drain"),
        hooks: Hooks { before: commands("before"), after: commands("after") },
    }
}

/// What stands under `x-toolbox` of the file.
pub(super) fn of_project(c: &Context<'_>, root: &Node) -> ProjectExtension {
    let Some(node) = root.get("x-toolbox") else {
        return ProjectExtension::default();
    };
    let fields = Fields::new(c.sink, node, &keys::TOOLBOX_OF_PROJECT);
    let keep = fields.integer("keep_releases");
    if let (Some(0), Some(node)) = (keep, fields.get("keep_releases")) {
        c.sink.report(node, "must be 1 or more");
    }
    ProjectExtension { batch: fields.converted("batch", batch), keep_releases: keep }
}

fn batch(text: &str) -> Result<Batch, String> {
    let wrong = || format!("must be a number of hosts, or a part such as 25%, not {text:?}");
    let count = |digits: &str| digits.trim().parse().ok().filter(|count: &u32| *count > 0).ok_or_else(wrong);
    match text.strip_suffix('%') {
        Some(digits) => {
            count(digits).and_then(|part| if part <= 100 { Ok(Batch::Percent(part)) } else { Err(wrong()) })
        }
        None => count(text).map(Batch::Count),
    }
}

fn proxy_protocol(word: &str) -> Result<ProxyProtocol, String> {
    match word {
        "v1" => Ok(ProxyProtocol::V1),
        "v2" => Ok(ProxyProtocol::V2),
        _ => Err(format!("must be v1 or v2, not {word:?}")),
    }
}

/// One host or group, or a list of them; an empty list would place the service nowhere.
fn hosts(fields: Fields<'_>) -> Vec<String> {
    let hosts = fields.strings("hosts");
    let Some(node) = fields.get("hosts") else {
        return hosts;
    };
    if hosts.is_empty() || hosts.iter().any(String::is_empty) {
        fields.sink.report_hint(node, "names no host", "leave it out for all hosts");
    }
    hosts
}

/// One command as a text, or a list of commands, each a text or a list of words.
fn commands(hooks: Fields<'_>, key: &str) -> Vec<Vec<String>> {
    let Some(node) = hooks.get(key) else {
        return Vec::new();
    };
    let single = std::slice::from_ref(node);
    let items = if matches!(node.value, Value::Seq(_)) { yaml::items(hooks.sink, node) } else { single };
    items.iter().map(|item| command(hooks.sink, item)).collect()
}

fn command(sink: &Sink, node: &Node) -> Vec<String> {
    let words = match &node.value {
        Value::Scalar { text, .. } => values::words(text).unwrap_or_else(|message| {
            sink.spoil(node.problem(message));
            Vec::new()
        }),
        _ => yaml::strings(sink, node),
    };
    if words.is_empty() {
        sink.report(node, "is no command");
    }
    words
}

/// Checks `http://host[:port][/path][?query]`.
fn verify_url(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("{text:?} is no URL to verify: {why}");
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(wrong("it must start with http://"));
    };
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#' || !c.is_ascii()) {
        return Err(wrong("it holds a character that must be encoded, or a fragment"));
    }
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err(wrong("it must not hold a user"));
    }
    let (host, port) = split_authority(authority).ok_or_else(|| wrong("it has no valid host"))?;
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err(wrong("the port must be from 1 to 65535"));
    }
    let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => Ok(text.to_owned()),
        None if !host.is_empty() && host.chars().all(named) => Ok(text.to_owned()),
        _ => Err(wrong("it has no valid host")),
    }
}

fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    Some(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

#[cfg(test)]
mod tests {
    use super::{batch, verify_url};
    use crate::compose::model::Batch;

    #[test]
    fn batches_are_numbers_or_parts() {
        assert_eq!(batch("3"), Ok(Batch::Count(3)));
        assert_eq!(batch("25%"), Ok(Batch::Percent(25)));
        assert_eq!(batch("100 %"), Ok(Batch::Percent(100)));
        for text in ["0", "-1", "0%", "101%", "x", "", "%", "1.5"] {
            assert!(batch(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_to_verify_are_plain_http() {
        for text in ["http://localhost:80/clock", "http://localhost", "http://[::1]:8080/x?y=z", "http://10.0.0.1/"] {
            assert_eq!(verify_url(text).as_deref(), Ok(text));
        }
        for (text, why) in [
            ("https://localhost/", "it must start with http://"),
            ("localhost", "it must start with http://"),
            ("http://", "it has no valid host"),
            ("http:///x", "it has no valid host"),
            ("http://[::1", "it has no valid host"),
            ("http://[::g]/", "it has no valid host"),
            ("http://a:0/", "the port must be from 1 to 65535"),
            ("http://a:99999/", "the port must be from 1 to 65535"),
            ("http://a:/", "the port must be from 1 to 65535"),
            ("http://u:p@a/", "it must not hold a user"),
            ("http://a/b c", "it holds a character that must be encoded, or a fragment"),
            ("http://a/\r\nHost: b", "it holds a character that must be encoded, or a fragment"),
        ] {
            assert_eq!(verify_url(text).unwrap_err(), format!("{text:?} is no URL to verify: {why}"));
        }
    }
}
