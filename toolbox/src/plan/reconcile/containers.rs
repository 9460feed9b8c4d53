//! Which of a service's containers counts as what.
//!
//! A run that was killed may leave three kinds beside the proper ones: staged ones that were never started
//! (`NAME.next`), parked ones that were about to go (`ID_NAME`), and a new one under the proper name that nobody knows
//! to be well. A parked one that runs stays in charge as long as the new one is not known to be well: the new one is
//! replaced, and only then the parked one goes. Taking the parked one down first would leave nothing that serves.
//! Where only one may run at a time it is the service's own until the new one is well, and the new one goes at once.
//! Beside a new one that was never started the parked one is the service's own, whether or not it still runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::{Project, Service, UpdateOrder};
use crate::plan::names::{is_staged, numbered_name, parked_from};
use crate::state::ObservedContainer;

use super::cause::may_have_ended;

/// A service's containers.
#[derive(Debug, Default)]
pub(super) struct Containers<'a> {
    /// By number from 1 to the number of replicas: those that are kept or replaced.
    pub(super) current: BTreeMap<u32, &'a ObservedContainer>,
    /// Numbers of current ones that nobody knows to be well, while a parked one serves in their place.
    pub(super) untrusted: BTreeSet<u32>,
    /// Parked ones that serve in the place of the untrusted.
    pub(super) fallback: Vec<&'a ObservedContainer>,
    /// Of a stop-first service: what was put in the place of a current one, and is not well.
    pub(super) never_well: Vec<&'a ObservedContainer>,
    /// Proper ones above the number of replicas.
    pub(super) surplus: Vec<&'a ObservedContainer>,
    /// Created and never started.
    pub(super) staged: Vec<&'a ObservedContainer>,
    /// Whatever else an interrupted run left.
    pub(super) left_over: Vec<&'a ObservedContainer>,
}

impl<'a> Containers<'a> {
    /// Sorts `all` containers of a service that is replaced in this order; `targets` is whom its relay sends to.
    pub(super) fn sort(
        project: &Project,
        service: &Service,
        order: UpdateOrder,
        mut all: Vec<&'a ObservedContainer>,
        targets: Option<&BTreeSet<String>>,
    ) -> Self {
        all.sort_by_key(|c| (c.number, c.name.clone(), c.id.clone()));
        let (staged, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| is_staged(c));
        let (mut parked, plain): (Vec<_>, Vec<_>) = rest.into_iter().partition(|c| parked_from(c).is_some());
        // Of several under one name the best is first.
        parked.sort_by_key(|c| (!c.is_well(), !c.is_running(), -c.created, c.id.clone()));
        let slots: BTreeMap<String, u32> =
            (1..=service.replicas).map(|n| (numbered_name(project, service, n), n)).collect();
        let mut sorted = Self { staged, ..Self::default() };
        sorted.add_plain(&slots, plain, targets);
        for container in parked {
            sorted.add_parked(&slots, container, targets);
        }
        if order == UpdateOrder::StopFirst {
            sorted.take_back(&slots, service, targets);
        }
        sorted
    }

    fn add_plain(
        &mut self,
        slots: &BTreeMap<String, u32>,
        plain: Vec<&'a ObservedContainer>,
        targets: Option<&BTreeSet<String>>,
    ) {
        let (proper, others): (Vec<_>, Vec<_>) = plain.into_iter().partition(|c| slots.contains_key(&c.name));
        self.current.extend(proper.into_iter().map(|c| (slots[&c.name], c)));
        for container in others {
            let vacant = |n: &&u32| !self.current.contains_key(n);
            let number = slots.values().filter(vacant).find(|n| **n == container.number || container.number == 0);
            match number {
                Some(number) => drop(self.current.insert(*number, container)),
                None if container.number as usize > slots.len() => self.surplus.push(container),
                None if container.number == 0 => self.left_over.push(container),
                None => self.add_beside(container.number, container, targets),
            }
        }
    }

    fn add_parked(
        &mut self,
        slots: &BTreeMap<String, u32>,
        container: &'a ObservedContainer,
        targets: Option<&BTreeSet<String>>,
    ) {
        let Some(number) = parked_from(container).and_then(|name| slots.get(name)) else {
            return self.left_over.push(container);
        };
        match self.current.get(number) {
            Some(current) if was_never_started(current) && !was_never_started(container) => {
                self.staged.extend(self.current.insert(*number, container));
            }
            _ => self.add_beside(*number, container, targets),
        }
    }

    /// The current one with this number may not be the one that serves.
    fn add_beside(&mut self, number: u32, container: &'a ObservedContainer, targets: Option<&BTreeSet<String>>) {
        match self.current.get(&number) {
            None => drop(self.current.insert(number, container)),
            Some(current) if container.is_running() && !is_trusted(current, targets) => {
                self.untrusted.insert(number);
                self.fallback.push(container);
            }
            Some(_) => self.left_over.push(container),
        }
    }

    /// What is not well makes room for the one that was stopped for it, or that the way back has started again.
    fn take_back(&mut self, slots: &BTreeMap<String, u32>, service: &Service, targets: Option<&BTreeSet<String>>) {
        for (number, current) in &mut self.current {
            let settled = is_trusted(current, targets) || may_have_ended(service, current);
            if settled || parked_from(current).is_some() {
                continue;
            }
            let stood_here = |c: &&ObservedContainer| {
                parked_from(c).and_then(|name| slots.get(name)) == Some(number) && !was_never_started(c)
            };
            let running = self.fallback.iter().position(stood_here).map(|at| self.fallback.remove(at));
            let stopped = || self.left_over.iter().position(stood_here).map(|at| self.left_over.remove(at));
            if let Some(earlier) = running.or_else(stopped) {
                self.untrusted.remove(number);
                self.never_well.push(std::mem::replace(current, earlier));
            }
        }
    }

    /// The engine's ids of those that count as the service's, running or not.
    pub(super) fn serving(&self) -> Vec<String> {
        let trusted = self.current.iter().filter(|(number, _)| !self.untrusted.contains(number)).map(|(_, c)| *c);
        trusted.chain(self.fallback.iter().copied()).map(|c| c.id.clone()).collect()
    }

    /// One of those that count as the service's runs.
    pub(super) fn any_runs(&self) -> bool {
        let serving = self.serving();
        let all = self.current.values().chain(&self.fallback);
        all.filter(|c| serving.contains(&c.id)).any(|c| c.is_running())
    }
}

/// Created and nothing more, in the engine's words.
fn was_never_started(container: &ObservedContainer) -> bool {
    container.state == "created"
}

/// It took over from its predecessor: its health check says so, or without one its relay does.
fn is_trusted(container: &ObservedContainer, targets: Option<&BTreeSet<String>>) -> bool {
    let switched = targets.is_none_or(|targets| targets.contains(container.short_id()));
    container.is_well() && (container.health().is_some() || switched)
}
