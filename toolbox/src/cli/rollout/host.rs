//! One host's way through its plan.

mod keeper;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;

use crate::apply::{
    ApplyError, Containers, Events, HostRoute, HostSession, Interrupt, Lock, Options, Ours, Place, Push, Seeding,
    Shelf, Store, Supply, What, acquire,
};
use crate::engine::Docker;
use crate::image::Reference;
use crate::plan::{Action, HostFacts, Plan, keeper_name, render};
use crate::release::{ReleaseId, who};
use crate::state::ObservedImage;
use crate::ui::{HostOutcome, Outcome, Ui};

use super::super::begin::Begun;
use super::super::connect::Seen;
use super::super::failure::Failure;
use super::super::prepare::Wanted;
use super::super::push::pushed;
use super::super::records::newest;
use super::conduct::{End, Part};
use super::{Finished, Rollout, Turn};

type Ended = (Outcome, Option<Failure>);

/// What a host has that is ready.
struct Ready {
    lock: Lock,
    /// The release that it gets.
    id: ReleaseId,
    /// Those that it keeps.
    shelf: Shelf,
}

/// One host's way through its plan.
pub(super) struct HostRun<'a> {
    rollout: &'a Rollout,
    permits: &'a Semaphore,
    interrupt: Interrupt,
    events: Events,
    ui: Ui,
    wanted: Wanted,
    plan: Plan,
    /// What the host held when it was looked at last.
    images: Vec<ObservedImage>,
    ours: Arc<Ours>,
    seeding: Arc<Seeding>,
}

