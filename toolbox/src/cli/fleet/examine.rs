//! What one host is, and what stands in the way of deploying to it. Reads only.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use crate::apply::{Event, Events, HostSession};
use crate::bootstrap::{Access, Rights, Root, SystemFacts, probe};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::inventory::Host;
use crate::ssh::{AgentDialer, Connection, SshError, Target};
use crate::state::Store;

/// How long one host may take for everything.
const PATIENCE: Duration = Duration::from_secs(180);
/// A clock that differs by more seconds makes certificates and logs wrong.
const CLOCK_TOLERANCE: i64 = 30;

/// What was found on a host. What is not known is absent.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) host: String,
    pub(super) address: String,
    pub(super) user: String,
    pub(super) port: u16,
    /// A deploy would find nothing in its way.
    pub(super) ok: bool,
    /// Type of the host key that was accepted.
    pub(super) host_key: Option<String>,
    /// Type of the key that the login was made with.
    pub(super) login_key: Option<String>,
    /// `root`, `docker group`, `none`, or what makes the login root: `sudo`, `sudo with password`, `su with password`, `doas`.
    pub(super) rights: Option<&'static str>,
    pub(super) os: Option<String>,
    pub(super) architecture: Option<String>,
    pub(super) engine: Option<Engine>,
    /// Where the engine keeps, or will keep, its data.
    pub(super) free_bytes: Option<u64>,
    /// How far the host's clock is ahead of ours.
    pub(super) clock_seconds: Option<i64>,
    pub(super) warnings: Vec<String>,
    pub(super) error: Option<String>,
    pub(super) hint: Option<String>,
}

/// The engine, or what a deploy would do about it.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(super) enum Engine {
    /// It answers.
    Running { version: String, api: String, store: &'static str },
    /// It is installed; a deploy starts it.
    Stopped,
    /// A deploy installs it from here.
    Absent { from: String },
}

/// With what hosts are asked.
pub(super) struct Means<'a> {
    pub(super) context: &'a Context,
    pub(super) agent: &'a AgentDialer,
    pub(super) events: &'a UnboundedSender<Event>,
}

impl Means<'_> {
    /// Looks at a host.
    pub(super) async fn examine(&self, host: &Host) -> Report {
        let target = self.context.target(host);
        let mut report = Report {
            host: host.name.clone(),
            address: target.address.clone(),
            user: target.user.clone(),
            port: target.port,
            ..Report::default()
        };
        let silent = Failure::text(format!("did not answer everything within {} s", PATIENCE.as_secs()), None);
        let examined = timeout(PATIENCE, self.fill(&mut report, &target, host)).await;
        match examined.unwrap_or(Err(silent)) {
            Ok(()) => report.ok = true,
            Err(failure) => {
                (report.error, report.hint) = (Some(failure.to_string()), failure.hint().map(str::to_owned))
            }
        }
        report
    }

    async fn fill(&self, report: &mut Report, target: &Target, host: &Host) -> Result<(), Failure> {
        let of_ssh = |e: SshError| Failure::of(&e, e.hint());
        let connection = Connection::open(target, self.agent).await.map_err(of_ssh)?;
        report.host_key = connection.host_key();
        report.login_key = Some(connection.identity().algorithm().to_string());
        let (socket, given) = self.context.engine(host);
        let mut facts = probe(&connection, socket).await.map_err(|e| Failure::of(&e, e.hint()))?;
        if !facts.socket_writable {
            facts.escalate(&connection, &given).await.map_err(of_ssh)?;
        }
        report.take(&facts);
        report.clock_seconds = clock(&connection).await.map_err(of_ssh)?;
        report.warnings.extend(report.clock_seconds.and_then(clock_warning));
        report.warnings.extend(sshd(&connection, &facts, socket).await);
        connection.close().await;
        let (engine, limits) = self.engine(target, host, &facts).await?;
        report.engine = Some(engine);
        report.warnings.extend(limits.map(str::to_owned));
        Ok(())
    }

    /// The engine, and what it is limited in.
    async fn engine(
        &self,
        target: &Target,
        host: &Host,
        facts: &SystemFacts,
    ) -> Result<(Engine, Option<&'static str>), Failure> {
        let access = facts.access().map_err(|e| Failure::of(&e, Some(e.hint())))?;
        if access.is_none() {
            return Ok((not_running(facts)?, None));
        }
        let events = Events::new(&host.name, self.events.clone());
        let (agent, engine, ours) = (self.agent.clone(), self.context.engine(host), Arc::default());
        let opened = HostSession::open(target.clone(), engine, agent, events, ours, None).await;
        let session = opened.map_err(|e| Failure::of(&e, e.hint()))?;
        let about = match session.engine() {
            Some(engine) => Some(engine.about().await.map_err(|e| Failure::of(&e, e.hint()))?),
            None => None,
        };
        session.close().await;
        about.map_or_else(
            || Ok((not_running(facts)?, None)),
            |about| {
                let limits = about.limits();
                let api = format!("{}.{}", about.api.0, about.api.1);
                let store = if about.store == Store::Containerd { "containerd" } else { "classic" };
                Ok((Engine::Running { version: about.version, api, store }, limits))
            },
        )
    }
}

