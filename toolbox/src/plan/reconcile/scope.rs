//! What must be known of a host to make its plan.

use std::collections::BTreeSet;

use crate::compose::{Protocol, PublishedPort, Service};
use crate::image::Reference;
use crate::plan::names::{keeper_name, numbered_name, relay_name};
use crate::plan::order::Rollout;
use crate::state::{Expected, Needs, Scope};

use super::Desired;

/// So many containers are asked for in advance at most.
const MOST: usize = 100;

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
            expected: project.services.values().flat_map(|service| self.expected(service)).take(MOST).collect(),
        };
        Scope { project: &project.name, needs: Some(needs) }
    }

    /// Those of a service that is as the file has it.
    fn expected(&self, service: &'a Service) -> impl Iterator<Item = Expected> {
        let project = self.project;
        let image = self.images.get(&service.image).map(|image| &image.facts);
        let has_relay = Rollout::of(project, service, image).is_ok_and(|rollout| rollout.relay.is_some());
        let relay = has_relay.then(|| Expected { name: relay_name(project, &service.name), is_relay: true });
        let own = (1..=service.replicas).map(|number| numbered_name(project, service, number));
        own.map(|name| Expected { name, is_relay: false }).chain(relay)
    }

    fn image_names(&self) -> BTreeSet<String> {
        let at_hand = self.images.values().chain([self.helper]).map(|image| image.reference.full());
        let services = self.project.services.values();
        let others = services.filter_map(|service| Reference::parse(&service.image).ok()).map(|name| name.full());
        at_hand.chain(others).collect()
    }
}

fn tcp_ports(service: &Service) -> impl Iterator<Item = PublishedPort> {
    let tcp = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    tcp.filter(|port| port.published.is_some()).cloned()
}