impl<'a> HostRun<'a> {
    pub(super) fn new(
        rollout: &'a Rollout,
        begun: &Begun,
        (permits, seeding): (&'a Semaphore, &Arc<Seeding>),
        ui: Ui,
        wanted: Wanted,
        plan: Plan,
    ) -> Self {
        let events = Events::new(&plan.host, begun.events.clone());
        let (interrupt, ours) = (begun.interrupted.clone(), Arc::clone(&begun.ours));
        Self {
            rollout,
            permits,
            interrupt,
            events,
            ui,
            wanted,
            plan,
            images: Vec::new(),
            ours,
            seeding: Arc::clone(seeding),
        }
    }

    /// `turn` comes when the host before has its lock: two deploys never wait for each other.
    pub(super) async fn go(mut self, seen: Seen, mut part: Part, turn: Turn) -> Finished {
        let Seen { mut session, .. } = seen;
        let mut interrupt = self.interrupt.clone();
        let mut permit = self.permits.acquire().await.ok();
        let readied = tokio::select! {
            readied = self.ready(&mut session, turn, &mut part, &mut permit) => readied,
            _ = interrupt.wait_for(|i| *i) => Err((Outcome::Interrupted, None)),
        };
        let (outcome, failure) = match readied {
            Err(ended) => ended,
            Ok(ready) => {
                let ended = self.change(&session, &ready, part, || drop(permit)).await;
                ready.lock.release().await;
                ended
            }
        };
        session.close().await;
        let changed = if outcome == Outcome::Ok { self.plan.operations.len() } else { 0 };
        let unchanged = self.plan.unchanged.len();
        let outcome = HostOutcome { host: self.plan.host, changed, unchanged, outcome };
        Finished { outcome, failure }
    }

    fn failed(&self, outcome: Outcome, error: &dyn std::error::Error, hint: Option<String>) -> Ended {
        (outcome, Some(Failure::of(error, hint).on(&self.plan.host)))
    }

    /// The engine runs, nobody else deploys the project there, and it holds the images. What this adds to a host stays
    /// when a later step fails. While it waits for the locks of the other hosts, it is none of those that are worked on.
    async fn ready(
        &mut self,
        session: &mut HostSession,
        turn: Turn,
        part: &mut Part,
        permit: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Ready, Ended> {
        let untouched = Outcome::FailedUntouched;
        for operation in &self.plan.operations {
            let prepared = session.prepare(&operation.action).await;
            prepared.map_err(|e| self.failed(untouched, &e, e.hint()))?;
        }
        let session = &*session;
        let engine = self.engine(session)?;
        let helper = self.wanted.helper.reference.clone();
        self.push(session, &|reference| *reference == helper, &Place::default()).await?;
        let replaces = self.replaces_keeper();
        if !replaces {
            self.make_keeper(engine).await?;
        }
        let _ = turn.come.await;
        if replaces {
            self.replace_keeper(engine).await?;
        }
        let lock = self.lock(engine).await?;
        drop(turn.pass_on);
        let facts = self.look_again(session).await?;
        let shelf = Store::new(engine, &keeper_name(&self.wanted.project.name)).shelf().await;
        let shelf = shelf.map_err(|e| self.failed(untouched, &e, e.hint()))?;
        *permit = None;
        let id = part.locked(newest(&facts, &shelf)).await.ok_or((Outcome::Untouched, None))?;
        *permit = self.permits.acquire().await.ok();
        self.images = facts.engine.map(|engine| engine.images).unwrap_or_default();
        let shipments = self.supplies().iter().map(|supply| supply.shipment(self.rollout.hosts));
        let place = self.seeding.begin(&self.plan.host, shipments);
        // Hosts that go on at the same time have all begun before the first of them looks for its seed.
        yield_now().await;
        let mut lost = lock.lost();
        tokio::select! {
            pushed = self.push(session, &|_| true, &place) => pushed?,
            // Nothing but images has come there so far.
            Ok(_) = lost.wait_for(|lost| *lost) => return Err((untouched, self.lock_lost().1)),
        }
        drop(place);
        let pinned = self.rollout.record.pin(id, engine, &self.plan, &self.wanted, &self.ours).await;
        pinned.map_err(|e| self.failed(untouched, &e, e.hint()))?;
        Ok(Ready { lock, id, shelf })
    }

    fn supplies(&self) -> &[Arc<Supply>] {
        self.rollout.supplies.get(&self.plan.host).map(Vec::as_slice).unwrap_or_default()
    }

    fn containers<'s>(&'s self, engine: &'s Docker, release: Option<ReleaseId>) -> Containers<'s, Docker> {
        let options = Options { timeout: self.rollout.timeout, release: release.map(|id| id.to_string()) };
        let project = &self.wanted.project;
        Containers::new(engine, project, &self.plan, &self.events, options, self.interrupt.clone())
    }

    fn engine<'s>(&self, session: &'s HostSession) -> Result<&'s Docker, Ended> {
        session.engine().ok_or_else(|| {
            let message = format!("{}: the container engine is not there", self.plan.host);
            (Outcome::FailedUntouched, Some(Failure::text(message, None)))
        })
    }

    async fn lock(&self, engine: &Docker) -> Result<Lock, Ended> {
        let keeper = keeper_name(&self.wanted.project.name);
        let who = who();
        let locked = acquire(engine, &keeper, &who, self.rollout.lock_wait, self.rollout.timeout);
        let locked = self.events.step("lock the project", locked).await;
        locked.map_err(|e| self.failed(Outcome::FailedUntouched, &e, e.hint()))
    }

    /// Somebody may have changed the host before the lock was ours: then the plan is made anew.
    async fn look_again(&mut self, session: &HostSession) -> Result<HostFacts, Ended> {
        let untouched = Outcome::FailedUntouched;
        let observed = session.observe(&self.wanted.desired().scope()).await;
        let facts: HostFacts = observed.map_err(|e| self.failed(untouched, &e, e.hint()))?;
        let plan = match self.wanted.plan(&facts) {
            Ok(plan) => plan,
            Err(errors) => {
                let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let hint = errors.first().map(crate::plan::PlanError::hint);
                return Err((untouched, Some(Failure::text(texts.join("\n"), hint))));
            }
        };
        let keeper = keeper_name(&self.wanted.project.name);
        if still_to_do(&plan, &keeper) != still_to_do(&self.plan, &keeper) {
            if self.rollout.exactly {
                let message = format!("{}: the host changed since the plan was made", self.plan.host);
                let hint = "look at what has changed: toolbox plan --out FILE";
                return Err((untouched, Some(Failure::text(message, Some(hint.into())))));
            }
            self.ui.say(&format!("{}: the host has changed meanwhile; the plan now:", self.plan.host));
            self.ui.say(render(&plan).trim_end());
        }
        self.plan = plan;
        Ok(facts)
    }

