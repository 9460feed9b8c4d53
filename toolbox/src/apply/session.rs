//! One host: its SSH connections, what it is, and its engine.

mod ready;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::bootstrap::{
    Access, Become, InstallError, ProbeError, Said, SettingsError, SystemFacts, Unusable, free_bytes, probe,
};
use crate::engine::{Docker, EngineError};
use crate::packages::{Packages, PackagesError};
use crate::plan::{Cause, HostFacts};
use crate::ssh::{AgentDialer, ChannelStream, Connection, Output, SshError, Target};
use crate::state::{EngineState, Scope};

use super::dial::dialer;
use super::event::{Events, What};
use super::line::Line;
use super::ours::Ours;
pub use ready::Readiness;
use ready::no_engine;

/// How long a freshly started engine may take until it answers.
const ENGINE_START: Duration = Duration::from_secs(180);

/// Why a host cannot be used; nothing was changed on it unless a step before said so.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// SSH.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The host does not say what it is.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The login user's rights.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Starting the engine.
    #[error(transparent)]
    Start(#[from] InstallError),
    /// Installing the engine.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The engine's settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Settings that the engine does not start with.
    #[error("the engine did not start with the new settings, and runs with the earlier ones again: {reason}")]
    SettingsNotTaken {
        /// What it said.
        reason: String,
    },
    /// The host was told to boot again.
    #[error("the host did not come back within {seconds} s after it was told to reboot: {reason}")]
    NotBack {
        /// How long was waited.
        seconds: u64,
        /// What the last attempt said.
        reason: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine was started and does not answer.
    #[error("the container engine did not answer within {seconds} s after it was started: {reason}")]
    EngineSilent {
        /// How long was waited.
        seconds: u64,
        /// What the last attempt said.
        reason: String,
    },
}

impl SessionError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Probe(error) => error.hint(),
            Self::Unusable(error) => Some(error.hint()),
            Self::Start(error) => error.hint(),
            Self::Packages(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Settings(error) => error.hint(),
            Self::NotBack { .. } => Some("look at the host's console; run it again when the host answers".into()),
            Self::SettingsNotTaken { .. } | Self::EngineSilent { .. } => {
                Some("see why on the host: journalctl -u docker --no-pager | tail".into())
            }
        }
    }
}

/// A connected host.
pub struct HostSession {
    target: Target,
    socket: String,
    given: Become,
    agent: AgentDialer,
    control: Arc<Line>,
    bulk: Arc<Line>,
    /// Asked for where the engine alone does not tell enough.
    facts: OnceCell<SystemFacts>,
    /// And how it is reached.
    engine: Option<(Docker, Access)>,
    /// How packages come to it.
    packages: Packages,
    events: Events,
    ours: Arc<Ours>,
}

