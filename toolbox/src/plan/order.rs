//! Whether a service's new container starts before the old one stops, and whether a relay stands before it.
//!
//! Start-first is the rule. Stop-first is chosen where two containers of the service cannot run at once, or must not
//! write to the same data; the reason is told. What the file says wins, unless it cannot be done.

use std::collections::BTreeSet;

use crate::compose::{Project, Protocol, Service, UpdateOrder, runs_alone};
use crate::state::ImageFacts;

use super::operation::Downtime;

/// How a service's containers are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// What goes first.
    pub order: UpdateOrder,
    /// Why it is not start-first; absent where it is.
    pub reason: Option<String>,
    /// The TCP ports of the relay that owns the service's published ports and names; absent without one.
    pub relay: Option<BTreeSet<u16>>,
}

impl Rollout {
    /// Decides for a service; `image` is what its containers are made from, where it is known.
    ///
    /// # Errors
    /// The reason why the file's `order: start-first` cannot be done.
    pub fn of(project: &Project, service: &Service, image: Option<&ImageFacts>) -> Result<Self, String> {
        let asked = service.update.order;
        let forced = runs_alone(&project.services, service).or_else(|| fixed_address(service, image));
        match (forced, asked) {
            (Some(reason), Some(UpdateOrder::StartFirst)) => Err(reason),
            (Some(reason), _) => Ok(Self::stop_first(reason)),
            (None, Some(UpdateOrder::StopFirst)) => Ok(Self::stop_first("the file asks for it".into())),
            (None, None) => {
                let better = one_writer(service, image).or_else(|| own_name(service));
                Ok(better.map_or_else(|| start_first(service, image), Self::stop_first))
            }
            (None, Some(UpdateOrder::StartFirst)) => Ok(start_first(service, image)),
        }
    }

    fn stop_first(reason: String) -> Self {
        Self { order: UpdateOrder::StopFirst, reason: Some(reason), relay: None }
    }

    /// What is noticed when `batch` of the service's containers are replaced at once.
    pub fn downtime(&self, service: &Service, batch: usize) -> Downtime {
        let others_run = batch < service.replicas as usize && service.ports.is_empty();
        match self.order {
            // The engine drops a name of the old container a moment after it stopped.
            UpdateOrder::StartFirst if self.relay.is_none() && !service.networks.is_empty() => Downtime::ByName,
            UpdateOrder::StartFirst => Downtime::None,
            UpdateOrder::StopFirst if others_run => Downtime::ByName,
            UpdateOrder::StopFirst => Downtime::UntilHealthy,
        }
    }
}

fn start_first(service: &Service, image: Option<&ImageFacts>) -> Rollout {
    let ports = tcp_ports(service, image);
    let relay = (!ports.is_empty() && service.replicas > 0).then_some(ports);
    Rollout { order: UpdateOrder::StartFirst, reason: None, relay }
}

/// The TCP ports that the service is known to listen on: published, exposed by the file, exposed by the image.
pub(super) fn tcp_ports(service: &Service, image: Option<&ImageFacts>) -> BTreeSet<u16> {
    let published = service.ports.iter().filter(|p| p.protocol == Protocol::Tcp).map(|p| p.target);
    let exposed = service.expose.iter().filter(|p| p.protocol == Protocol::Tcp).map(|p| p.port);
    let image = image.into_iter().flat_map(|facts| &facts.exposed);
    let by_image = image.filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok());
    published.chain(exposed).chain(by_image).collect()
}

/// An address that no relay takes over can be one container's only.
fn fixed_address(service: &Service, image: Option<&ImageFacts>) -> Option<String> {
    let fixed = |(_, a): &(&String, &crate::compose::Attachment)| a.ipv4_address.is_some() || a.ipv6_address.is_some();
    let (key, _) = service.networks.iter().find(fixed)?;
    tcp_ports(service, image).is_empty().then(|| format!("fixed address in network {key}"))
}

/// Data that two containers would write to at once. A successor takes over the volumes of the image's own `VOLUME`s.
fn one_writer(service: &Service, image: Option<&ImageFacts>) -> Option<String> {
    let covered =
        |path: &&String| service.mounts.iter().any(|m| m.target == **path) || service.tmpfs.contains_key(path.as_str());
    let of_image = || image?.volumes.iter().find(|path| !covered(path));
    service.one_writer().or_else(|| of_image().map(|path| format!("the image's volume {path} has one writer")))
}

