//! Lists of algorithms: `a,b`, and what is added to the usual ones (`+`), taken from them (`-`) or put first (`^`).

use std::fmt;

use super::pattern::{any_matches, glob};

/// A list as it was written; its names may be patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgorithmList {
    change: Change,
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Replace,
    Append,
    Remove,
    First,
}

impl AlgorithmList {
    /// Reads a list; `None` where a name is empty.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (change, names) = match text.as_bytes().first()? {
            b'+' => (Change::Append, &text[1..]),
            b'-' => (Change::Remove, &text[1..]),
            b'^' => (Change::First, &text[1..]),
            _ => (Change::Replace, text),
        };
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        (!names.iter().any(String::is_empty)).then_some(Self { change, names })
    }

    /// Whether the order is the list's own, and not the usual one.
    #[must_use]
    pub fn has_own_order(&self) -> bool {
        matches!(self.change, Change::Replace | Change::First)
    }

    /// The names that are meant, each once, out of `all` that can be had; `usual` are those without this list.
    #[must_use]
    pub fn apply<'a>(&self, usual: &[&'a str], all: &[&'a str]) -> Vec<&'a str> {
        let named = || self.names.iter().flat_map(|name| all.iter().copied().filter(move |known| glob(name, known)));
        let kept = usual.iter().copied();
        let found: Vec<&str> = match self.change {
            Change::Replace => named().collect(),
            Change::Append => kept.chain(named()).collect(),
            Change::First => named().chain(kept).collect(),
            Change::Remove => kept.filter(|name| !any_matches(self.names.iter().map(String::as_str), name)).collect(),
        };
        let mut once = Vec::new();
        found.into_iter().for_each(|name| {
            if !once.contains(&name) {
                once.push(name);
            }
        });
        once
    }
}

impl fmt::Display for AlgorithmList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            Change::Replace => "",
            Change::Append => "+",
            Change::Remove => "-",
            Change::First => "^",
        };
        write!(f, "{sign}{}", self.names.join(","))
    }
}
