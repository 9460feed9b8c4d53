//! The plan that takes a project off a host.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::Project;
use crate::image::Reference;
use crate::release::pinned;
use crate::state::{EngineState, Owned, Role};

use super::cause::Cause;
use super::names::keeper_name;
use super::operation::{Action, Operation, Plan};

/// Removes every container of the project, its networks, also those that the file does not name (any more), and with `volumes` its named volumes, its releases and files,
/// and what they hold, and the names by which releases kept their images. Networks and volumes that are external, or
/// without the project's label, stay, and so do images under names of their own.
pub fn teardown(host: &str, project: &Project, engine: &EngineState, volumes: bool) -> Plan {
    let mut containers: Vec<_> = engine.of_project(&project.name).collect();
    // What stands before a service goes after it, and the lock last.
    containers.sort_by_key(|c| match c.role {
        Role::Service | Role::Hook | Role::OneOff => 0,
        Role::Relay => 1,
        Role::Keeper => 2,
    });
    let containers = containers.into_iter().map(|c| Action::RemoveContainer {
        service: None,
        container: c.name.clone(),
        id: c.id.clone(),
        volumes,
    });
    let external: BTreeSet<&str> = project.networks.values().filter(|n| n.external).map(|n| n.name.as_str()).collect();
    let labelled = engine.networks.iter().filter(|(_, owned)| owned.project.as_deref() == Some(&*project.name));
    let labelled = labelled.map(|(name, _)| name).filter(|name| !external.contains(name.as_str()));
    let networks = project.networks.values().filter(|n| !n.external).map(|n| &n.name).chain(labelled);
    let networks = networks.cloned().collect::<BTreeSet<String>>().into_iter();
    let (networks, others) = split(&project.name, networks, &engine.networks);
    let mut notes: Vec<String> = others.iter().map(|name| foreign("network", name)).collect();
    let named = project.volumes.values().filter(|v| !v.external).map(|v| v.name.clone());
    let named = named.chain([keeper_name(&project.name)]).filter(|_| volumes);
    let (named, others) = split(&project.name, named, &engine.volumes);
    notes.extend(others.iter().map(|name| foreign("volume", name)));
    let networks = networks.into_iter().map(|name| Action::RemoveNetwork { name });
    let named = named.into_iter().map(|name| Action::RemoveVolume { name });
    let pins = engine.images.iter().flat_map(|image| &image.references).filter(|_| volumes);
    let pins = pins.filter(|name| pinned(&project.name, name).is_some()).filter_map(|name| Reference::parse(name).ok());
    let pins = pins.map(|reference| Action::RemovePin { reference });
    let actions = containers.chain(networks).chain(named).chain(pins);
    Plan {
        host: host.to_owned(),
        operations: actions.map(|action| Operation { action, cause: Cause::Asked }).collect(),
        running: BTreeMap::new(),
        relays: BTreeMap::new(),
        helper: String::new(),
        unchanged: Vec::new(),
        notes,
    }
}

/// Those of the names that the host has: with the project's label, and without it.
fn split(
    project: &str,
    names: impl Iterator<Item = String>,
    there: &BTreeMap<String, Owned>,
) -> (Vec<String>, Vec<String>) {
    let names = names.filter(|name| there.contains_key(name));
    names.partition(|name| there[name].project.as_deref() == Some(project))
}

fn foreign(kind: &str, name: &str) -> String {
    format!("{kind} {name} was not made for this project, and stays")
}
