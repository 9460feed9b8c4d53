//! Hostile texts cost an error, and patterns keep the laws of sets.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::ranges::{self, MAX_HOSTS};
use super::super::{Inventory, literal};
use super::{FLEET, from_text, inventory};
use crate::yaml::{KeyPath, Location};

/// A limit that leaves nobody is an error; here it is the empty set.
fn chosen(inventory: &Inventory, pattern: &str) -> BTreeSet<String> {
    let chosen = inventory.select(&[pattern.to_owned()]);
    chosen.into_iter().flatten().map(|host| host.name.clone()).collect()
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "all", "eu", "web", "app", "db", "lone", "web1", "web3", "web*", "~.*1", "web[0]", "eu[1:2]",
    ])
}

/// Lines that look like an inventory's, broken anywhere.
fn lines() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z]{1,4}",
        Just("[web]".to_owned()),
        Just("[web:vars]".to_owned()),
        Just("[x:children]".to_owned()),
        Just("w[1:3]".to_owned()),
        Just("a=[{'b': (1,".to_owned()),
        Just("k=\"".to_owned()),
        ".{0,6}",
    ];
    let line = prop::collection::vec(word, 0..4).prop_map(|words| words.join(" "));
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn patterns_are_sets(a in name(), b in name()) {
        let fleet = inventory(FLEET);
        let (left, right) = (chosen(&fleet, a), chosen(&fleet, b));
        let sets = |pattern: String| chosen(&fleet, &pattern);
        prop_assert_eq!(sets(format!("{a},{b}")), left.union(&right).cloned().collect());
        prop_assert_eq!(sets(format!("{a},&{b}")), left.intersection(&right).cloned().collect());
        prop_assert_eq!(sets(format!("!{b},{a}")), left.difference(&right).cloned().collect());
        prop_assert_eq!(sets(format!("{b},{a}")), sets(format!("{a},{b}")));
    }

    #[test]
    fn hostile_inventories_cost_an_error_at_most(text in lines(), ending in prop::sample::select(vec!["i.ini", "i", "i.yml"])) {
        let _ = from_text(ending, &text);
    }

    #[test]
    fn ranges_are_bounded(from in 0u64.., to in 0u64.., step in 0u64..5, more in 0usize..12) {
        let pattern = format!("w{}", format!("[{from}:{to}:{step}]").repeat(more));
        let names = ranges::expand(&pattern).unwrap_or_default();
        prop_assert!(names.len() <= MAX_HOSTS);
    }

    #[test]
    fn hostile_literals_do_no_harm(text in "[\\[\\](){}'\"\\\\,:#0-9a-fxrub._+\\- ]{0,40}") {
        let at = Location { file: std::path::Path::new("i").into(), line: 1, column: 1 };
        let _ = literal::parse(&text, &at, &KeyPath::default());
    }
}
