//! Who holds the host's ports that the project publishes.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::compose::{Protocol, PublishedPort, Service};
use crate::plan::cause::Cause;
use crate::plan::operation::{Action, Operation};
use crate::state::{ObservedContainer, Role};

use super::relays::ports_changed;
use super::{PlanError, Run, op};

impl<'a> Run<'a> {
    /// Puts services that give a port up before those that take it, as far as dependencies allow; where they go round
    /// in a circle, the one that gives does so ahead of all, and best one that has a relay to be retired.
    pub(super) fn order_by_ports(&mut self) {
        let mut left = std::mem::take(&mut self.selected);
        let (mut ordered, mut early) = (Vec::new(), BTreeSet::new());
        while !left.is_empty() {
            let depends = |s: &Service| left.iter().any(|other| s.depends_on.contains_key(&other.name));
            let takes = |s: &Service| left.iter().any(|other| self.takes_port_of(s, other));
            let by_relay =
                |s: &Service| left.iter().all(|o| !self.takes_port_of(s, o) || self.relay(&o.name).is_some());
            let best = left.iter().position(|s| !depends(s) && !takes(s));
            let best = best.or_else(|| left.iter().position(|s| !depends(s) && by_relay(s)));
            let next = left.remove(best.or_else(|| left.iter().position(|s| !depends(s))).unwrap_or(0));
            early.extend(left.iter().filter(|other| self.takes_port_of(next, other)).map(|other| other.name.as_str()));
            ordered.push(next);
        }
        (self.selected, self.retired_early) = (ordered, early);
    }

    /// Containers that publish by themselves what another service takes before they would go.
    pub(super) fn early_stops(&self) -> Vec<Operation> {
        let containers = self.retired_early.iter().flat_map(|service| self.publishing(service));
        let stop = |c: &ObservedContainer| {
            let (service, container, id) = (c.service.clone().unwrap_or_default(), c.name.clone(), c.id.clone());
            op(Action::StopContainer { service, container, id }, Cause::ConfigChanged { fields: ports_changed() })
        };
        containers.map(stop).collect()
    }

    pub(super) fn publishing(&self, service: &str) -> Vec<&'a ObservedContainer> {
        let own = self.of_role(Role::Service).filter(|c| c.service.as_deref() == Some(service));
        own.filter(|c| !c.published.is_empty() && matches!(c.state.as_str(), "running" | "restarting")).collect()
    }

    fn takes_port_of(&self, service: &Service, other: &Service) -> bool {
        let holds = |c: &ObservedContainer| c.relay_of.as_ref().or(c.service.as_ref()) == Some(&other.name);
        let mut held = self.engine.of_project(&self.desired.project.name).filter(|c| holds(c));
        service.name != other.name && held.any(|c| service.ports.iter().any(|port| c.holds(port)))
    }

    pub(super) fn port_problems(&self, service: &Service) -> Vec<PlanError> {
        let taken = service.ports.iter().filter_map(|wanted| Some((wanted, self.port_holder(wanted)?)));
        taken
            .map(|(wanted, holder)| {
                let (host, service) = (self.facts.host.clone(), service.name.clone());
                PlanError::PortTaken { host, service, port: wanted.clone(), holder }
            })
            .collect()
    }

    /// Who holds the port, unless it is a container of the project that this plan may take it from. Who listens beside
    /// containers is known for TCP alone.
    fn port_holder(&self, wanted: &PublishedPort) -> Option<String> {
        let mut holders = self.engine.containers.iter().filter(|c| c.holds(wanted)).peekable();
        if holders.peek().is_none() && wanted.protocol == Protocol::Tcp {
            let meets = |l: &&SocketAddr| wanted.published == Some(l.port()) && clashes(wanted.host_ip, l.ip());
            return self.facts.listening.iter().find(meets).map(|_| "another process".to_owned());
        }
        holders.find(|c| !self.gives_up_ports(c)).map(|c| format!("container {}", c.name))
    }

    /// Two services of the file never publish one port, so that one that is changed gives up what it does not need.
    fn gives_up_ports(&self, holder: &ObservedContainer) -> bool {
        let own = holder.project.as_ref() == Some(&self.desired.project.name);
        let service = holder.relay_of.as_ref().or(holder.service.as_ref());
        let changed = self.selected.iter().any(|s| Some(&s.name) == service);
        own && (changed || (self.desired.remove_orphans && !self.has_service(service)))
    }
}

/// Whether a listener on `theirs` keeps the engine from binding the same port; no address of ours means all of them.
fn clashes(ours: Option<IpAddr>, theirs: IpAddr) -> bool {
    ours.is_none_or(|ip| ip.is_unspecified() || theirs.is_unspecified() || ip == theirs)
}

#[cfg(test)]
mod tests {
    use super::clashes;

    #[test]
    fn a_port_on_one_address_clashes_with_listeners_on_it_or_on_all() {
        for (ours, theirs, expected) in [
            (None, "127.0.0.1", true),
            (Some("0.0.0.0"), "10.0.0.1", true),
            (Some("127.0.0.1"), "0.0.0.0", true),
            (Some("127.0.0.1"), "::", true),
            (Some("127.0.0.1"), "127.0.0.1", true),
            (Some("127.0.0.1"), "10.0.0.1", false),
            (Some("127.0.0.1"), "::1", false),
        ] {
            let (ours, theirs) = (ours.map(|ip: &str| ip.parse().unwrap()), theirs.parse().unwrap());
            assert_eq!(clashes(ours, theirs), expected, "{ours:?} {theirs}");
        }
    }
}