/// The engine gives a fixed host name to its container in every network, past the relay that owns the name.
fn own_name(service: &Service) -> Option<String> {
    let name = service.hostname.as_ref()?;
    let mut aliases = service.networks.values().flat_map(|attachment| &attachment.aliases);
    let owned = *name == service.name || aliases.any(|alias| alias == name);
    owned.then(|| format!("hostname {name} is a name of the service"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::testing::project;
    use serde_json::json;

    fn rollout(service: &str, image: serde_json::Value) -> Result<Rollout, String> {
        let rest = "peer: {image: x}";
        let project = project(&format!("{{services: {{web: {service}, {rest}}}, volumes: {{data: {{}}}}}}"));
        let facts = ImageFacts::new("id".into(), Vec::new(), None, &image);
        Rollout::of(&project, &project.services["web"], Some(&facts))
    }

    #[test]
    fn stop_first_is_chosen_for_a_reason_and_start_first_otherwise() {
        for (service, image, expected) in [
            ("{image: a}", json!({}), "start-first"),
            ("{image: a, hostname: other}", json!({}), "start-first"),
            ("{image: a, hostname: web}", json!({}), "hostname web is a name of the service"),
            ("{image: a, volumes: ['data:/d:ro', {type: tmpfs, target: /t}]}", json!({}), "start-first"),
            ("{image: a, volumes: ['data:/d']}", json!({}), "volume data has one writer"),
            ("{image: a, volumes: ['/srv:/d']}", json!({}), "/srv has one writer"),
            ("{image: a, volumes: [/d]}", json!({}), "the volume at /d has one writer"),
            ("{image: a}", json!({"Volumes": {"/d": {}}}), "the image's volume /d has one writer"),
            ("{image: a, tmpfs: [/d]}", json!({"Volumes": {"/d": {}}}), "start-first"),
            ("{image: a, container_name: me}", json!({}), "container_name"),
            ("{image: a, network_mode: host}", json!({}), "network_mode: host"),
            ("{image: a, ports: ['53:53/udp']}", json!({}), "port 53/udp"),
            ("{image: a, expose: [53/udp]}", json!({}), "port 53/udp"),
            (
                "{image: a, networks: {default: {ipv4_address: 10.9.0.2}}}",
                json!({}),
                "fixed address in network default",
            ),
            ("{image: a, expose: [80], networks: {default: {ipv4_address: 10.9.0.2}}}", json!({}), "start-first"),
        ] {
            let rollout = rollout(service, image).unwrap();
            assert_eq!(rollout.reason.as_deref().unwrap_or("start-first"), expected, "{service}");
            assert_eq!(rollout.order == UpdateOrder::StartFirst, rollout.reason.is_none(), "{service}");
        }
    }

    #[test]
    fn a_service_whose_namespace_another_one_shares_stops_first() {
        let project = project("{services: {web: {image: a}, side: {image: b, network_mode: 'service:web'}}}");
        let rollout = Rollout::of(&project, &project.services["web"], None).unwrap();
        assert_eq!(rollout.reason.as_deref(), Some("side shares its namespace"));
    }

    #[test]
    fn a_relay_stands_before_known_tcp_ports_of_start_first_services_only() {
        for (service, image, expected) in [
            ("{image: a}", json!({}), None),
            ("{image: a, ports: ['80:8080', 9000]}", json!({}), Some(vec![8080, 9000])),
            ("{image: a, expose: [70]}", json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}), Some(vec![70, 80])),
            ("{image: a, ports: ['80:8080'], volumes: ['data:/d']}", json!({}), None),
        ] {
            let relay = rollout(service, image).unwrap().relay;
            assert_eq!(relay.map(|ports| ports.into_iter().collect::<Vec<_>>()), expected, "{service}");
        }
    }

    #[test]
    fn only_a_relay_keeps_those_who_ask_by_name_from_being_refused() {
        for (service, expected) in [
            ("{image: a}", Downtime::ByName),
            ("{image: a, expose: [80]}", Downtime::None),
            ("{image: a, ports: ['80:8080']}", Downtime::None),
            ("{image: a, container_name: me}", Downtime::UntilHealthy),
        ] {
            let project = project(&format!("{{services: {{web: {service}}}}}"));
            let web = &project.services["web"];
            let rollout = Rollout::of(&project, web, None).unwrap();
            assert_eq!(rollout.downtime(web, 1), expected, "{service}");
        }
    }

    #[test]
    fn the_files_order_wins_where_it_can_be_done() {
        let mut project = project("{services: {web: {image: a, volumes: ['/srv:/d']}}}");
        let mut order = |order, name: Option<&str>| {
            let web = project.services.get_mut("web").unwrap();
            (web.update.order, web.container_name) = (Some(order), name.map(str::to_owned));
            Rollout::of(&project, &project.services["web"], None)
        };
        assert_eq!(order(UpdateOrder::StartFirst, None).unwrap().reason, None);
        assert_eq!(order(UpdateOrder::StopFirst, None).unwrap().reason.as_deref(), Some("the file asks for it"));
        assert_eq!(order(UpdateOrder::StartFirst, Some("me")).unwrap_err(), "container_name");
    }
}
