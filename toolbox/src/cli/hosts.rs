//! The chosen hosts with the project's containers on them, for verbs that compare nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::apply::{Events, HostSession, Store};
use crate::compose::Project;
use crate::engine::Docker;
use crate::plan::{is_in_charge, keeper_name};
use crate::state::{ObservedContainer, Role};

use super::begin::Begun;
use super::failure::{Failure, Failures};
use super::interrupt;

/// A host whose engine runs.
pub(super) struct Reached {
    /// Its name in the inventory.
    pub(super) name: String,
    /// The session.
    pub(super) session: HostSession,
    /// Its engine.
    pub(super) engine: Docker,
    /// The project's containers.
    pub(super) containers: Vec<ObservedContainer>,
}

/// Connects to every host and lists the project's containers.
///
/// # Errors
/// Every host that cannot be reached or has no engine that runs; an interrupt.
pub(super) async fn reach_all(begun: &Begun) -> Result<Vec<Reached>, Failures> {
    let context = &begun.context;
    let hosts = context.hosts.iter().map(async |host| {
        let events = Events::new(&host.name, begun.events.clone());
        let (target, engine, ours) = (context.target(host), context.engine(host), Arc::clone(&begun.ours));
        let opened = HostSession::open(target, engine, begun.agent.clone(), events, ours, None);
        let session = opened.await.map_err(|e| Failure::of(&e, e.hint()).on(&host.name))?;
        let engine = session.engine().cloned().ok_or_else(|| no_engine(&host.name))?;
        let containers = engine.containers(&context.project.name).await;
        let containers = containers.map_err(|e| Failure::of(&e, e.hint()).on(&host.name))?;
        Ok(Reached { name: host.name.clone(), session, engine, containers })
    });
    let reached = async {
        let (mut reached, mut failures) = (Vec::new(), Vec::new());
        for result in join_all(hosts).await {
            match result {
                Ok(host) => reached.push(host),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() { Ok(reached) } else { Err(Failures::failed(failures)) }
    };
    interrupt::or_interrupted(&begun.interrupted, reached).await
}

fn no_engine(host: &str) -> Failure {
    let hint = "deploy to it first: toolbox deploy; or start it on the host: systemctl start docker";
    Failure::text(format!("{host}: no container engine runs there"), Some(hint.into()))
}

impl Reached {
    /// The service's own containers, those in charge before those that a deploy replaces or prepares.
    pub(super) fn of_service(&self, service: &str) -> Vec<&ObservedContainer> {
        of_service(&self.containers, service)
    }

    /// The relay before a service.
    pub(super) fn relay_of(&self, service: &str) -> Option<&ObservedContainer> {
        self.containers.iter().find(|c| c.role == Role::Relay && c.relay_of.as_deref() == Some(service))
    }

    /// The project as the host's newest release has it; without a service where nothing of it is there.
    ///
    /// # Errors
    /// The releases cannot be read, or containers are there without any.
    pub(super) async fn released(&self, project: &str) -> Result<Project, Failure> {
        let newest = newest_release(&self.engine, self.containers.iter(), project).await;
        match newest.map_err(|failure| failure.on(&self.name))? {
            Some(newest) => Ok(newest),
            None if self.containers.is_empty() => Ok(Project::empty(project, PathBuf::new())),
            None => {
                let message = format!("{}: the host keeps no release that says what its services depend on", self.name);
                Err(Failure::text(message, Some("mend the compose file".into())))
            }
        }
    }

    /// The container that holds the project's files and releases.
    pub(super) fn keeper(&self) -> Option<&ObservedContainer> {
        self.containers.iter().find(|c| c.role == Role::Keeper)
    }
}

/// The project as the newest release has it of a host where these containers of it are; `None` where there is none.
///
/// # Errors
/// The releases cannot be read.
pub(super) async fn newest_release<'a>(
    engine: &Docker,
    mut containers: impl Iterator<Item = &'a ObservedContainer>,
    project: &str,
) -> Result<Option<Project>, Failure> {
    if !containers.any(|c| c.role == Role::Keeper) {
        return Ok(None);
    }
    let shelf = Store::new(engine, &keeper_name(project)).shelf().await.map_err(|e| Failure::of(&e, e.hint()))?;
    Ok(shelf.releases.into_iter().next().map(|newest| newest.project))
}

/// The service's own containers among these, those in charge before those that a deploy replaces or prepares.
pub(super) fn of_service<'a>(containers: &'a [ObservedContainer], service: &str) -> Vec<&'a ObservedContainer> {
    let own = |c: &&ObservedContainer| c.service.as_deref() == Some(service) && c.role == Role::Service && !c.oneoff;
    let mut own: Vec<_> = containers.iter().filter(own).collect();
    own.sort_by_key(|c| (!is_in_charge(c), !c.is_running(), c.number, -c.created));
    own
}

/// The services with these names, or all that have a container on any of the hosts.
///
/// # Errors
/// The first that has none.
pub(super) fn there(hosts: &[Reached], asked: &[String]) -> Result<BTreeSet<String>, Failures> {
    are_deployed(hosts, asked)?;
    let containers = hosts.iter().flat_map(|host| &host.containers).filter(|c| c.role == Role::Service);
    let all: BTreeSet<String> = containers.filter_map(|c| c.service.clone()).collect();
    Ok(if asked.is_empty() { all } else { asked.iter().cloned().collect() })
}

/// A service that a person names must be somewhere.
///
/// # Errors
/// The first that is not.
pub(super) fn are_deployed(hosts: &[Reached], asked: &[String]) -> Result<(), Failures> {
    let nowhere = asked.iter().find(|name| hosts.iter().all(|h| h.of_service(name).is_empty()));
    nowhere.map_or(Ok(()), |name| Err(not_deployed(name, &names(hosts.iter()))))
}

/// The one host that a command runs on: that where the service is deployed, or the only one.
///
/// # Errors
/// None or several come into question; they are named.
pub(super) fn the_one<'a>(hosts: &'a [Reached], service: &str, verb: &str) -> Result<&'a Reached, Failures> {
    let deployed: Vec<&Reached> = hosts.iter().filter(|h| !h.of_service(service).is_empty()).collect();
    match (&deployed[..], hosts) {
        ([one], _) => Ok(one),
        ([], [one]) => Ok(one),
        ([], _) => Err(not_deployed(service, &names(hosts.iter()))),
        ([first, ..], _) => {
            let message = format!("{service} is on several hosts: {}", names(deployed.iter().copied()));
            let hint = format!("choose one: toolbox {verb} --host {} …", first.name);
            Err(Failures::configuration(vec![Failure::text(message, Some(hint))]))
        }
    }
}

/// The service has no container on these hosts.
pub(super) fn not_deployed(service: &str, hosts: &str) -> Failures {
    let message = format!("{service} is not deployed on {hosts}");
    Failures::failed(vec![Failure::text(message, Some("deploy it: toolbox deploy".into()))])
}

/// Names of hosts, for a sentence.
pub(super) fn names<'a>(hosts: impl Iterator<Item = &'a Reached>) -> String {
    hosts.map(|h| h.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Closes all sessions, and waits until everything that happened is shown.
pub(super) async fn end(hosts: Vec<Reached>, begun: Begun) {
    let close = async |host: Reached| {
        drop(host.engine);
        host.session.close().await;
    };
    join_all(hosts.into_iter().map(close)).await;
    begun.end().await;
}
