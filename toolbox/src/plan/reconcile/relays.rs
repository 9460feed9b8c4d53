//! The life of a service's relay.

use std::collections::BTreeSet;

use crate::compose::{Service, UpdateOrder};
use crate::plan::cause::{Cause, Change, FieldChange};
use crate::plan::drift::relay_drift;
use crate::plan::fingerprint::BEHIND_RELAY;
use crate::plan::names::{is_staged, parked_from, relay_name};
use crate::plan::operation::{Action, Downtime, Operation};
use crate::plan::relay::RelaySpec;
use crate::state::{ObservedContainer, Role, short_id};

use super::{Run, op, remove};

/// What becomes of a service's relay.
pub(super) struct RelaySteps {
    /// Before the service's containers are touched.
    pub(super) before: Vec<Operation>,
    /// After the last of them is well.
    pub(super) after: Vec<Operation>,
}

impl<'a> Run<'a> {
    /// The relay before a service, under its proper name.
    pub(super) fn relay(&self, service: &str) -> Option<&'a ObservedContainer> {
        let name = relay_name(self.desired.project, service);
        self.relays_of(service).into_iter().find(|relay| relay.name == name)
    }

    fn relays_of(&self, service: &str) -> Vec<&'a ObservedContainer> {
        self.of_role(Role::Relay).filter(|relay| relay.relay_of.as_deref() == Some(service)).collect()
    }

    /// `creates`: containers of the service are created; `replaces`: some are replaced.
    pub(super) fn relay_steps(&self, service: &Service, creates: bool, replaces: bool) -> RelaySteps {
        let rollout = &self.rollouts[service.name.as_str()];
        let Some(listen) = &rollout.relay else {
            return self.steps_without_relay(service, rollout.order);
        };
        let spec = RelaySpec::of(self.desired.project, service, listen);
        if self.retired_early.contains(service.name.as_str()) {
            let create = self.create_relay(service, &spec, None, Cause::ConfigChanged { fields: ports_changed() });
            return RelaySteps { before: Vec::new(), after: vec![create] };
        }
        let (relay, mut others): (_, Vec<_>) = (self.relay(&service.name), self.relays_of(&service.name));
        others.retain(|other| relay.is_none_or(|relay| relay.id != other.id));
        let (staged, mut parked): (Vec<_>, Vec<_>) = others.into_iter().partition(|relay| is_staged(relay));
        let mut before: Vec<Operation> = staged.into_iter().map(|r| remove(None, r, Cause::NeverInCharge)).collect();
        let Some(relay) = relay else {
            // A run was killed while it replaced one: the earlier one gives its ports up when its successor starts.
            let replaces = (!parked.is_empty()).then(|| parked.remove(0));
            before.extend(parked.into_iter().map(|r| remove(None, r, Cause::LeftOver)));
            let cause = if replaces.is_some() { Cause::LeftOver } else { Cause::Missing };
            return RelaySteps { before, after: vec![self.create_relay(service, &spec, replaces, cause)] };
        };
        before.extend(parked.into_iter().map(|r| remove(None, r, Cause::LeftOver)));
        if let Some(cause) = self.why_replace_relay(service, &spec, relay) {
            let runs = relay.is_running();
            let first = if runs {
                self.switch_first(service, relay)
            } else {
                Some(retire(&service.name, relay, cause.clone()))
            };
            before.extend(first);
            let replaces = runs.then_some(relay);
            return RelaySteps { before, after: vec![self.create_relay(service, &spec, replaces, cause)] };
        }
        if !relay.is_running() {
            let action = Action::StartContainer {
                service: service.name.clone(),
                container: relay.name.clone(),
                id: relay.id.clone(),
            };
            before.push(op(action, Cause::NotRunning { state: relay.state.clone() }));
        }
        let first = self.switch_first(service, relay);
        let last = self.switch_last(&spec, relay, service, creates, replaces || first.is_some());
        before.extend(first);
        RelaySteps { before, after: last.into_iter().collect() }
    }

    /// Its ports must be free for containers that publish them themselves; else it goes when they are well. One that
    /// does not run cannot be told anything meanwhile.
    fn steps_without_relay(&self, service: &Service, order: UpdateOrder) -> RelaySteps {
        let early = self.retired_early.contains(service.name.as_str());
        let retirements = if early { Vec::new() } else { self.retirements(service) };
        let runs = self.relay(&service.name).is_some_and(ObservedContainer::is_running);
        match order == UpdateOrder::StartFirst && runs {
            true => RelaySteps { before: Vec::new(), after: retirements },
            false => RelaySteps { before: retirements, after: Vec::new() },
        }
    }

    /// A service without a relay keeps none, nor what was left of one.
    fn retirements(&self, service: &Service) -> Vec<Operation> {
        let cause = if service.replicas == 0 { Cause::ScaledDown } else { Cause::ConfigChanged { fields: Vec::new() } };
        let retire = |relay: &ObservedContainer| match relay.name == relay_name(self.desired.project, &service.name) {
            true => retire(&service.name, relay, cause.clone()),
            false => remove(None, relay, Cause::LeftOver),
        };
        self.relays_of(&service.name).into_iter().map(retire).collect()
    }

    /// Relays whose ports another service takes before they would give them up themselves.
    pub(super) fn early_retirements(&self) -> Vec<Operation> {
        let relays = self.retired_early.iter().flat_map(|service| self.relays_of(service));
        let cause = Cause::ConfigChanged { fields: ports_changed() };
        relays.map(|relay| retire(relay.relay_of.as_deref().unwrap_or_default(), relay, cause.clone())).collect()
    }

    fn why_replace_relay(&self, service: &Service, spec: &RelaySpec, relay: &ObservedContainer) -> Option<Cause> {
        if relay.own_hash.as_ref() != Some(&spec.made_from.hash) {
            let known = !relay.fields.is_empty();
            let fields = if known { spec.made_from.changes_from(&relay.fields) } else { Vec::new() };
            return Some(Cause::ConfigChanged { fields });
        }
        if ["paused", "dead", "restarting"].contains(&relay.state.as_str()) {
            return Some(Cause::NotRunning { state: relay.state.clone() });
        }
        let what = relay_drift(self.desired.project, service, self.engine, relay);
        (!what.is_empty()).then_some(Cause::Drift { what })
    }

    fn create_relay(
        &self,
        service: &Service,
        spec: &RelaySpec,
        replaces: Option<&ObservedContainer>,
        cause: Cause,
    ) -> Operation {
        let containers = &self.containers[service.name.as_str()];
        let all = containers.current.values().chain(&containers.fallback).chain(&containers.left_over);
        let direct = all.filter(|c| !c.fields.contains_key(BEHIND_RELAY));
        let moves = replaces.is_some() || self.retired_early.contains(service.name.as_str());
        let publishes = direct.clone().any(|c| !c.published.is_empty()) || moves && !spec.ports.is_empty();
        let downtime = match (publishes, direct.count() > 0 || moves) {
            (true, _) => Downtime::Ports,
            (false, true) => Downtime::ByName,
            (false, false) => Downtime::None,
        };
        let action = Action::CreateRelay {
            service: service.name.clone(),
            relay: spec.name.clone(),
            ports: spec.shown_ports(),
            replaces: replaces.map(|relay| relay.id.clone()),
            downtime,
        };
        op(action, cause)
    }

    /// What relays cost, where they are new (docs/benchmarks.md).
    pub(super) fn first_relays(&self, operations: &[Operation]) -> Option<String> {
        let names: Vec<&str> = operations.iter().filter_map(|operation| self.first_relay(operation)).collect();
        let cost = "requests through it take some 0.1 ms longer, at up to some 5 Gbit/s on one core";
        (!names.is_empty()).then(|| format!("a relay is new before {}: {cost}", names.join(", ")))
    }

    fn first_relay<'o>(&self, operation: &'o Operation) -> Option<&'o str> {
        let Action::CreateRelay { service, .. } = &operation.action else { return None };
        let own = self.of_role(Role::Service).filter(|c| c.service.as_ref() == Some(service));
        let had = own.into_iter().any(|c| c.fields.contains_key(BEHIND_RELAY)) || !self.relays_of(service).is_empty();
        (!had).then_some(service)
    }

    /// A relay that sends elsewhere than to the service's containers is put right before anything else is done,
    /// where one of them runs.
    fn switch_first(&self, service: &Service, relay: &ObservedContainer) -> Option<Operation> {
        let wrong = self.sends_elsewhere(service, relay) && self.containers[service.name.as_str()].any_runs();
        wrong.then(|| self.switch(service, relay, self.why_elsewhere(service, relay)))
    }

    /// The relay hears of containers that are new beside those that stay, and of ports.
    fn switch_last(
        &self,
        spec: &RelaySpec,
        relay: &ObservedContainer,
        service: &Service,
        creates: bool,
        switched: bool,
    ) -> Option<Operation> {
        let listens = relay.relay_listen.as_ref().is_none_or(|ports| *ports == spec.listen);
        if !listens {
            let fields = vec![FieldChange { field: "expose".into(), change: Change::Changed }];
            return Some(self.switch(service, relay, Cause::ConfigChanged { fields }));
        }
        if creates {
            return Some(self.switch(service, relay, Cause::Needed));
        }
        let wrong = !switched && self.sends_elsewhere(service, relay);
        wrong.then(|| self.switch(service, relay, self.why_elsewhere(service, relay)))
    }

    fn switch(&self, service: &Service, relay: &ObservedContainer, cause: Cause) -> Operation {
        op(Action::SwitchRelay { service: service.name.clone(), relay: relay.name.clone() }, cause)
    }

    fn sends_elsewhere(&self, service: &Service, relay: &ObservedContainer) -> bool {
        let containers = &self.containers[service.name.as_str()];
        let wanted: BTreeSet<String> = containers.serving().iter().map(|id| short_id(id).to_owned()).collect();
        // Those that go leave their relay by themselves.
        let go: BTreeSet<&str> = containers.surplus.iter().map(|c| c.short_id()).collect();
        let targets = relay.relay_targets.iter().flatten().filter(|id| !go.contains(id.as_str()));
        targets.cloned().collect::<BTreeSet<_>>() != wanted
    }

    fn why_elsewhere(&self, service: &Service, relay: &ObservedContainer) -> Cause {
        let containers = &self.containers[service.name.as_str()];
        let remains = containers.left_over.len() + containers.fallback.len() + containers.staged.len();
        if remains > 0 || containers.current.values().any(|c| parked_from(c).is_some()) {
            return Cause::LeftOver;
        }
        let targets: Vec<&str> = relay.relay_targets.iter().flatten().map(String::as_str).collect();
        let to = if targets.is_empty() { "nobody".to_owned() } else { targets.join(", ") };
        Cause::Drift { what: vec![format!("it sends to {to}")] }
    }
}

/// Another service takes a port.
pub(super) fn ports_changed() -> Vec<FieldChange> {
    vec![FieldChange { field: "ports".into(), change: Change::Changed }]
}

/// Takes a relay away.
pub(super) fn retire(service: &str, relay: &ObservedContainer, cause: Cause) -> Operation {
    let action = Action::RetireRelay { service: service.to_owned(), relay: relay.name.clone(), id: relay.id.clone() };
    op(action, cause)
}
