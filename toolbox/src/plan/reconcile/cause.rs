//! Why a service's containers are replaced.

use std::collections::BTreeMap;

use crate::compose::{RestartPolicy, Service};
use crate::plan::cause::{Cause, Change, FieldChange};
use crate::plan::drift::drift;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::names::{numbered_name, parked_from};
use crate::state::ObservedContainer;

use super::Run;
use super::relays::ports_changed;

/// A container's number to the reason why it is replaced.
pub(super) type Causes = BTreeMap<u32, Cause>;

impl<'a> Run<'a> {
    /// By service, for every selected one.
    pub(super) fn causes(&self) -> BTreeMap<&'a str, Causes> {
        let mut causes: BTreeMap<&'a str, Causes> =
            self.selected.iter().map(|s| (s.name.as_str(), self.own_causes(s))).collect();
        // One replacement may cause another, in whatever order the services stand.
        while self.selected.iter().any(|service| self.follow(service, &mut causes)) {}
        causes
    }

    fn own_causes(&self, service: &'a Service) -> Causes {
        let current = &self.containers[service.name.as_str()].current;
        current.iter().filter_map(|(n, c)| Some((*n, self.own_cause(service, *n, c)?))).collect()
    }

    fn own_cause(&self, service: &'a Service, number: u32, container: &ObservedContainer) -> Option<Cause> {
        let untrusted = self.containers[service.name.as_str()].untrusted.contains(&number);
        if untrusted || parked_from(container).is_some() {
            return Some(Cause::LeftOver);
        }
        let behind_relay = self.rollouts[service.name.as_str()].relay.is_some();
        let wanted = Fingerprint::of(self.desired.project, service, behind_relay);
        let definition = definition_cause(&wanted, container);
        match (self.image_change(service, container), definition) {
            (Some(_), Some(Cause::ConfigChanged { fields })) => {
                Some(Cause::ConfigChanged { fields: and_image(fields) })
            }
            (_, Some(cause)) => Some(cause),
            (Some((from, to)), None) => Some(Cause::ImageChanged { from, to }),
            (None, None) => self.drift(service, number, container).or_else(|| self.stopped_ahead(service, container)),
        }
    }

    /// It gives a port up that the engine chose for it.
    fn stopped_ahead(&self, service: &Service, container: &ObservedContainer) -> Option<Cause> {
        let stopped = self.publishing(&service.name).iter().any(|c| c.id == container.id);
        let early = self.retired_early.contains(service.name.as_str());
        (early && stopped).then(|| Cause::ConfigChanged { fields: ports_changed() })
    }

    fn drift(&self, service: &Service, number: u32, container: &ObservedContainer) -> Option<Cause> {
        let mut what = Vec::new();
        if container.name != numbered_name(self.desired.project, service, number) {
            what.push(format!("renamed to {}", container.name));
        }
        if ["paused", "dead"].contains(&container.state.as_str()) {
            what.push(container.state.clone());
        }
        let behind_relay = self.rollouts[service.name.as_str()].relay.is_some();
        what.extend(drift(self.desired.project, service, self.engine, container, behind_relay));
        (!what.is_empty()).then_some(Cause::Drift { what })
    }

    /// Replaces the service's containers too where what they depend on is; true where that was news.
    fn follow(&self, service: &Service, causes: &mut BTreeMap<&'a str, Causes>) -> bool {
        let replaced = |name: &str| causes.get(name).is_some_and(|c| !c.is_empty());
        let restarts = service.depends_on.iter().filter(|(_, d)| d.restart).map(|(name, _)| name.as_str());
        let shares = self.selected.iter().map(|s| s.name.as_str()).filter(|name| service.shares_namespace_of(name));
        let first =
            restarts.filter(|name| replaced(name)).chain(shares.filter(|n| replaced(n) || self.begins(n))).min();
        let Some(dependency) = first else { return false };
        let cause = Cause::DependencyReplaced { service: dependency.to_owned() };
        let current = &self.containers[service.name.as_str()].current;
        let missing: Vec<u32> =
            current.keys().filter(|n| !causes[service.name.as_str()].contains_key(n)).copied().collect();
        let own = causes.get_mut(service.name.as_str());
        let news = !missing.is_empty();
        own.into_iter().for_each(|own| own.extend(missing.iter().map(|n| (*n, cause.clone()))));
        news
    }

    /// A container of the service is created or started: whoever lives in its namespace is in an old one.
    fn begins(&self, service: &str) -> bool {
        let (service, containers) = (&self.desired.project.services[service], &self.containers[service]);
        let all_there = containers.current.len() == service.replicas as usize;
        !all_there || containers.current.values().any(|c| !c.is_running() && !may_have_ended(service, c))
    }
}

fn definition_cause(wanted: &Fingerprint, container: &ObservedContainer) -> Option<Cause> {
    if container.config_hash.as_ref() == Some(&wanted.hash) {
        return None;
    }
    let stranger = container.made_by.as_ref().filter(|by| !by.starts_with("toolbox-"));
    if let Some(version) = stranger {
        return Some(Cause::Drift { what: vec![format!("made by Docker Compose {version}")] });
    }
    let known = !container.fields.is_empty();
    let fields = if known { wanted.changes_from(&container.fields) } else { Vec::new() };
    Some(Cause::ConfigChanged { fields })
}

/// The image under the same name is another one: that is told beside the other fields.
fn and_image(mut fields: Vec<FieldChange>) -> Vec<FieldChange> {
    if !fields.is_empty() && fields.iter().all(|f| f.field != "image") {
        fields.push(FieldChange { field: "image".into(), change: Change::Changed });
        fields.sort();
    }
    fields
}

/// A one-shot service is done when it has exited well.
pub(super) fn may_have_ended(service: &Service, current: &ObservedContainer) -> bool {
    let one_shot = matches!(service.restart, RestartPolicy::No | RestartPolicy::OnFailure { .. });
    one_shot && current.state == "exited" && current.status.starts_with("Exited (0)")
}
