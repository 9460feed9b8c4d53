//! Our inventories beside Ansible's answers: `toolbox/tests/inventory/expected.json`, which `oracle.py` there prints.
//!
//! Known differences, none of which a case holds: a pattern that matches nothing, a range from high to low, a name of a
//! host with a slash, an `@` or a wildcard, a key that is none of `hosts`, `vars`, `children`, and a YAML key that is
//! written twice are errors here and warnings there; `localhost` is no host unless it is named; times with a time of day
//! and floats to the base of 60 stay text; hosts of groups three deep and more have a fixed order here and an arbitrary
//! one there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::super::Inventory;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory")
}

fn expected() -> BTreeMap<String, Json> {
    let text = std::fs::read_to_string(root().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn load(case: &str) -> Inventory {
    let directory = root().join(case);
    let sources = std::fs::read_to_string(directory.join("sources")).unwrap();
    let sources: Vec<PathBuf> = sources.lines().map(|line| directory.join(line)).collect();
    let project = Some(directory.join("project")).filter(|path| path.is_dir());
    Inventory::load(&sources, project.as_deref()).unwrap_or_else(|problems| panic!("{case}: {problems}"))
}

/// All hosts of a group and of those below it.
fn below(list: &Json, group: &str, found: &mut BTreeSet<String>) {
    let names = |key: &str| list[group][key].as_array().cloned().unwrap_or_default();
    found.extend(names("hosts").iter().map(|name| name.as_str().unwrap().to_owned()));
    names("children").iter().for_each(|child| below(list, child.as_str().unwrap(), found));
}

fn compare_groups(case: &str, list: &Json, inventory: &Inventory) {
    let ours = |group: &str| inventory.groups.get(group).into_iter().flatten().cloned().collect::<BTreeSet<_>>();
    for group in list.as_object().unwrap().keys().filter(|key| *key != "_meta") {
        let mut theirs = BTreeSet::new();
        below(list, group, &mut theirs);
        assert_eq!(ours(group), theirs, "{case}: hosts of {group}");
    }
    // Ansible does not list what is empty.
    for group in inventory.groups.keys().filter(|group| list.get(group.as_str()).is_none()) {
        assert_eq!(ours(group), BTreeSet::new(), "{case}: Ansible knows no group {group}");
    }
}

fn compare_variables(case: &str, list: &Json, inventory: &Inventory) {
    let none = serde_json::Map::new();
    let theirs = list["_meta"]["hostvars"].as_object().unwrap_or(&none);
    for host in inventory.hosts.values() {
        let theirs = theirs.get(&host.name).cloned().unwrap_or_else(|| Json::Object(none.clone()));
        assert_eq!(serde_json::to_value(&host.variables).unwrap(), theirs, "{case}: variables of {}", host.name);
    }
}

fn compare_limits(case: &str, limits: &Json, inventory: &Inventory) {
    for (pattern, theirs) in limits.as_object().unwrap() {
        let file = pattern.replace('@', &format!("@{}/", root().join(case).display()));
        let chosen = inventory.select(std::slice::from_ref(&file)).unwrap_or_else(|e| panic!("{case}: {pattern}: {e}"));
        let ours: Vec<&str> = chosen.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(serde_json::to_value(ours).unwrap(), *theirs, "{case}: {pattern}");
    }
}

#[test]
fn inventories_are_read_as_ansible_reads_them() {
    let expected = expected();
    assert!(expected.len() >= 25);
    for (case, answer) in &expected {
        let inventory = load(case);
        compare_groups(case, &answer["list"], &inventory);
        compare_variables(case, &answer["list"], &inventory);
        compare_limits(case, &answer["limits"], &inventory);
    }
}

#[test]
fn what_is_expected_is_what_this_machines_ansible_says() {
    // Debian's own Python is the one that has Debian's ansible-core.
    let answer = Command::new("/usr/bin/python3").arg(root().join("oracle.py")).output();
    let Some(answer) = answer.ok().filter(|answer| answer.status.success()) else {
        eprintln!("skipped: ansible-core is not installed");
        return;
    };
    let now: BTreeMap<String, Json> = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(now, expected());
}
