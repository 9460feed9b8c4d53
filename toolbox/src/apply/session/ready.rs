//! Making a host ready without a project: the engine, its settings, a reboot.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{HostSession, Line, SessionError, told};
use crate::bootstrap::{Change, InstallError, SettingsError, SystemFacts, reboot, start_engine};
use crate::engine::About;
use crate::inventory::EngineSettings;
use crate::packages::install_engine;
use crate::plan::{Action, Cause, Operation, Plan};
use crate::ssh::Connection;

/// How long a host may take to come back from a reboot.
const REBOOT: Duration = Duration::from_secs(900);
/// Between two looks whether it is there.
const LOOK: Duration = Duration::from_secs(2);
/// So many looks, a second apart, without the daemon say that it has ended again.
const ENDED: u32 = 15;
/// The exit status of the script that changes settings where the engine did not take them.
const NOT_TAKEN: u32 = 75;

/// What a host shall be made.
#[derive(Debug, Clone, Copy)]
pub struct Readiness<'a> {
    /// Docker's settings.
    pub settings: &'a EngineSettings,
    /// Boot it again where it waits for that.
    pub reboot: bool,
}

impl Readiness<'_> {
    /// The engine alone may be open to the login.
    fn takes_root(&self) -> bool {
        self.reboot || !self.settings.is_empty()
    }
}

impl HostSession {
    /// What has to happen until the host is ready; reads only.
    ///
    /// # Errors
    /// [`SessionError`], also where it cannot be made ready.
    pub async fn plan_readiness(&mut self, wanted: &Readiness<'_>) -> Result<Plan, SessionError> {
        if wanted.takes_root() {
            let mut facts = self.facts().await?.clone();
            facts.escalate(&self.control().await?, &self.given).await?;
            self.facts = facts.into();
        }
        let facts = self.facts().await?;
        let about = match self.engine() {
            Some(engine) => Some(engine.about().await?),
            None => None,
        };
        let mut plan = Plan { host: self.target.name.clone(), ..Plan::default() };
        match &about {
            Some(about) => plan.unchanged.push(format!("{} {}", about.name(), about.version)),
            None => plan.operations.push(engine_operation(facts)?),
        }
        if let Some(change) = Change::find(&self.control().await?, facts, wanted.settings).await? {
            plan.operations.push(settings_operation(&change, wanted.settings, about.as_ref()));
        }
        if facts.reboot_required && wanted.reboot {
            plan.operations.push(Operation { action: Action::Reboot, cause: Cause::RebootRequired });
        }
        plan.notes = notes(facts, wanted, about.as_ref());
        Ok(plan)
    }

