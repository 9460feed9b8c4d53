//! `toolbox restart`: container by container, so that a service of several goes on.
//!
//! Contract: the next container of a service is stopped when the one before is well again. Behind a relay new
//! connections go to the others meanwhile, and those that there are end first. A container that is the only one that is
//! well is restarted all the same, and told to be away.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::apply::{Relay, What, drain_limit};
use crate::engine::{Docker, EngineError};
use crate::plan::is_in_charge;
use crate::state::ObservedContainer;

use super::super::failure::Failure;
use super::{Count, Life, Stopped, runs};

/// How a container is stopped and started.
#[derive(Clone, Copy)]
struct Manner {
    grace: Option<Duration>,
    limit: Duration,
}

impl Life<'_> {
    pub(super) async fn restart(
        &self,
        services: &BTreeSet<String>,
        grace: Option<Duration>,
        limit: Duration,
        count: &mut Count,
    ) -> Result<(), Stopped> {
        for level in self.levels(services) {
            count.changed += self.in_charge(&level).len();
            try_join_all(level.iter().map(|service| self.roll(service, Manner { grace, limit }))).await?;
        }
        Ok(())
    }

    async fn roll(&self, service: &str, manner: Manner) -> Result<(), Stopped> {
        let all = self.in_charge(&[service]);
        let relay = self.host.relay_of(service).filter(|relay| is_in_charge(relay) && relay.is_running());
        for container in &all {
            match relay {
                Some(relay) if runs(container) => self.behind_relay(service, relay, container, &all, manner).await?,
                _ => {
                    if all.len() == 1 {
                        self.tell_gap(service);
                    }
                    self.cycle(container, manner).await?;
                }
            }
        }
        Ok(())
    }

    async fn behind_relay(
        &self,
        service: &str,
        relay: &ObservedContainer,
        container: &ObservedContainer,
        all: &[&ObservedContainer],
        manner: Manner,
    ) -> Result<(), Stopped> {
        let (relay, ids) = (Relay::new(&self.host.engine, &relay.id), all.iter().map(|c| c.id.as_str()));
        let ids: Vec<&str> = ids.collect();
        let label = format!("move traffic away from {}", container.name);
        let limit = drain_limit(self.project.services.get(service));
        let moving = relay.set_aside(&container.id, &ids, limit);
        let done = match self.until_interrupted(self.host.session.events().step(&label, moving)).await {
            Ok(true) => self.cycle(container, manner).await,
            Ok(false) => {
                self.tell_gap(service);
                self.cycle(container, manner).await
            }
            interrupted => interrupted.map(drop),
        };
        // One that failed stays aside; one that was not touched comes back.
        let back =
            if done.is_ok() || relay.is_well(&container.id).await { take_in(relay, container).await } else { Ok(()) };
        done.and(back)
    }

    /// Stops a container and starts it again, until it is well.
    async fn cycle(&self, container: &ObservedContainer, manner: Manner) -> Result<(), Stopped> {
        self.stop_one(container, manner.grace).await?;
        self.start_one(container, manner.limit).await
    }

    fn tell_gap(&self, service: &str) {
        let note = format!("{service} has no other container that is well: it is away until it is well again");
        self.host.session.events().send(What::Note(note));
    }
}

async fn take_in(relay: Relay<'_, Docker>, container: &ObservedContainer) -> Result<(), Stopped> {
    let failed = |error: EngineError| Stopped::Failed(Failure::of(&error, error.hint()));
    relay.take_in(&container.id).await.map_err(failed)
}
