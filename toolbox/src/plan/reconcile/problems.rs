//! Everything that stands in the way of a plan.

use std::collections::BTreeSet;

use crate::compose::{Mount, MountSource, Network, Service, Volume};
use crate::plan::labels::{network_hash, volume_hash};
use crate::plan::operation::{Action, Plan};
use crate::plan::order::{Rollout, tcp_ports};
use crate::state::Owned;

use super::{PlanError, Run};

impl Run<'_> {
    pub(super) fn problems(&self) -> Vec<PlanError> {
        let services =
            self.selected.iter().flat_map(|s| self.image_problem(s).into_iter().chain(self.port_problems(s)));
        services.chain(self.network_problems()).chain(self.volume_problems()).collect()
    }

    fn image_problem(&self, service: &Service) -> Option<PlanError> {
        let (host, service_name, image) = (self.facts.host.clone(), service.name.clone(), service.image.clone());
        let Some(wanted) = self.image_facts(service) else {
            let has_build = service.has_build;
            return Some(PlanError::ImageNowhere { host, service: service_name, image, has_build });
        };
        // What the host holds under this name runs there, whatever it says it is for.
        let at_hand = self.desired.images.contains_key(&service.image);
        let (ours, theirs) = (&wanted.architecture, &self.engine.architecture);
        let differs = at_hand && !ours.is_empty() && !theirs.is_empty() && ours != theirs;
        differs.then(|| PlanError::Architecture {
            host,
            service: service_name,
            image,
            image_architecture: ours.clone(),
            host_architecture: theirs.clone(),
        })
    }

    /// The service would wait for a header that never comes.
    pub(super) fn without_relay(&self, service: &Service, rollout: &Rollout) -> Option<PlanError> {
        let image = self.image_facts(service)?;
        service.toolbox.proxy_protocol.filter(|_| rollout.relay.is_none() && service.replicas > 0)?;
        let known = !tcp_ports(service, Some(image)).is_empty();
        let reason = rollout.reason.clone().filter(|_| known);
        Some(PlanError::NoRelay { host: self.facts.host.clone(), service: service.name.clone(), reason })
    }

    /// Relays and the keeper run the helper of this toolbox.
    pub(super) fn helper_problem(&self, plan: &Plan) -> Option<PlanError> {
        let made = |a: &Action| matches!(a, Action::CreateKeeper { .. } | Action::CreateRelay { .. });
        let (ours, theirs) = (&self.desired.helper.facts.architecture, &self.engine.architecture);
        let differs = !ours.is_empty() && !theirs.is_empty() && ours != theirs;
        let needed = plan.operations.iter().any(|operation| made(&operation.action));
        (differs && needed).then(|| PlanError::HelperArchitecture {
            host: self.facts.host.clone(),
            helper_architecture: ours.clone(),
            host_architecture: theirs.clone(),
        })
    }

    fn network_problems(&self) -> Vec<PlanError> {
        let needed = self.needed_networks();
        let networks = self.desired.project.networks.iter().filter(|(key, _)| needed.contains(key.as_str()));
        let problem = |(_, network): (_, &Network)| {
            let there = self.engine.networks.get(&network.name);
            self.shared_problem("network", &network.name, network.external, there, &network_hash(network))
        };
        networks.filter_map(problem).collect()
    }

    fn volume_problems(&self) -> Vec<PlanError> {
        let needed = self.needed_volumes();
        let volumes = self.desired.project.volumes.iter().filter(|(key, _)| needed.contains(key.as_str()));
        let problem = |(_, volume): (_, &Volume)| {
            let there = self.engine.volumes.get(&volume.name);
            self.shared_problem("volume", &volume.name, volume.external, there, &volume_hash(volume))
        };
        volumes.filter_map(problem).collect()
    }

    /// What carries no hash of ours is somebody else's, and taken as it is.
    fn shared_problem(
        &self,
        kind: &'static str,
        name: &str,
        external: bool,
        there: Option<&Owned>,
        hash: &str,
    ) -> Option<PlanError> {
        let (host, name) = (self.facts.host.clone(), name.to_owned());
        match there {
            None if external => Some(PlanError::ExternalMissing { host, kind, name }),
            Some(Owned { hash: Some(own), .. }) if !external && own != hash => {
                Some(PlanError::Differs { host, kind, name })
            }
            _ => None,
        }
    }

    /// Keys of the networks of the services that may be changed.
    pub(super) fn needed_networks(&self) -> BTreeSet<&str> {
        self.selected.iter().flat_map(|s| s.networks.keys().map(String::as_str)).collect()
    }

    /// Keys of the named volumes of the services that may be changed.
    pub(super) fn needed_volumes(&self) -> BTreeSet<&str> {
        self.selected.iter().flat_map(|s| s.mounts.iter()).filter_map(volume_key).collect()
    }
}

fn volume_key(mount: &Mount) -> Option<&str> {
    match &mount.source {
        MountSource::Volume { key, .. } => Some(key),
        _ => None,
    }
}
