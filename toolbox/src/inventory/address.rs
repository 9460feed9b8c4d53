//! Names of hosts with a port behind them, as Ansible takes them apart. Pure.
//!
//! The expressions are those of `ansible.parsing.utils.addresses`, with one oddity of theirs kept: all but the last
//! form of an IPv6 address may have anything behind them.

use std::sync::LazyLock;

use regex::Regex;

static BRACKETED: LazyLock<Regex> = LazyLock::new(|| expression(r"^\[(.+)\]:([0-9]+)$"));
static WITH_PORT: LazyLock<Regex> = LazyLock::new(|| expression(r"^((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)$"));
static IPV4: LazyLock<Regex> = LazyLock::new(|| {
    let part = r"(?:[01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5]|\[[0-9]+:[0-9]+(?::[0-9]+)?\])";
    expression(&format!(r"^(?:{part}\.){{3}}{part}$"))
});
static IPV6: LazyLock<Regex> = LazyLock::new(|| {
    let p = r"(?:[0-9a-f]{1,4}|\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\])";
    let forms = [
        format!("(?:{p}:){{7}}{p}"),
        format!("(?:{p}:){{1,6}}:"),
        format!("(?:{p}:)(?::{p}){{1,6}}"),
        format!("(?:{p}:){{2}}(?::{p}){{1,5}}"),
        format!("(?:{p}:){{3}}(?::{p}){{1,4}}"),
        format!("(?:{p}:){{4}}(?::{p}){{1,3}}"),
        format!("(?:{p}:){{5}}(?::{p}){{1,2}}"),
        format!("(?:{p}:){{6}}(?::{p})"),
        format!(":(?::{p}){{1,6}}"),
        format!("{p}?::"),
        format!(r"(?:0:){{6}}(?:{p}\.){{3}}{p}"),
        format!(r"(?:0:){{5}}ffff:(?:{p}\.){{3}}{p}$"),
    ];
    expression(&format!("(?i)^(?:{})", forms.join("|")))
});
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    let range = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]";
    // A label ends in no hyphen and no underscore.
    let end = format!(r"(?:[\w--_]|{range})");
    let label = format!(r"(?:(?:(?:\w|{range})(?:[\w-]|{range})*)?{end})");
    expression(&format!(r"(?i)^{label}(?:\.{label})*$"))
});

fn expression(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|e| unreachable!("{text}: {e}"))
}

/// The name (or range of names) and the port of `name:2222`, `[2001:db8::1]:2222`, `web[1:3]:2222`; `None` where it is
/// neither an address nor a name.
pub(super) fn parse(text: &str) -> Option<(&str, Option<&str>)> {
    let (mut host, mut port) = (text, None);
    for form in [&BRACKETED, &WITH_PORT] {
        if let Some((_, [name, number])) = form.captures(host).map(|found| found.extract()) {
            (host, port) = (name, Some(number));
        }
    }
    let known = IPV4.is_match(host) || IPV6.is_match(host) || NAME.is_match(host);
    known.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::parse;

    // The expected answers are those of parse_address(text, allow_ranges=True).
    #[test]
    fn names_and_ports_are_told_apart_as_ansible_does() {
        for (text, expected) in [
            ("web", Some(("web", None))),
            ("web:22", Some(("web", Some("22")))),
            ("web[1:3]:22", Some(("web[1:3]", Some("22")))),
            ("web[1:3]", Some(("web[1:3]", None))),
            ("10.0.0.1:23", Some(("10.0.0.1", Some("23")))),
            ("::1", Some(("::1", None))),
            ("2001:db8::5", Some(("2001:db8::5", None))),
            ("[2001:db8::5]:22", Some(("2001:db8::5", Some("22")))),
            ("a_b.c-d", Some(("a_b.c-d", None))),
            ("_a", Some(("_a", None))),
            ("web:db", None),
            ("web-", None),
            ("web_", None),
            ("-web", None),
            ("web[1]", None),
            ("web:!db", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
