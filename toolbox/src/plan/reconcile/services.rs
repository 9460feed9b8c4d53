//! What is done to one service: its containers, hooks and relay, in order.

use std::time::Duration;

use crate::compose::{Service, UpdateOrder};
use crate::plan::cause::Cause;
use crate::plan::names::numbered_name;
use crate::plan::operation::{Action, Operation, Replacement, When, shown_hook};
use crate::state::ObservedContainer;

use super::cause::{Causes, may_have_ended};
use super::{Run, op, remove};

impl Run<'_> {
    pub(super) fn service_operations(&self, service: &Service, causes: &Causes) -> Vec<Operation> {
        let containers = &self.containers[service.name.as_str()];
        let removal = |list: &[&ObservedContainer], cause: &Cause| -> Vec<Operation> {
            list.iter().map(|c| remove(Some(service), c, cause.clone())).collect()
        };
        let left_over = |list: &[&ObservedContainer]| removal(list, &Cause::LeftOver);
        let creates = self.creations(service);
        let replaces = self.replacements(service, causes);
        let changes = !creates.is_empty() || !replaces.is_empty();
        let hooks = |when| if changes { hooks(service, when) } else { Vec::new() };
        let relay = self.relay_steps(service, !creates.is_empty(), !replaces.is_empty());
        let surplus = removal(&containers.surplus, &Cause::ScaledDown);
        let mut fallback_before = Vec::new();
        let mut remains = containers.left_over.clone();
        // Where two cannot run at once, what serves goes ahead of its successor; a failed run brings it back.
        match self.rollouts[service.name.as_str()].order {
            UpdateOrder::StopFirst => fallback_before = left_over(&containers.fallback),
            UpdateOrder::StartFirst => remains.extend(&containers.fallback),
        }
        // A relay needs the ports of those that published them by themselves.
        let (publishing, remains): (Vec<_>, Vec<_>) = remains.into_iter().partition(|c| !c.published.is_empty());
        let steps = [
            relay.before,
            hooks(When::Before),
            fallback_before,
            removal(&containers.never_well, &Cause::NeverWell),
            self.starts(service, causes),
            creates,
            replaces,
            left_over(&publishing),
            relay.after,
            surplus,
            left_over(&remains),
            hooks(When::After),
        ];
        steps.into_iter().flatten().collect()
    }

    /// Starts what is as it should be and does not run.
    fn starts(&self, service: &Service, causes: &Causes) -> Vec<Operation> {
        let current = &self.containers[service.name.as_str()].current;
        let stopped = current.iter().filter(|(number, _)| !causes.contains_key(number)).map(|(_, c)| c);
        let stopped = stopped.filter(|c| !c.is_running() && !may_have_ended(service, c));
        let start = |container: &&ObservedContainer| {
            let (service, name, id) = (service.name.clone(), container.name.clone(), container.id.clone());
            let cause = Cause::NotRunning { state: container.state.clone() };
            op(Action::StartContainer { service, container: name, id }, cause)
        };
        stopped.map(start).collect()
    }

    fn creations(&self, service: &Service) -> Vec<Operation> {
        let current = &self.containers[service.name.as_str()].current;
        let missing = (1..=service.replicas).filter(|number| !current.contains_key(number));
        let create = |number| {
            let container = numbered_name(self.desired.project, service, number);
            op(Action::CreateContainer { service: service.name.clone(), container, number }, Cause::Missing)
        };
        missing.map(create).collect()
    }

    /// One operation a batch; containers with different causes are in different batches.
    fn replacements(&self, service: &Service, causes: &Causes) -> Vec<Operation> {
        let current = &self.containers[service.name.as_str()].current;
        let parallelism = match service.update.parallelism {
            0 => usize::MAX,
            n => n as usize,
        };
        let mut batches: Vec<(Cause, Vec<Replacement>)> = Vec::new();
        for (number, cause) in causes {
            let replacement = self.replacement(service, *number, current[number]);
            match batches.last_mut() {
                Some((same, batch)) if same == cause && batch.len() < parallelism => batch.push(replacement),
                _ => batches.push((cause.clone(), vec![replacement])),
            }
        }
        let numbered = batches.into_iter().enumerate();
        numbered.map(|(index, (cause, batch))| op(self.replace(service, index, batch), cause)).collect()
    }

    fn replace(&self, service: &Service, index: usize, batch: Vec<Replacement>) -> Action {
        let rollout = &self.rollouts[service.name.as_str()];
        Action::ReplaceContainers {
            service: service.name.clone(),
            order: rollout.order,
            reason: rollout.reason.clone(),
            downtime: rollout.downtime(service, batch.len()),
            delay: if index == 0 { Duration::ZERO } else { service.update.delay },
            batch,
        }
    }

    fn replacement(&self, service: &Service, number: u32, current: &ObservedContainer) -> Replacement {
        Replacement {
            container: numbered_name(self.desired.project, service, number),
            number,
            replaces: current.id.clone(),
            replaced_name: current.name.clone(),
        }
    }
}

fn hooks(service: &Service, when: When) -> Vec<Operation> {
    let run = |(index, command): (usize, &Vec<String>)| {
        let (service, program) = (service.name.clone(), shown_hook(command));
        op(Action::RunHook { service, when, index, program }, Cause::Needed)
    };
    when.hooks(service).iter().enumerate().map(run).collect()
}
