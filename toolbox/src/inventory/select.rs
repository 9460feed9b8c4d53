//! Choosing hosts by patterns, as Ansible's `--limit` does.

use std::collections::BTreeSet;

use super::{Host, Inventory, InventoryError};
use crate::yaml::nearest;

impl Inventory {
    /// The hosts that the patterns leave, sorted by name; no pattern leaves all.
    ///
    /// A pattern is a host, a group, or a name with `*` and `?`; several are joined by commas or colons. `!x` takes
    /// out, `&x` keeps only what is also in x; both act after everything else, wherever they stand.
    ///
    /// # Errors
    /// A pattern that matches nothing, a form that is not supported, or no host left.
    pub fn select(&self, limit: &[String]) -> Result<Vec<&Host>, InventoryError> {
        let patterns: Vec<&str> = limit.iter().flat_map(|text| self.split(text)).filter(|p| !p.is_empty()).collect();
        if patterns.is_empty() {
            return Ok(self.hosts.values().collect());
        }
        let chosen = self.combine(&patterns)?;
        if chosen.is_empty() {
            return Err(InventoryError::Empty { patterns: patterns.join(",") });
        }
        Ok(chosen.into_iter().filter_map(|name| self.hosts.get(name)).collect())
    }

    fn combine(&self, patterns: &[&str]) -> Result<BTreeSet<&str>, InventoryError> {
        let starting = |sign: char| patterns.iter().filter_map(move |pattern| pattern.strip_prefix(sign));
        let mut plain = patterns.iter().filter(|pattern| !pattern.starts_with(['!', '&'])).peekable();
        let mut chosen = BTreeSet::new();
        if plain.peek().is_none() {
            chosen.extend(self.hosts.keys().map(String::as_str));
        }
        for pattern in plain {
            chosen.extend(self.matching(pattern)?);
        }
        for pattern in starting('&') {
            let kept = self.matching(pattern)?;
            chosen.retain(|name| kept.contains(name));
        }
        for pattern in starting('!') {
            let removed = self.matching(pattern)?;
            chosen.retain(|name| !removed.contains(name));
        }
        Ok(chosen)
    }

    /// The parts of a list; a name that holds a colon itself (an IPv6 address) is one part.
    fn split<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let parts = text.split(',').map(str::trim);
        let is_name = |part: &str| {
            let name = part.trim_start_matches(['!', '&']);
            self.hosts.contains_key(name) || self.groups.contains_key(name)
        };
        parts
            .flat_map(|part| if is_name(part) { vec![part] } else { part.split(':').map(str::trim).collect() })
            .collect()
    }

    fn matching(&self, pattern: &str) -> Result<BTreeSet<&str>, InventoryError> {
        if pattern.starts_with(['~', '@']) || pattern.contains('[') {
            return Err(InventoryError::Pattern { pattern: pattern.to_owned() });
        }
        let groups = self.groups.iter().filter(|(name, _)| matches(pattern, name));
        let mut found: BTreeSet<&str> = groups.flat_map(|(_, hosts)| hosts).map(String::as_str).collect();
        found.extend(self.hosts.keys().filter(|name| matches(pattern, name)).map(String::as_str));
        // A group that exists may be empty; a name that does not exist is a mistake.
        if found.is_empty() && !self.groups.contains_key(pattern) {
            let names = self.hosts.keys().chain(self.groups.keys()).map(String::as_str);
            let nearest = nearest(pattern, names).map(str::to_owned);
            return Err(InventoryError::NoMatch { pattern: pattern.to_owned(), nearest });
        }
        Ok(found)
    }
}

/// Whether a pattern with `*` and `?` matches the whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when the characters after the last * turn out not to match.
    let mut retry = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((star, start)) = retry {
            retry = Some((star, start + 1));
            (p, n) = (star + 1, start + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
