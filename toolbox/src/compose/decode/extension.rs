//! `x-toolbox` of a service.

use super::Context;
use super::fields::Fields;
use crate::compose::keys;
use crate::compose::model::ServiceExtension;

/// What stands under `x-toolbox`.
pub(super) fn extension(c: &Context<'_>, service: Fields<'_>) -> ServiceExtension {
    let Some(node) = service.get("x-toolbox") else {
        return ServiceExtension::default();
    };
    let fields = Fields::new(c.sink, node, &keys::TOOLBOX);
    ServiceExtension { verify: fields.converted("verify", verify_url), ..ServiceExtension::default() }
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
    use super::verify_url;

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