    /// Sends the images of the plan that `which` chooses, in one tarball from each supply.
    async fn push(
        &self,
        session: &HostSession,
        which: &(dyn Fn(&Reference) -> bool + Sync),
        place: &Place,
    ) -> Result<(), Ended> {
        let (engine, route) = (self.engine(session)?, HostRoute::new(session));
        let held: BTreeMap<Reference, usize> = self.plan.operations.iter().filter_map(pushed).collect();
        let helper = &self.wanted.helper.reference;
        let supplies = self.supplies();
        let hosts = self.rollout.hosts;
        if let Some(lacking) = held.keys().find(|r| which(r) && !supplies.iter().any(|s| s.shipment(hosts).holds(r))) {
            return Err(self.not_read(lacking));
        }
        let of_helper = supplies.iter().map(|supply| supply.shipment(hosts)).find(|shipment| shipment.holds(helper));
        for supply in supplies {
            let shipment = supply.shipment(hosts);
            let here = held.iter().filter(|(r, _)| which(r) && shipment.holds(r));
            let here: BTreeMap<Reference, usize> = here.map(|(r, h)| (r.clone(), *h)).collect();
            if here.is_empty() {
                place.leave(shipment);
                continue;
            }
            let helper = of_helper.filter(|_| !here.contains_key(helper)).map(|shipment| (helper, shipment));
            let (images, ours) = (&self.images, session.ours());
            let reconnect = self.rollout.reconnect;
            let sending = Push { shipment, held: &here, helper, images, ours, place, reconnect };
            let names: Vec<String> = here.keys().map(Reference::familiar).collect();
            let label = format!("push {}", names.join(", "));
            let sent = self.events.step(&label, supply.send(engine, &route, &sending, &self.events)).await;
            place.leave(shipment);
            sent.map_err(|e| self.failed(Outcome::FailedUntouched, &e, e.hint()))?;
        }
        Ok(())
    }

    /// It was there when the images were read, and is not, or another has its name, since the lock is ours.
    fn not_read(&self, image: &Reference) -> Ended {
        let (host, image) = (&self.plan.host, image.familiar());
        let message = format!("{host}: the image {image} went from the host meanwhile, and was not read to be sent");
        (Outcome::FailedUntouched, Some(Failure::text(message, Some("run it again, which sends it".into()))))
    }

    /// Containers, health, verification, the record; all of it is undone when any of it, or another host, fails.
    async fn change(&self, session: &HostSession, ready: &Ready, mut part: Part, staged: impl FnOnce()) -> Ended {
        let engine = match self.engine(session) {
            Ok(engine) => engine,
            Err(ended) => return ended,
        };
        let mut containers = self.containers(engine, Some(ready.id));
        let mut lost = ready.lock.lost();
        let changed = tokio::select! {
            // When the others were told to finish this one does, too.
            biased;
            changed = self.phases(&mut containers, session, &mut part, staged) => changed,
            Ok(_) = lost.wait_for(|lost| *lost) => {
                // The other hosts must not go on, nor end well.
                drop(part);
                return self.without_lock(containers, engine).await;
            }
        };
        match changed {
            Ok(End::Finish) => self.finish(containers, engine, ready).await,
            Ok(End::RollBack) => self.back(containers, (Outcome::RolledBack, None)).await,
            Err((Outcome::FailedIncomplete, failure)) => {
                self.let_go(containers).await;
                (Outcome::FailedIncomplete, failure)
            }
            Err(ended) => self.back(containers, ended).await,
        }
    }