impl Report {
    fn take(&mut self, facts: &SystemFacts) {
        self.rights = Some(match &facts.rights {
            Rights::Root(Root::Login) => "root",
            _ if facts.socket_writable => "docker group",
            Rights::Root(Root::Sudo) => "sudo",
            Rights::Root(Root::SudoPassword(_)) => "sudo with password",
            Rights::Root(Root::SuPassword(_)) => "su with password",
            Rights::Root(Root::Doas) => "doas",
            Rights::None(_) => "none",
        });
        self.os = Some(facts.os_name.clone());
        self.architecture = Some(facts.machine.clone());
        self.free_bytes = facts.free_bytes;
    }
}

fn not_running(facts: &SystemFacts) -> Result<Engine, Failure> {
    if facts.dockerd {
        return Ok(Engine::Stopped);
    }
    if let Some(other) = facts.other_engine() {
        return Err(Failure::of(&other, Some(other.hint())));
    }
    let family = facts.installable().map_err(|error| Failure::of(&error, error.hint()))?;
    let untested = if family.tested { "" } else { ", untested here" };
    Ok(Engine::Absent { from: format!("the archive of {} ({}{untested})", facts.os_name, family.name) })
}

/// How far the host's clock is ahead, in seconds; `None` where it does not say.
async fn clock(connection: &Connection) -> Result<Option<i64>, SshError> {
    let before = now();
    let output = connection.exec("date +%s", b"").await?;
    // A noisy login script may have written before it.
    let said = output.stdout_text().lines().last().and_then(|line| line.trim().parse::<i64>().ok());
    Ok(said.map(|theirs| theirs - (before + now()) / 2))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn clock_warning(seconds: i64) -> Option<String> {
    let direction = if seconds > 0 { "ahead of" } else { "behind" };
    let late = seconds.unsigned_abs() > CLOCK_TOLERANCE.unsigned_abs();
    late.then(|| format!("its clock is {} s {direction} this machine's; on the host: timedatectl", seconds.abs()))
}

/// The settings of sshd that take something away, found by trying.
async fn sshd(connection: &Connection, facts: &SystemFacts, socket: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if facts.access() == Ok(Some(Access::Socket)) && refused(connection.streamlocal(socket).await).is_some() {
        let way = if facts.docker_cli {
            "the engine is reached through the docker command line"
        } else {
            "the engine cannot be reached: install docker-cli there, or allow it"
        };
        warnings.push(format!("sshd refuses sockets (AllowStreamLocalForwarding, DisableForwarding): {way}"));
    }
    let port = facts.listening.iter().find(|address| address.is_ipv4()).map_or(22, std::net::SocketAddr::port);
    if refused(connection.tcp("127.0.0.1", port).await).is_some_and(|why| why.contains("prohibited")) {
        warnings.push("sshd refuses ports (AllowTcpForwarding, PermitOpen): x-toolbox.verify cannot ask there".into());
    }
    // Two sessions at once.
    let held = connection.exec_stream("cat").await;
    let second = connection.exec("true", b"").await;
    if connection.is_full() || refused(held).is_some() || refused(second).is_some() {
        warnings.push("sshd allows one session at a time (MaxSessions 1): each takes a login of its own".into());
    }
    warnings
}

/// The server's words where it refused a channel.
fn refused<T>(result: Result<T, SshError>) -> Option<String> {
    match result {
        Err(SshError::ChannelRefused { reason, .. }) => Some(reason),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_named_when_it_is_more_than_half_a_minute_off() {
        assert_eq!(clock_warning(30), None);
        assert_eq!(clock_warning(-30), None);
        assert!(clock_warning(31).unwrap().starts_with("its clock is 31 s ahead of"));
        assert!(clock_warning(-4000).unwrap().starts_with("its clock is 4000 s behind"));
    }

    #[test]
    fn a_host_without_engine_says_where_one_would_come_from() {
        let debian = SystemFacts { os_name: "Debian 12".into(), manager: "apt-get".into(), ..Default::default() };
        assert!(
            matches!(not_running(&debian), Ok(Engine::Absent { from }) if from == "the archive of Debian 12 (apt)")
        );
        assert!(matches!(not_running(&SystemFacts { dockerd: true, ..debian }), Ok(Engine::Stopped)));
        let alpine = SystemFacts { os_name: "Alpine".into(), manager: "apk".into(), ..Default::default() };
        assert!(
            matches!(not_running(&alpine), Ok(Engine::Absent { from }) if from == "the archive of Alpine (apk, untested here)")
        );
        assert!(not_running(&SystemFacts { os_name: "Void".into(), ..Default::default() }).is_err());
    }
}
