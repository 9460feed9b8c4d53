//! Which hosts a group holds, and which variable wins.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};

use super::draft::{Draft, Variables};
use super::vars_files::VarsFiles;
use super::{Inventory, host, seed};
use crate::yaml::Sink;

/// The inventory that the files mean.
pub(super) fn resolve(draft: &Draft, files: &VarsFiles<'_>, sink: &Sink) -> Inventory {
    if report_loop(draft, sink) {
        return Inventory::default();
    }
    let groups = members(draft);
    let holders = holders(draft, &groups);
    let of = |name: &String, own| {
        let holders = holders.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        variables(draft, files, holders, name, own)
    };
    let all: IndexMap<String, Variables> =
        draft.hosts.iter().map(|(name, own)| (name.clone(), of(name, own))).collect();
    let hosts = all.iter().map(|(name, variables)| (name.clone(), host::host(name, variables, sink))).collect();
    seed::check(&hosts, &all, sink);
    Inventory { hosts, groups: groups.clone(), warnings: Vec::new() }
}

/// Ansible's order: what the inventory says of `all` and of the other groups, what group_vars say of them, what the
/// inventory says of the host, what host_vars say of it.
fn variables(draft: &Draft, files: &VarsFiles<'_>, holders: &[&str], host: &str, own: &Variables) -> Variables {
    let mut variables = Variables::new();
    let mut add = |more: &Variables| variables.extend(more.iter().map(|(name, node)| (name.clone(), node.clone())));
    for group in ["all"].iter().chain(holders) {
        draft.groups.get(*group).map(|group| &group.variables).into_iter().for_each(&mut add);
    }
    files.of_groups(holders).iter().for_each(|found| add(found));
    add(own);
    files.of_host(host).iter().for_each(|found| add(found));
    variables
}

/// The groups of each host but `all`, the one that wins last: by depth, `ansible_group_priority` and name.
fn holders<'a>(draft: &'a Draft, groups: &'a IndexMap<String, IndexSet<String>>) -> HashMap<&'a str, Vec<&'a str>> {
    let depths = depths(draft);
    let mut sorted: Vec<&str> = groups.keys().map(String::as_str).filter(|name| *name != "all").collect();
    sorted.sort_by_key(|name| (depths.get(name), draft.groups[*name].priority.unwrap_or(1), *name));
    let mut holders: HashMap<&str, Vec<&str>> = HashMap::new();
    for group in sorted {
        for host in &groups[group] {
            holders.entry(host).or_default().push(group);
        }
    }
    holders
}

/// The hosts of each group with those of its children; `ungrouped` holds what no other group does.
fn members(draft: &Draft) -> IndexMap<String, IndexSet<String>> {
    let is_own = |name: &str| name != "all" && name != "ungrouped";
    let mut groups: IndexMap<String, IndexSet<String>> =
        draft.groups.keys().map(|name| (name.clone(), below(draft, &[name]))).collect();
    let grouped: HashSet<&String> =
        groups.iter().filter(|(name, _)| is_own(name)).flat_map(|(_, hosts)| hosts).collect();
    let named = draft.groups.get("ungrouped").into_iter().flat_map(|group| &group.hosts);
    let ungrouped = named.chain(draft.hosts.keys()).filter(|host| !grouped.contains(host)).cloned().collect();
    groups.insert("ungrouped".into(), ungrouped);
    groups.insert("all".into(), all(draft, &groups["ungrouped"]));
    groups
}

/// Ansible's order of `all`: its own hosts, those without a group, then group by group from the top.
fn all(draft: &Draft, ungrouped: &IndexSet<String>) -> IndexSet<String> {
    let children: HashSet<&String> = draft.groups.values().flat_map(|group| group.children.keys()).collect();
    let named = draft.groups["all"].children.keys();
    let tops = named.chain(draft.groups.keys().filter(|name| *name != "all" && !children.contains(name)));
    let tops: Vec<&str> = tops.map(String::as_str).collect();
    let own = draft.groups["all"].hosts.iter().chain(ungrouped).cloned();
    own.chain(below(draft, &tops)).chain(draft.hosts.keys().cloned()).collect()
}

/// The hosts of these groups and of all below them, level by level.
fn below(draft: &Draft, tops: &[&str]) -> IndexSet<String> {
    let mut open: IndexSet<&str> = tops.iter().copied().collect();
    let mut hosts = IndexSet::new();
    let mut at = 0;
    while let Some(group) = open.get_index(at).and_then(|name| draft.groups.get(*name)) {
        hosts.extend(group.hosts.iter().cloned());
        open.extend(group.children.keys().map(String::as_str));
        at += 1;
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
        let Some(path) = walk(draft, name, &mut Vec::new(), &mut clear) else { continue };
        let edge = path.first().zip(path.get(1));
        let place = edge.and_then(|(group, child)| draft.groups.get(*group)?.children.get(*child));
        if let Some(place) = place {
            place.report(sink, format!("the groups hold each other: {}", path.join(" -> ")));
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
