//! Choosing hosts by patterns, as Ansible's `--limit` does.
//!
//! Stricter than Ansible in one thing: a pattern that matches nothing is an error, not a warning.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{Host, Inventory, InventoryError, address, glob};
use crate::yaml::{nearest, read_text};

static POSITION: LazyLock<Regex> = LazyLock::new(|| expression(r"^(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]$"));
static PART: LazyLock<Regex> = LazyLock::new(|| expression(r"(?:[^\s:\[\]]|\[[^\]]*\])+"));

fn expression(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|e| unreachable!("{text}: {e}"))
}

impl Inventory {
    /// The hosts that the patterns leave, sorted by name; no pattern leaves all.
    ///
    /// A pattern is a host, a group, a name with `*`, `?` and `[a-z]`, or `~` and a regular expression; `x[0]`, `x[-1]`
    /// and `x[1:2]` are hosts by their position in x, `@FILE` is a file with a pattern on each line. Several are joined
    /// by commas or colons. `!x` takes out, `&x` keeps only what is also in x; both act after everything else, wherever
    /// they stand.
    ///
    /// # Errors
    /// A pattern that matches nothing or cannot be read, or no host left.
    pub fn select(&self, limit: &[String]) -> Result<Vec<&Host>, InventoryError> {
        let mut patterns = Vec::new();
        for pattern in limit.iter().flat_map(|text| self.split(text)) {
            match pattern.strip_prefix('@') {
                Some(file) => patterns.extend(lines(file)?),
                None => patterns.push(pattern),
            }
        }
        if patterns.is_empty() {
            return Ok(self.sorted(self.hosts.keys().map(String::as_str).collect()));
        }
        let chosen = self.combine(&patterns)?;
        if chosen.is_empty() {
            return Err(InventoryError::Empty { patterns: patterns.join(",") });
        }
        Ok(self.sorted(chosen))
    }

    fn sorted(&self, names: BTreeSet<&str>) -> Vec<&Host> {
        names.into_iter().filter_map(|name| self.hosts.get(name)).collect()
    }

    fn combine(&self, patterns: &[String]) -> Result<BTreeSet<&str>, InventoryError> {
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

    /// The parts of a list. Commas part, and where there is none colons do, unless the text is an address, a name with a
    /// range, or a name of the inventory.
    fn split(&self, text: &str) -> Vec<String> {
        let bare = text.trim().trim_start_matches(['!', '&']);
        let is_name = self.hosts.contains_key(bare) || self.groups.contains_key(bare);
        let parts: Vec<&str> = if text.contains(',') {
            text.split(',').collect()
        } else if is_name || address::parse(text).is_some() {
            vec![text]
        } else {
            PART.find_iter(text).map(|part| part.as_str()).collect()
        };
        parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    }

    /// The hosts of one pattern without its sign.
    fn matching(&self, pattern: &str) -> Result<BTreeSet<&str>, InventoryError> {
        if let Some((name, _)) = self.hosts.get_key_value(pattern) {
            return Ok(BTreeSet::from([name.as_str()]));
        }
        let (name, position) = split_position(pattern);
        let found = self.enumerate(name)?;
        // A group that exists may be empty; a name that does not exist is a mistake.
        if found.is_empty() && !self.groups.contains_key(name) {
            let names = self.hosts.keys().chain(self.groups.keys()).map(String::as_str);
            let nearest = nearest(name, names).map(str::to_owned);
            return Err(InventoryError::NoMatch { pattern: pattern.to_owned(), nearest });
        }
        let Some(position) = position else { return Ok(found.into_iter().collect()) };
        let chosen = position.of(&found);
        let none = || InventoryError::Position { pattern: pattern.to_owned(), hosts: found.len() };
        chosen.map(|hosts| hosts.iter().copied().collect()).ok_or_else(none)
    }

    /// In Ansible's order: the hosts of matching groups, then matching hosts; these may be hosts of the groups again.
    fn enumerate(&self, pattern: &str) -> Result<Vec<&str>, InventoryError> {
        let expression = match pattern.strip_prefix('~') {
            Some(text) => Regex::new(&format!("^(?:{text})")),
            None => glob::expression(pattern),
        };
        let expression = expression.map_err(|error| {
            let reason = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            InventoryError::Expression { pattern: pattern.to_owned(), reason }
        })?;
        let groups: Vec<_> = self.groups.iter().filter(|(name, _)| expression.is_match(name)).collect();
        let mut found: Vec<&str> = groups.iter().flat_map(|(_, hosts)| hosts.iter().map(String::as_str)).collect();
        if groups.is_empty() || pattern.starts_with('~') || pattern.contains(['.', '?', '*', '[']) {
            found.extend(self.hosts.keys().map(String::as_str).filter(|name| expression.is_match(name)));
        }
        Ok(found)
    }
}

/// The patterns in a file, one on each line.
fn lines(file: &str) -> Result<Vec<String>, InventoryError> {
    let text = read_text(file.as_ref()).map_err(|reason| InventoryError::File { file: file.to_owned(), reason })?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Where in a group.
enum Position {
    /// One host; below zero from the end.
    At(i64),
    /// From one to another, both included; without the other up to the end.
    Range(usize, Option<usize>),
}

impl Position {
    fn of<'a, 'b>(&self, hosts: &'b [&'a str]) -> Option<&'b [&'a str]> {
        let chosen = match *self {
            Self::At(at) if at < 0 => {
                let at = hosts.len().checked_sub(usize::try_from(at.unsigned_abs()).ok()?)?;
                hosts.get(at..=at)?
            }
            Self::At(at) => hosts.get(usize::try_from(at).ok()?..)?.get(..1)?,
            Self::Range(from, to) => {
                let end = to.map_or(hosts.len(), |to| to.saturating_add(1).min(hosts.len()));
                hosts.get(from..end)?
            }
        };
        (!chosen.is_empty()).then_some(chosen)
    }
}

/// A regular expression has no position: its brackets are its own.
fn split_position(pattern: &str) -> (&str, Option<Position>) {
    let Some(found) = POSITION.captures(pattern).filter(|_| !pattern.starts_with('~')) else {
        return (pattern, None);
    };
    let number = |index: usize| found.get(index).map(|number| number.as_str().parse().unwrap_or(i64::MAX));
    let size = |index: usize| number(index).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let to = found.get(4).filter(|to| !to.is_empty()).and_then(|_| size(4));
    let position = number(2).map_or_else(|| Position::Range(size(3).unwrap_or_default(), to), Position::At);
    (found.get(1).map_or(pattern, |name| name.as_str()), Some(position))
}
