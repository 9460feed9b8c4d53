//! In which order services start. Pure and deterministic.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Project, Service};

impl Project {
    /// The services in levels: each needs only services of earlier levels. Names are sorted within a level; stopping
    /// goes the other way round.
    pub fn start_order(&self) -> Vec<Vec<&str>> {
        levels(&self.services).0
    }
}

type Services = BTreeMap<String, Service>;

/// The levels, and the services left over because they stand in a cycle or behind one.
fn levels(services: &Services) -> (Vec<Vec<&str>>, BTreeSet<&str>) {
    let mut left: BTreeSet<&str> = services.keys().map(String::as_str).collect();
    let mut levels = Vec::new();
    loop {
        let ready: Vec<&str> = left.iter().copied().filter(|name| waits_for(services, name, &left).is_none()).collect();
        if ready.is_empty() {
            return (levels, left);
        }
        left.retain(|name| !ready.contains(name));
        levels.push(ready);
    }
}

/// The first service among `left` that `name` depends on.
fn waits_for<'a>(services: &'a Services, name: &str, left: &BTreeSet<&str>) -> Option<&'a str> {
    let dependencies = services.get(name)?.depends_on.keys().map(String::as_str);
    dependencies.into_iter().find(|dependency| left.contains(dependency))
}

/// A cycle of dependencies, starting with its first name in order; `None` when there is none.
pub(super) fn cycle(services: &Services) -> Option<Vec<&str>> {
    let (_, left) = levels(services);
    let mut path: Vec<&str> = vec![left.first()?];
    // Everything left depends on something left, so the walk must come back to itself.
    loop {
        let next = waits_for(services, path.last()?, &left)?;
        if let Some(start) = path.iter().position(|name| *name == next) {
            let mut cycle = path.split_off(start);
            let first = cycle.iter().enumerate().min_by_key(|(_, name)| **name)?.0;
            cycle.rotate_left(first);
            return Some(cycle);
        }
        path.push(next);
    }
}
