//! Carrying a plan out on a [`World`], in the order in which the real executor does: stage, flip, finish.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::{Project, UpdateOrder};
use crate::plan::{
    Action, Cause, Downtime, HASH_LABEL, Operation, Plan, Replacement, Rollout, network_labels, parked_name,
    relay_name, staged_name, volume_labels,
};
use crate::state::{Owned, short_id};

use super::world::{Killed, World};

/// Carries the plan out to its end, or until the world's steps are used up. Start-first services that the plan
/// announces no gap for must be served after every step.
pub(super) fn carry(world: &mut World, project: &Project, plan: &Plan) -> Result<(), Killed> {
    world.watched = watched(world, project, plan);
    let mut run = Run { world, project, live: plan.running.clone(), staged: BTreeMap::new(), going: Vec::new() };
    let result = run.all(plan);
    run.world.watched.clear();
    result
}

fn watched(world: &World, project: &Project, plan: &Plan) -> BTreeSet<String> {
    let gap = |operation: &Operation| match &operation.action {
        // A container that is well is reached all the while: the moment is the name server's.
        Action::ReplaceContainers { downtime: Downtime::ByName, .. } => None,
        Action::ReplaceContainers { service, downtime, .. } | Action::CreateRelay { service, downtime, .. } => {
            (*downtime != Downtime::None).then(|| service.clone())
        }
        Action::StopContainer { service, .. } => Some(service.clone()),
        _ => None,
    };
    let gaps: BTreeSet<String> = plan.operations.iter().filter_map(gap).collect();
    let kept = |name: &&String| {
        let service = &project.services[*name];
        let image = world.images.get(&service.image).map(|image| &image.facts);
        let rollout = Rollout::of(project, service, image).unwrap();
        let relayed = world.state.containers.iter().any(|c| c.relay_of.as_ref() == Some(*name));
        let stays = rollout.order == UpdateOrder::StartFirst && relayed <= rollout.relay.is_some();
        stays && service.replicas > 0 && world.is_served(name)
    };
    let all = project.services.keys().filter(kept);
    all.filter(|name| !gaps.contains(*name)).cloned().collect()
}

struct Run<'a> {
    world: &'a mut World,
    project: &'a Project,
    live: BTreeMap<String, Vec<String>>,
    /// Final name to the id of the staged container.
    staged: BTreeMap<String, String>,
    going: Vec<String>,
}