    async fn phases(
        &self,
        containers: &mut Containers<'_, Docker>,
        session: &HostSession,
        part: &mut Part,
        staged: impl FnOnce(),
    ) -> Result<End, Ended> {
        containers.stage().await.map_err(|e| self.ended(&e))?;
        staged();
        if !part.staged().await {
            return Err((Outcome::Untouched, None));
        }
        containers.flip().await.map_err(|e| self.ended(&e))?;
        self.verify(session).await?;
        Ok(part.flipped().await)
    }

    /// Another run may hold the lock by now: then what was begun is for the next one to repair.
    async fn without_lock(&self, containers: Containers<'_, Docker>, engine: &Docker) -> Ended {
        match self.lock(engine).await {
            Ok(again) => {
                let ended = self.back(containers, self.lock_lost()).await;
                again.release().await;
                ended
            }
            Err((_, reason)) => {
                let reason = reason.map(|reason| format!("; {reason}")).unwrap_or_default();
                let message = format!("{}: the lock of the project was lost{reason}", self.plan.host);
                let hint = "deploy again when the host's engine and keeper run, which repairs what was begun";
                (Outcome::FailedIncomplete, Some(Failure::text(message, Some(hint.into()))))
            }
        }
    }

    fn lock_lost(&self) -> Ended {
        let message = format!("{}: the lock of the project was lost", self.plan.host);
        let hint = "deploy again; its keeper must not be stopped meanwhile";
        (Outcome::FailedRolledBack, Some(Failure::text(message, Some(hint.into()))))
    }

    fn ended(&self, error: &ApplyError) -> Ended {
        match error {
            ApplyError::Interrupted => (Outcome::Interrupted, None),
            error if error.keeps() => self.failed(Outcome::FailedIncomplete, error, error.hint()),
            error => self.failed(Outcome::FailedRolledBack, error, error.hint()),
        }
    }

    /// Takes back what was done to the containers.
    async fn back(&self, containers: Containers<'_, Docker>, (outcome, failure): Ended) -> Ended {
        match containers.roll_back().await {
            Ok(true) => (outcome, failure),
            Ok(false) if outcome == Outcome::FailedRolledBack => (Outcome::FailedUntouched, failure),
            Ok(false) => (outcome, failure),
            Err(error) => {
                if let Some(failure) = failure {
                    self.events.send(What::Note(failure.to_string()));
                }
                let hint = "deploy again, which repairs it; or look on the host: docker ps --all".to_owned();
                let message = format!("{}: the roll back failed: {error}", self.plan.host);
                (Outcome::FailedBroken, Some(Failure::text(message, Some(hint))))
            }
        }
    }

    /// What was replaced may go. That one of those stays is no reason to go back.
    async fn let_go(&self, containers: Containers<'_, Docker>) {
        if let Err(error) = containers.finish().await {
            self.events.send(What::Note(format!("{error}; the next deploy removes it")));
        }
    }

    /// The new containers work: the release is put on record. While what was replaced is still there, the next run has
    /// something to do, and so puts on record what this one could not.
    async fn finish(&self, containers: Containers<'_, Docker>, engine: &Docker, ready: &Ready) -> Ended {
        let (record, shelf) = (&self.rollout.record, ready.shelf.clone());
        let recorded = record.keep(ready.id, engine, &self.plan, &self.wanted, &self.ours, shelf).await;
        self.let_go(containers).await;
        match recorded {
            Ok(()) => (Outcome::Ok, None),
            Err(e) => self.failed(Outcome::FailedUnrecorded, &e, e.hint()),
        }
    }
}

/// The operations without those that are carried out before the lock is held.
fn still_to_do<'p>(plan: &'p Plan, keeper: &str) -> Vec<&'p Action> {
    let actions = plan.operations.iter().map(|operation| &operation.action);
    actions.filter(|action| !before_lock(action, &plan.helper, keeper)).collect()
}

fn before_lock(action: &Action, helper: &str, keeper: &str) -> bool {
    match action {
        Action::InstallEngine | Action::StartEngine | Action::CreateKeeper { .. } => true,
        Action::RemoveContainer { container, .. } => container == keeper,
        Action::PushImage { reference, .. } => reference.familiar() == helper,
        _ => false,
    }
}
