//! What a snapshot is taken for, so that nothing is asked in vain.

use std::collections::BTreeSet;

use crate::compose::PublishedPort;

use super::{EngineState, ImageFacts, ObservedContainer, Role};

/// What a snapshot has to tell.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// The project whose containers are told in detail.
    pub project: &'a str,
    /// What it is compared with; `None` where everything is wanted.
    pub needs: Option<Needs<'a>>,
}

/// What a project on a host consists of.
#[derive(Debug, Clone, Default)]
pub struct Needs<'a> {
    /// Images whose content is known: one that the engine calls by the same id need not be asked for.
    pub known: Vec<&'a ImageFacts>,
    /// Full names of images.
    pub images: BTreeSet<String>,
    /// The engine's names of networks.
    pub networks: BTreeSet<String>,
    /// The engine's names of volumes.
    pub volumes: BTreeSet<String>,
    /// TCP ports of the host that are published.
    pub ports: BTreeSet<PublishedPort>,
    /// Containers that are there where nothing has changed: they are asked for before anything is known, and what is not
    /// there costs a line.
    pub expected: Vec<Expected>,
}

/// A container by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The engine's name for it.
    pub name: String,
    /// It is a relay.
    pub is_relay: bool,
}

impl<'a> Scope<'a> {
    /// Everything.
    pub fn all(project: &'a str) -> Self {
        Self { project, needs: None }
    }

    /// The facts of an image that the engine calls by this id.
    pub fn known(&self, id: &str) -> Option<&'a ImageFacts> {
        let known = self.needs.iter().flat_map(|needs| &needs.known);
        known.copied().find(|facts| facts.id == id)
    }

    /// Among the images with these ids are all that are known, so that none has to be sent.
    pub fn lacks_no_image<'i>(&self, ids: impl Iterator<Item = &'i str>) -> bool {
        let ids: BTreeSet<&str> = ids.collect();
        self.needs.as_ref().is_some_and(|needs| needs.known.iter().all(|facts| ids.contains(facts.id.as_str())))
    }

    /// The images that decide, besides the known ones, where none has to be sent: those under the project's names, and
    /// those of its containers.
    pub fn decides(&self, id: &str, names: &BTreeSet<String>, containers: &[ObservedContainer]) -> bool {
        let named = self.needs.as_ref().is_none_or(|needs| !needs.images.is_disjoint(names));
        named || containers.iter().any(|c| c.project.as_deref() == Some(self.project) && c.image_id == id)
    }

    /// It is told in detail: the project's, where a plan compares more of it than what is listed.
    pub fn details(&self, container: &ObservedContainer) -> bool {
        let compared = self.needs.is_none() || container.role != Role::Keeper;
        container.project.as_deref() == Some(self.project) && compared
    }

    /// Who listens on the host matters: a port is not published by any container.
    pub fn asks_for_listeners(&self, engine: &EngineState) -> bool {
        let published = |port: &PublishedPort| engine.containers.iter().any(|c| c.holds(port));
        self.needs.as_ref().is_none_or(|needs| !needs.ports.iter().all(published))
    }
}
