//! Which hosts a group holds, and which variable wins.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{Draft, Variables};
use super::{Inventory, host};
use crate::yaml::Sink;

/// The inventory that the file means.
pub(super) fn resolve(draft: &Draft, sink: &Sink) -> Inventory {
    if report_loop(draft, sink) {
        return Inventory::default();
    }
    let groups = members(draft);
    let depths = depths(draft);
    let hosts = draft.hosts.iter().map(|(name, own)| {
        let variables = variables(draft, &groups, &depths, name, own);
        (name.clone(), host::host(name, &variables, sink))
    });
    Inventory { hosts: hosts.collect(), groups: groups.clone() }
}

/// Ansible's order: `all`, then groups by depth and by name, then the host itself.
fn variables(
    draft: &Draft,
    groups: &BTreeMap<String, BTreeSet<String>>,
    depths: &BTreeMap<&str, usize>,
    host: &str,
    own: &Variables,
) -> Variables {
    let holds = |name: &&String| groups.get(*name).is_some_and(|hosts| hosts.contains(host));
    let mut holders: Vec<&String> = draft.groups.keys().filter(holds).collect();
    holders.sort_by_key(|name| (depths.get(name.as_str()), name.as_str()));
    let mut all = Variables::new();
    for name in holders {
        all.extend(draft.groups[name].variables.clone());
    }
    all.extend(own.clone());
    all
}

/// The hosts of each group with those of its children; `ungrouped` holds what no other group does.
fn members(draft: &Draft) -> BTreeMap<String, BTreeSet<String>> {
    let mut groups: BTreeMap<String, BTreeSet<String>> =
        draft.groups.keys().map(|name| (name.clone(), below(draft, name))).collect();
    let is_own = |name: &str| name != "all" && name != "ungrouped";
    let grouped: BTreeSet<String> =
        groups.iter().filter(|(name, _)| is_own(name)).flat_map(|(_, hosts)| hosts.clone()).collect();
    groups.insert("ungrouped".into(), draft.hosts.keys().filter(|host| !grouped.contains(*host)).cloned().collect());
    groups.insert("all".into(), draft.hosts.keys().cloned().collect());
    groups
}

fn below(draft: &Draft, name: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![name];
    let mut hosts = BTreeSet::new();
    while let Some(group) = open.pop() {
        if !seen.insert(group) {
            continue;
        }
        if let Some(group) = draft.groups.get(group) {
            hosts.extend(group.hosts.iter().cloned());
            open.extend(group.children.keys().map(String::as_str));
        }
    }
    hosts
}

/// The length of the longest way from `all` to each group; there is no loop.
fn depths(draft: &Draft) -> BTreeMap<&str, usize> {
    let mut depths: BTreeMap<&str, usize> =
        draft.groups.keys().map(|name| (name.as_str(), usize::from(name != "all"))).collect();
    // Without a loop no way is longer than the number of groups.
    for _ in 0..draft.groups.len() {
        let mut changed = false;
        for (name, group) in &draft.groups {
            let depth = depths[name.as_str()] + 1;
            for child in group.children.keys() {
                let known = depths.entry(child).or_default();
                changed |= *known < depth;
                *known = depth.max(*known);
            }
        }
        if !changed {
            break;
        }
    }
    depths
}

/// Reports a group that is its own descendant.
fn report_loop(draft: &Draft, sink: &Sink) -> bool {
    let mut clear = BTreeSet::new();
    for name in draft.groups.keys() {
        if let Some(path) = walk(draft, name, &mut Vec::new(), &mut clear) {
            let message = format!("the groups hold each other: {}", path.join(" -> "));
            match path
                .first()
                .zip(path.get(1))
                .and_then(|(group, child)| draft.groups.get(*group)?.children.get(*child))
            {
                Some(node) => sink.report(node, message),
                None => continue,
            }
            return true;
        }
    }
    false
}

/// A loop that can be reached from `name`, its first group repeated at the end.
fn walk<'a>(
    draft: &'a Draft,
    name: &'a str,
    path: &mut Vec<&'a str>,
    clear: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if clear.contains(name) {
        return None;
    }
    if let Some(start) = path.iter().position(|group| *group == name) {
        return Some(path[start..].iter().copied().chain([name]).collect());
    }
    path.push(name);
    let children = draft.groups.get(name).into_iter().flat_map(|group| group.children.keys());
    for child in children {
        let found = walk(draft, child, path, clear);
        if found.is_some() {
            return found;
        }
    }
    path.pop();
    clear.insert(name);
    None
}
