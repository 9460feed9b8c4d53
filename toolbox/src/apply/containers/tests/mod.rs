mod failing;
mod faults;
mod hooks;
mod killed;
mod ports;
mod shop;
mod swapping;

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use crate::compose::{Project, UpdateOrder};
use crate::engine::fake::FakeEngine;
use crate::plan::{Action, Cause, Downtime, Operation, Plan, Replacement};

use super::super::event::{Event, Events, What};
use super::*;

/// A plan of these operations; `running` are a service and its containers, `relays` services and their ports.
fn plan(operations: Vec<Operation>, running: &[(&str, &[&str])], relays: &[(&str, u16)]) -> Plan {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    Plan {
        host: "h".into(),
        operations,
        running: running.iter().map(|(service, all)| ((*service).to_owned(), ids(all))).collect(),
        relays: relays.iter().map(|(service, port)| ((*service).to_owned(), vec![*port])).collect(),
        helper: "toolbox-relay:0123456789ab".into(),
        unchanged: vec![],
        notes: vec![],
    }
}

fn op(action: Action) -> Operation {
    Operation { action, cause: Cause::ConfigChanged { fields: vec![] } }
}

fn left_over(service: &str, container: &str, id: &str) -> Operation {
    let service = Some(service.to_owned());
    let action = Action::RemoveContainer { service, container: container.into(), id: id.into(), volumes: false };
    Operation { action, cause: Cause::LeftOver }
}

/// A batch; each entry is a number and the id that it replaces.
fn replace(service: &str, order: UpdateOrder, batch: &[(u32, &str)]) -> Operation {
    let replacement = |(number, id): &(u32, &str)| Replacement {
        container: format!("shop-{service}-{number}"),
        number: *number,
        replaces: (*id).to_owned(),
        replaced_name: format!("shop-{service}-{number}"),
    };
    op(Action::ReplaceContainers {
        service: service.into(),
        order,
        reason: None,
        downtime: Downtime::None,
        delay: Duration::ZERO,
        batch: batch.iter().map(replacement).collect(),
    })
}

fn create(service: &str, number: u32) -> Operation {
    op(Action::CreateContainer { service: service.into(), container: format!("shop-{service}-{number}"), number })
}

fn create_relay(service: &str, replaces: Option<&str>) -> Operation {
    let (relay, replaces) = (format!("toolbox.shop.{service}"), replaces.map(str::to_owned));
    op(Action::CreateRelay { service: service.into(), relay, ports: vec![], replaces, downtime: Downtime::Ports })
}

fn switch_relay(service: &str) -> Operation {
    op(Action::SwitchRelay { service: service.into(), relay: format!("toolbox.shop.{service}") })
}

fn hook(service: &str, when: crate::plan::When) -> Operation {
    op(Action::RunHook { service: service.into(), when, index: 0, program: "migrate …".into() })
}

/// The project with `migrate up` as hook before and after `web`.
fn hooked(mut project: Project) -> Project {
    let hooks = &mut project.services.get_mut("web").unwrap().toolbox.hooks;
    hooks.before = vec![vec!["migrate".into(), "up".into()]];
    hooks.after.clone_from(&hooks.before);
    project
}

/// A run of one plan on the fake engine.
struct Run<'a> {
    engine: &'a FakeEngine,
    project: &'a Project,
    plan: &'a Plan,
    interrupt: Interrupt,
    events: Events,
    seen: UnboundedReceiver<Event>,
    _sender: Option<watch::Sender<bool>>,
}

impl<'a> Run<'a> {
    fn new(engine: &'a FakeEngine, project: &'a Project, plan: &'a Plan) -> Self {
        let (sender, interrupt) = watch::channel(false);
        Self { _sender: Some(sender), ..Self::interrupted_by(engine, project, plan, interrupt) }
    }

    fn interrupted_by(engine: &'a FakeEngine, project: &'a Project, plan: &'a Plan, interrupt: Interrupt) -> Self {
        let (sender, seen) = unbounded_channel();
        Self { engine, project, plan, interrupt, events: Events::new("h", sender), seen, _sender: None }
    }

    fn containers(&self) -> Containers<'_, FakeEngine> {
        let options = Options { timeout: Duration::from_secs(5), release: Some("20261122-175437".into()) };
        Containers::new(self.engine, self.project, self.plan, &self.events, options, self.interrupt.clone())
    }

    /// Stages and flips, and finishes or rolls back as a deploy does.
    async fn go(&self) -> Result<(), ApplyError> {
        let mut containers = self.containers();
        let done = match containers.stage().await {
            Ok(()) => containers.flip().await,
            refused => refused,
        };
        match done {
            Ok(()) => containers.finish().await,
            Err(error) if error.keeps() => containers.finish().await.and(Err(error)),
            Err(error) => {
                containers.roll_back().await.unwrap();
                Err(error)
            }
        }
    }

    /// Notes and lines of output so far.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(event) = self.seen.try_recv() {
            match event.what {
                What::Note(text) | What::Line(text) => told.push(text),
                What::Output { of, line, .. } => told.push(format!("{of}: {line}")),
                _ => {}
            }
        }
        told
    }
}

fn states(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

fn running(names: &[&str]) -> Vec<(String, String)> {
    states(&names.iter().map(|name| (*name, "running")).collect::<Vec<_>>())
}
