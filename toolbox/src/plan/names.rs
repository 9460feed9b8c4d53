//! The names of a project's objects on a host.
//!
//! Contract: a container that is on its way in or out carries a name from which its final one can be read, so that
//! whatever an interrupted run leaves is recognised by the next.

use crate::compose::{Project, Service};
use crate::state::{ObservedContainer, short_id};

/// The name that Compose gives to a service's first container.
pub fn container_name(project: &Project, service: &Service) -> String {
    numbered_name(project, service, 1)
}

/// The name that Compose gives to a service's container with this number, from 1.
pub fn numbered_name(project: &Project, service: &Service, number: u32) -> String {
    service.container_name.clone().unwrap_or_else(|| format!("{}-{}-{number}", project.name, service.name))
}

/// The name of a container that was replaced and is not removed yet.
pub fn parked_name(id: &str, name: &str) -> String {
    format!("{}_{name}", short_id(id))
}

/// What the name of a container ends with that is created and not in charge yet.
const STAGED: &str = ".next";
/// What the name of a hook's container ends with.
const HOOK: &str = ".hook";

/// The name of a container that was created and is not in charge yet.
pub fn staged_name(name: &str) -> String {
    format!("{name}{STAGED}")
}

/// The name of a container that runs a hook of a service.
pub fn hook_name(project: &Project, service: &str) -> String {
    format!("{}-{service}{HOOK}", project.name)
}

/// It has its final name: it is neither on its way in nor out.
pub fn is_in_charge(container: &ObservedContainer) -> bool {
    parked_from(container).is_none() && !is_staged(container)
}

/// The name of a service's relay.
pub fn relay_name(project: &Project, service: &str) -> String {
    format!("toolbox.{}.{service}", project.name)
}

/// The name of a project's keeper and of the volume that it holds.
pub fn keeper_name(project: &str) -> String {
    format!("toolbox.{project}")
}

/// The name that a parked container had; `None` where it is not parked.
pub(super) fn parked_from(container: &ObservedContainer) -> Option<&str> {
    container.name.strip_prefix(container.short_id())?.strip_prefix('_')
}

/// It was created by a run that ended before it was put in charge.
pub(super) fn is_staged(container: &ObservedContainer) -> bool {
    container.name.ends_with(STAGED)
}
