//! docs/reference.md says of every key what keys.rs says.

use std::collections::BTreeMap;

use crate::compose::keys::{ALL, Keys};

const REFERENCE: &str = include_str!("../../../../docs/reference.md");

/// The rows of the tables under each title: key to the rest of the row.
fn tables() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut title = String::new();
    for line in REFERENCE.lines() {
        if let Some(text) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
            title = text.replace('`', "");
        } else if let Some((key, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            let first = all.entry(title.clone()).or_default().insert(key.to_owned(), rest.to_owned());
            assert_eq!(first, None, "{title}: {key} stands twice");
        }
    }
    all
}

/// What a row must begin with, and the reason that it must hold.
fn expected(keys: &Keys) -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let known = keys.known.iter().map(|key| (*key, ("supported", "")));
    let without = keys.without_effect.iter().map(|key| (*key, ("without effect", "")));
    let refused = keys.refused.iter().map(|(key, reason)| (*key, ("refused", *reason)));
    known.chain(without).chain(refused).collect()
}

#[test]
fn every_key_stands_in_the_reference_with_what_becomes_of_it() {
    let tables = tables();
    let mut wrong = Vec::new();
    for (title, keys) in ALL {
        let expected = expected(keys);
        let rows = tables.get(title).cloned().unwrap_or_default();
        for (key, (status, reason)) in &expected {
            match rows.get(*key) {
                Some(row) if row.starts_with(&format!("{status} |")) && row.contains(reason) => {}
                Some(row) => wrong.push(format!("{title}: {key} is {status} {reason:?}, not {row:?}")),
                None => wrong.push(format!("{title}: {key} is missing ({status}: {reason})")),
            }
        }
        wrong.extend(
            rows.keys()
                .filter(|key| !expected.contains_key(key.as_str()))
                .map(|key| format!("{title}: {key} is no key")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
