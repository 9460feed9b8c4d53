//! The plan that takes a project off a host.

use crate::compose::Project;
use crate::state::EngineState;

use super::operation::{Action, Cause, Operation, Plan};

/// Removes every container of the project, its networks, and with `volumes` its named volumes and what they hold.
/// External networks and volumes stay, and so do images.
pub fn teardown(host: &str, project: &Project, engine: &EngineState, volumes: bool) -> Plan {
    let containers = engine.of_project(&project.name).map(|c| Action::RemoveContainer {
        container: c.name.clone(),
        id: c.id.clone(),
        volumes,
    });
    let networks = project
        .networks
        .values()
        .filter(|n| !n.external && engine.networks.contains(&n.name))
        .map(|n| Action::RemoveNetwork { name: n.name.clone() });
    let named = project
        .volumes
        .values()
        .filter(|v| volumes && !v.external && engine.volumes.contains(&v.name))
        .map(|v| Action::RemoveVolume { name: v.name.clone() });
    let actions = containers.chain(networks).chain(named);
    Plan {
        host: host.to_owned(),
        operations: actions.map(|action| Operation { action, cause: Cause::Asked }).collect(),
        unchanged: Vec::new(),
        notes: Vec::new(),
    }
}