impl HostSession {
    /// Logs in and connects to the engine where it runs; else asks what the host is, and becomes root by what is `given`
    /// where that takes a password. With a `scope` the engine is asked at once for what [`HostSession::observe`] will want
    /// of it.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open(
        mut target: Target,
        (socket, given): (&str, Become),
        agent: AgentDialer,
        events: Events,
        ours: Arc<Ours>,
        scope: Option<&Scope<'_>>,
    ) -> Result<Self, SessionError> {
        let label = format!("connect to {}", target.label());
        let socket = socket.to_owned();
        let steps = events.clone();
        let opened = async {
            let first = Connection::open(&target, &agent).await?;
            // The next connection does not guess again.
            target.identities.insert(0, first.identity().clone());
            let (facts, packages) = Default::default();
            let control = Arc::new(Line::control(&target, &agent, first));
            let bulk = Arc::new(Line::bulk(&target, &agent));
            let mut session =
                Self { target, socket, given, agent, control, bulk, facts, engine: None, packages, events, ours };
            session.engine = session.find_engine(scope).await?;
            Ok(session)
        };
        steps.step(&label, opened).await
    }

    /// Sets how packages come to the host, before any are installed.
    ///
    /// # Errors
    /// [`SessionError`] where Docker is to be installed from a bundle that was made for another kind of host.
    pub async fn set_packages(&mut self, packages: Packages) -> Result<(), SessionError> {
        if self.engine.is_none() && !self.facts().await?.dockerd {
            packages.check(&self.control().await?).await?;
        }
        self.packages = packages;
        Ok(())
    }

    /// The engine, where it runs.
    pub fn engine(&self) -> Option<&Docker> {
        self.engine.as_ref().map(|(engine, _)| engine)
    }

    /// Path of the engine's socket on the host, where the login user may open it.
    pub(super) fn open_socket(&self) -> Option<&str> {
        matches!(self.engine, Some((_, Access::Socket))).then_some(self.socket.as_str())
    }

    /// The engine over a connection of its own; that with the number 0 is the one for images.
    ///
    /// # Errors
    /// Whatever keeps the connection from being opened.
    pub(super) async fn line(&self, number: usize) -> Result<Docker, SessionError> {
        let Some((engine, access)) = &self.engine else {
            return Err(EngineError::Unreachable { reason: "it does not run".into() }.into());
        };
        let line = match number {
            0 => Arc::clone(&self.bulk),
            _ => Arc::new(Line::bulk(&self.target, &self.agent)),
        };
        line.get().await?;
        Ok(engine.over(dialer(access.clone(), self.socket.clone(), line))?)
    }

    /// From here on a connection that is gone is made anew: for work that may be done twice, and needs no lock.
    pub fn comes_back(&self) {
        self.control.comes_back();
    }

    async fn control(&self) -> Result<Connection, SshError> {
        self.control.get().await
    }

    /// The host's events.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// A TCP connection made by the host.
    ///
    /// # Errors
    /// [`SshError`] where the host cannot open it.
    pub async fn tcp(&self, host: &str, port: u16) -> Result<ChannelStream, SshError> {
        self.control().await?.tcp(host, port).await
    }

    /// Runs a short command on the host.
    ///
    /// # Errors
    /// [`SshError`] where it cannot be run; its status is not looked at.
    pub async fn exec(&self, command: &str) -> Result<Output, SshError> {
        self.control().await?.exec(command, b"").await
    }

    /// Everything a plan needs to know; reads only.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn observe(&self, scope: &Scope<'_>) -> Result<HostFacts, SessionError> {
        let engine = match self.engine() {
            Some(engine) => Ok(self.events.step("look at the engine", self.look(engine, scope)).await?),
            None => Err(self.lacking().await?),
        };
        let listening = match &engine {
            Ok(engine) if !scope.asks_for_listeners(engine) => BTreeSet::new(),
            _ => self.facts().await?.listening.clone(),
        };
        Ok(HostFacts { host: self.target.name.clone(), engine, listening })
    }

    /// Why no engine answers, where one can be had.
    async fn lacking(&self) -> Result<Cause, SessionError> {
        let facts = self.facts().await?;
        match facts.other_engine() {
            _ if facts.dockerd => Ok(Cause::EngineStopped),
            Some(other) => Err(other.into()),
            None => Ok(no_engine(facts)),
        }
    }

    async fn look(&self, engine: &Docker, scope: &Scope<'_>) -> Result<EngineState, EngineError> {
        let mut state = engine.look(scope).await?;
        self.ours.recognise(engine, &mut state).await;
        Ok(state)
    }

    /// The images that are ours, on whichever host.
    pub fn ours(&self) -> &Ours {
        &self.ours
    }

    /// What the host is; asked for once.
    async fn facts(&self) -> Result<&SystemFacts, ProbeError> {
        self.facts.get_or_try_init(|| self.ask()).await
    }

    /// A password is tried only where the host cannot be worked on without it.
    async fn ask(&self) -> Result<SystemFacts, ProbeError> {
        let control = self.control().await.map_err(ProbeError::from)?;
        let mut facts = probe(&control, &self.socket).await?;
        if !facts.socket_writable || facts.dockerd && !facts.dockerd_running {
            facts.escalate(&control, &self.given).await?;
        }
        Ok(facts)
    }

    /// Free bytes where the engine keeps, or will keep, its data; `None` where the host does not say.
    ///
    /// # Errors
    /// [`SshError`].
    pub async fn free_bytes(&self, facts: &HostFacts) -> Result<Option<u64>, SessionError> {
        match &facts.engine {
            // The probe looked at the usual place, before the engine could be asked.
            Ok(engine) if engine.data_root != EngineState::empty().data_root => {
                Ok(self.free_at(&engine.data_root).await?)
            }
            _ => Ok(self.facts().await?.free_bytes),
        }
    }

    /// Free bytes of the file system that this directory is on; `None` where the host does not say.
    pub(super) async fn free_at(&self, directory: &str) -> Result<Option<u64>, SshError> {
        free_bytes(&self.control().await?, directory).await
    }

    /// Says goodbye, which closes everything that is open over these connections.
    pub async fn close(self) {
        self.bulk.close().await;
        self.control.close().await;
    }

    /// Gives up early after so many looks, a second apart, without the daemon.
    async fn wait_for_engine(&self, ended: u32) -> Result<(SystemFacts, (Docker, Access)), SessionError> {
        let began = tokio::time::Instant::now();
        let mut idle = 0;
        let known = self.facts().await?;
        loop {
            let facts = known.again(&self.control().await?, &self.socket).await?;
            let reason = match facts.access()? {
                Some(access) => match self.reach_engine(&facts, access).await {
                    Ok(engine) => return Ok((facts, engine)),
                    Err(error) => error.to_string(),
                },
                None => format!("there is no socket {}", self.socket),
            };
            // Not everybody sees every process.
            idle = if facts.is_root && !facts.dockerd_running { idle + 1 } else { 0 };
            if idle >= ended || began.elapsed() >= ENGINE_START {
                return Err(SessionError::EngineSilent { seconds: began.elapsed().as_secs(), reason });
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// A host whose engine answers need not say what it is. `None` where the engine has to be installed or started.
    async fn find_engine(&self, scope: Option<&Scope<'_>>) -> Result<Option<(Docker, Access)>, SessionError> {
        let first = match self.try_engine(Access::Socket, scope).await {
            Ok(engine) => return Ok(Some((engine, Access::Socket))),
            Err(error) => error,
        };
        let facts = self.facts().await?;
        let reached = match facts.access()? {
            Some(Access::Socket) => self.detour(facts, first).await,
            Some(access) => self.try_engine(access.clone(), scope).await.map(|engine| (engine, access)),
            None => return Ok(None),
        };
        match reached {
            Ok(engine) => Ok(Some(engine)),
            Err(_) if facts.dockerd && !facts.dockerd_running && facts.can_become_root() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn reach_engine(&self, facts: &SystemFacts, access: Access) -> Result<(Docker, Access), EngineError> {
        match self.try_engine(access.clone(), None).await {
            Err(first) if access == Access::Socket => self.detour(facts, first).await,
            other => other.map(|engine| (engine, access)),
        }
    }

    /// A server that forwards no Unix sockets gets the detour by its own docker command line.
    async fn detour(&self, facts: &SystemFacts, first: EngineError) -> Result<(Docker, Access), EngineError> {
        if !facts.docker_cli {
            return Err(first);
        }
        let detour = Access::DialStdio(None);
        match self.try_engine(detour.clone(), None).await {
            Ok(engine) => {
                self.events.send(What::Note(format!("{first}; using docker system dial-stdio instead")));
                Ok((engine, detour))
            }
            Err(_) => Err(first),
        }
    }

    async fn try_engine(&self, access: Access, scope: Option<&Scope<'_>>) -> Result<Docker, EngineError> {
        let control = dialer(access.clone(), self.socket.clone(), Arc::clone(&self.control));
        let bulk = dialer(access, self.socket.clone(), Arc::clone(&self.bulk));
        match scope {
            Some(scope) => Docker::connect_to_look(control, bulk, scope).await,
            None => Docker::connect(control, bulk).await,
        }
    }
}

/// Shows what a script says.
fn told(events: &Events) -> impl FnMut(Said<'_>) + Send {
    move |said| {
        events.send(match said {
            Said::Line(line) => What::Line(line.to_owned()),
            Said::Note(note) => What::Note(note.to_owned()),
        });
    }
}
