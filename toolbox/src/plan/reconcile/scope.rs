//! What must be known of a host to make its plan.

use std::collections::BTreeSet;

use crate::compose::{Protocol, Service};
use crate::image::Reference;
use crate::plan::names::keeper_name;
use crate::state::{Needs, Scope};

use super::Desired;

impl<'a> Desired<'a> {
    /// What a snapshot has to tell so that this can be compared with it.
    pub fn scope(&self) -> Scope<'a> {
        let project = self.project;
        let modes = project.services.values().filter_map(|service| service.network_mode.clone());
        let named = project.networks.values().map(|network| network.name.clone());
        let volumes = project.volumes.values().map(|volume| volume.name.clone());
        let needs = Needs {
            known: self.images.values().chain([self.helper]).map(|image| &image.facts).collect(),
            images: self.image_names(),
            networks: named.chain(modes).collect(),
            volumes: volumes.chain([keeper_name(&project.name)]).collect(),
            ports: project.services.values().flat_map(tcp_ports).collect(),
        };
        Scope { project: &project.name, needs: Some(needs) }
    }

    fn image_names(&self) -> BTreeSet<String> {
        let at_hand = self.images.values().chain([self.helper]).map(|image| image.reference.full());
        let services = self.project.services.values();
        let others = services.filter_map(|service| Reference::parse(&service.image).ok()).map(|name| name.full());
        at_hand.chain(others).collect()
    }
}

fn tcp_ports(service: &Service) -> impl Iterator<Item = u16> {
    service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).filter_map(|port| port.published)
}