impl Run<'_> {
    fn all(&mut self, plan: &Plan) -> Result<(), Killed> {
        for operation in &plan.operations {
            self.stage(operation)?;
        }
        for operation in &plan.operations {
            self.flip(operation)?;
        }
        for id in std::mem::take(&mut self.going) {
            self.world.remove(&id);
            self.world.step()?;
        }
        Ok(())
    }

    fn stage(&mut self, operation: &Operation) -> Result<(), Killed> {
        match &operation.action {
            Action::PushImage { reference, .. } => {
                let helper = World::helper();
                let at_hand = self.world.images.values().chain([&helper]).find(|i| i.reference == *reference);
                let facts = at_hand.unwrap().facts.clone();
                self.world.take_in(reference, &facts);
            }
            Action::TagImage { reference, id } => {
                let held = self.world.state.images.iter().find(|image| image.facts.id == *id).unwrap();
                let facts = held.facts.clone();
                self.world.take_in(reference, &facts);
            }
            Action::CreateNetwork { key, name } => {
                let owned = owned(network_labels(self.project, key));
                assert!(self.world.state.networks.insert(name.clone(), owned).is_none());
            }
            Action::CreateVolume { key, name } => {
                let owned = owned(volume_labels(self.project, key));
                assert!(self.world.state.volumes.insert(name.clone(), owned).is_none());
            }
            Action::CreateKeeper { name } => return self.keeper(name),
            Action::RemoveContainer { service: None, id, .. } => self.world.remove(id),
            Action::CreateContainer { service, container, number } => {
                return self.stage_container(service, container, *number);
            }
            Action::ReplaceContainers { service, batch, .. } => {
                for one in batch {
                    self.stage_container(service, &one.container, one.number)?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.world.step()
    }

    fn keeper(&mut self, name: &str) -> Result<(), Killed> {
        self.world.state.volumes.insert(name.into(), owned(volume_labels(self.project, name)));
        self.world.step()?;
        let id = match self.world.named(name) {
            Some(there) => there.id.clone(),
            None => self.world.create_keeper(self.project, name),
        };
        self.world.step()?;
        self.world.start(&id);
        self.world.step()
    }

    fn stage_container(&mut self, service: &str, name: &str, number: u32) -> Result<(), Killed> {
        let service = &self.project.services[service];
        let id = self.world.create(self.project, service, &staged_name(name), number);
        self.staged.insert(name.into(), id);
        self.world.step()
    }

    fn flip(&mut self, operation: &Operation) -> Result<(), Killed> {
        match &operation.action {
            Action::CreateContainer { service, container, .. } => {
                let id = self.unveil(container)?;
                self.begin(service, &id)?;
                self.live.entry(service.clone()).or_default().push(id);
                Ok(())
            }
            Action::ReplaceContainers { service, order, batch, .. } => {
                batch.iter().try_for_each(|one| self.replace(service, *order, one))
            }
            Action::StartContainer { id, .. } => {
                self.world.start(id);
                self.world.step()
            }
            Action::CreateRelay { service, replaces, .. } => self.relay(service, replaces.as_deref()),
            Action::SwitchRelay { service, .. } => self.switch(service),
            Action::RetireRelay { id, .. } => self.park(id),
            Action::StopContainer { id, .. } => {
                self.world.stop(id);
                self.world.step()
            }
            Action::RemoveContainer { id, .. } if operation.cause == Cause::NeverWell => {
                self.world.remove(id);
                self.world.step()
            }
            Action::RemoveContainer { service: Some(service), id, .. } => {
                self.live.entry(service.clone()).or_default().retain(|live| live != id);
                self.switch(service)?;
                self.world.stop(id);
                self.going.push(id.clone());
                self.world.step()
            }
            _ => Ok(()),
        }
    }

    fn unveil(&mut self, name: &str) -> Result<String, Killed> {
        let id = self.staged.remove(name).unwrap();
        self.world.rename(&id, name);
        self.world.step()?;
        Ok(id)
    }

    /// Starts a container; the run ends here where it does not become well.
    fn begin(&mut self, service: &str, id: &str) -> Result<(), Killed> {
        self.world.start(id);
        self.world.step()?;
        if self.world.sick.contains(service) { Err(Killed) } else { Ok(()) }
    }

    fn replace(&mut self, service: &str, order: UpdateOrder, one: &Replacement) -> Result<(), Killed> {
        assert_eq!(self.world.get(&one.replaces).name, one.replaced_name);
        if one.replaced_name != parked_name(&one.replaces, &one.container) {
            self.world.rename(&one.replaces, &parked_name(&one.replaces, &one.container));
            self.world.step()?;
        }
        if order == UpdateOrder::StopFirst {
            self.world.stop(&one.replaces);
            self.world.step()?;
        }
        let new = self.unveil(&one.container)?;
        self.begin(service, &new)?;
        let live = self.live.entry(service.to_owned()).or_default();
        live.retain(|id| *id != one.replaces);
        live.push(new);
        if order == UpdateOrder::StartFirst {
            self.switch(service)?;
            self.world.stop(&one.replaces);
        }
        self.going.push(one.replaces.clone());
        self.world.step()
    }

    /// Tells the relay, where there is one in charge.
    fn switch(&mut self, service: &str) -> Result<(), Killed> {
        let live = self.live.get(service).into_iter().flatten();
        let targets = live.map(|id| short_id(id).to_owned()).collect();
        let Some(relay) = self.world.named(&relay_name(self.project, service)) else { return Ok(()) };
        assert!(relay.is_running(), "a relay that does not run hears nothing");
        relay.relay_targets = Some(targets);
        let id = relay.id.clone();
        if let Some(ports) = self.listen(service) {
            self.world.get(&id).relay_listen = Some(ports);
        }
        self.world.step()
    }

    fn listen(&self, service: &str) -> Option<BTreeSet<u16>> {
        let service = &self.project.services[service];
        let image = self.world.images.get(&service.image).map(|image| &image.facts);
        Rollout::of(self.project, service, image).ok()?.relay
    }

    fn relay(&mut self, service: &str, replaces: Option<&str>) -> Result<(), Killed> {
        if let Some(old) = replaces {
            self.park(old)?;
        }
        let targets = self.live.get(service).cloned().unwrap_or_default();
        let id = self.world.create_relay(self.project, &self.project.services[service], &targets);
        self.world.step()?;
        self.world.start(&id);
        self.world.step()
    }

    fn park(&mut self, id: &str) -> Result<(), Killed> {
        let name = self.world.get(id).name.clone();
        if !name.starts_with(short_id(id)) {
            self.world.rename(id, &parked_name(id, &name));
            self.world.step()?;
        }
        self.world.stop(id);
        self.going.push(id.to_owned());
        self.world.step()
    }
}

fn owned(mut labels: BTreeMap<String, String>) -> Owned {
    Owned { project: labels.remove("com.docker.compose.project"), hash: labels.remove(HASH_LABEL) }
}

/// Nothing is left that only an interrupted run leaves.
pub(super) fn is_clean(world: &World, plan: &Plan) -> bool {
    let odd = |name: &str| name.ends_with(".next") || name.split_once('_').is_some_and(|(id, _)| id.len() == 12);
    plan.is_empty() && !world.state.containers.iter().any(|c| odd(&c.name))
}