    /// Carries out a step of [`HostSession::plan_readiness`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn make_ready(&mut self, action: &Action, wanted: &Readiness<'_>) -> Result<(), SessionError> {
        let events = self.events.clone();
        match action {
            Action::ChangeSettings { .. } => {
                let changed = self.change_settings(wanted.settings);
                events.step("change Docker's settings", changed).await
            }
            Action::Reboot => {
                let rebooted = self.reboot();
                events.step("reboot", rebooted).await
            }
            engine => self.prepare(engine).await,
        }
    }

    /// Carries out a plan's steps that make the engine ready; other actions are none of its business.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn prepare(&mut self, action: &Action) -> Result<(), SessionError> {
        let events = self.events.clone();
        match action {
            Action::InstallEngine => {
                let bulk = async || self.bulk.get().await;
                let (control, facts) = (self.control().await?, self.facts().await?);
                let installed = install_engine(&control, facts, &self.packages, bulk, told(&events));
                events.step("install Docker", installed).await?;
            }
            Action::StartEngine => {}
            _ => return Ok(()),
        }
        let started = async {
            start_engine(&self.control().await?, self.facts().await?, told(&events)).await?;
            self.reach_again().await
        };
        events.step("start Docker", started).await
    }

    /// Compared again, as the engine may have been installed since the plan was made.
    async fn change_settings(&mut self, wanted: &EngineSettings) -> Result<(), SessionError> {
        let control = self.control().await?;
        let facts = self.facts().await?.again(&control, &self.socket).await?;
        let Some(change) = Change::find(&control, &facts, wanted).await? else {
            return Ok(());
        };
        let events = self.events.clone();
        let reason = match change.make(&control, &facts, told(&events)).await {
            Ok(()) => match self.reach_again().await {
                Ok(()) => return Ok(()),
                Err(error) => error.to_string(),
            },
            Err(
                InstallError::Failed { status: NOT_TAKEN, tail, .. }
                | InstallError::Faulty { status: NOT_TAKEN, tail, .. },
            ) => tail,
            Err(error) => return Err(SettingsError::from(error).into()),
        };
        change.undo(&control, &facts, told(&events)).await.map_err(SettingsError::from)?;
        self.reach_again().await?;
        Err(SessionError::SettingsNotTaken { reason })
    }

    /// The engine, which was just started.
    async fn reach_again(&mut self) -> Result<(), SessionError> {
        self.reach_within(ENDED).await
    }

    async fn reach_within(&mut self, ended: u32) -> Result<(), SessionError> {
        let (facts, engine) = self.wait_for_engine(ended).await?;
        self.facts = facts.into();
        self.engine = Some(engine);
        Ok(())
    }

    async fn reboot(&mut self) -> Result<(), SessionError> {
        let before = self.facts().await?.clone();
        reboot(&self.control().await?, &before).await?;
        let deadline = Instant::now() + REBOOT;
        let (control, facts) = loop {
            sleep(LOOK).await;
            let reason = match self.look_again(&before).await {
                Ok(Some(back)) => break back,
                Ok(None) => "it has not gone down yet".to_owned(),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(SessionError::NotBack { seconds: REBOOT.as_secs(), reason });
            }
        };
        let ran = self.engine.take().is_some();
        self.control = Arc::new(Line::control(&self.target, &self.agent, control));
        self.bulk = Arc::new(Line::bulk(&self.target, &self.agent));
        self.facts = facts.into();
        // Nobody knows when it is its turn while the host boots.
        if ran { self.reach_within(u32::MAX).await } else { Ok(()) }
    }

    /// The host after its boot; `None` where that was not yet.
    async fn look_again(&self, before: &SystemFacts) -> Result<Option<(Connection, SystemFacts)>, SessionError> {
        let connection = Connection::open(&self.target, &self.agent).await?;
        let facts = before.again(&connection, &self.socket).await?;
        if facts.boot_id == before.boot_id {
            connection.close().await;
            return Ok(None);
        }
        Ok(Some((connection, facts)))
    }
}

fn engine_operation(facts: &SystemFacts) -> Result<Operation, SessionError> {
    if facts.dockerd {
        return Ok(Operation { action: Action::StartEngine, cause: Cause::EngineStopped });
    }
    facts.installable()?;
    Ok(Operation { action: Action::InstallEngine, cause: no_engine(facts) })
}

/// Why an engine is installed.
pub(super) fn no_engine(facts: &SystemFacts) -> Cause {
    match facts.family() {
        Some(family) if !family.tested => Cause::NoEngineUntested { manager: family.name.to_owned() },
        _ => Cause::NoEngine,
    }
}

fn settings_operation(change: &Change, wanted: &EngineSettings, about: Option<&About>) -> Operation {
    let outlive = wanted.live_restore.or(about.map(|about| about.live_restore)).unwrap_or(false);
    let running = about.map_or(0, |about| about.running);
    let (file, fields, restart) = (change.file.clone(), change.fields.clone(), change.restart);
    let stops = if outlive { 0 } else { running };
    Operation { action: Action::ChangeSettings { file, fields, restart, stops }, cause: Cause::Settings }
}

fn notes(facts: &SystemFacts, wanted: &Readiness<'_>, about: Option<&About>) -> Vec<String> {
    let mut notes = Vec::new();
    if let (None, Some(other)) = (about, facts.other_engine()) {
        notes.push(format!("{other}: it stays as it is; {}", other.hint()));
    }
    if facts.reboot_required && !wanted.reboot {
        notes.push("an update of the host waits for a reboot: toolbox bootstrap --reboot".into());
    }
    if wanted.settings.log_rotation.is_some() || wanted.settings.address_pools.is_some() {
        notes.push("log rotation and address pools hold for containers and networks made from then on".into());
    }
    notes.extend(about.and_then(About::limits).map(str::to_owned));
    notes
}
