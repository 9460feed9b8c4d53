//! `toolbox logs`

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio::task::{JoinError, JoinSet};

use crate::agent::KeySource;
use crate::engine::{ContainerEvent, Docker, EngineError, LogRequest};
use crate::state::ObservedContainer;
use crate::ui::{Closed, LogLines, LogStyle, Ui, Writer};

use super::args::{Common, Logs};
use super::begin::{Begun, begin_by_name};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::hosts::{self, Reached};
use super::services::chosen;

/// Shows what the services' containers wrote, on all hosts.
pub(super) async fn run(
    common: &Common,
    arguments: &Logs,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    // The output is the containers': steps are not shown.
    let begun = begin_by_name(common, key, ui, Ui::new(true)).await?;
    let named_only = begun.context.is_named_only();
    let known = if named_only { None } else { Some(chosen(&begun.context.project, &arguments.services)?) };
    let hosts = hosts::reach_all(&begun).await?;
    let services = known.map_or_else(|| hosts::there(&hosts, &arguments.services), Ok)?;
    let status = show(&hosts, &services, arguments, &begun, ui).await;
    hosts::end(hosts, begun).await;
    Ok(status)
}

async fn show(hosts: &[Reached], services: &BTreeSet<String>, arguments: &Logs, begun: &Begun, ui: Ui) -> ExitStatus {
    let (writer, writing) = Writer::start();
    let style = LogStyle::new(!arguments.no_prefix);
    let several = hosts.len() > 1;
    let views = hosts.iter().map(|host| HostLogs {
        host,
        several,
        services,
        project: &begun.context.project.name,
        style: style.clone(),
        writer: writer.clone(),
        request: LogRequest {
            follow: arguments.follow,
            tail: arguments.tail.0,
            since: arguments.since.clone(),
            timestamps: arguments.timestamps,
        },
        ui,
    });
    let shown = async { join_all(views.map(HostLogs::show)).await.into_iter().all(|good| good) };
    let mut interrupt = begun.interrupted.clone();
    let good = tokio::select! {
        good = shown => good,
        // `| head` has what it wanted.
        () = writer.closed() => true,
        _ = interrupt.wait_for(|i| *i) => return ExitStatus::Interrupted,
    };
    drop(writer);
    writing.finish().await;
    if good { ExitStatus::Done } else { ExitStatus::Failed }
}

/// The logs of one host.
struct HostLogs<'a> {
    host: &'a Reached,
    several: bool,
    services: &'a BTreeSet<String>,
    project: &'a str,
    style: LogStyle,
    writer: Writer,
    request: LogRequest,
    ui: Ui,
}

/// When a container ended that was followed; `None` while it is.
type Seen = HashMap<String, Option<String>>;

/// Logs that are being shown.
type Logging = JoinSet<Result<(), EngineError>>;

impl HostLogs<'_> {
    /// Ends with the last log, or when following breaks off; `false` where anything failed.
    async fn show(self) -> bool {
        let mut logs = Logging::new();
        let shown = if self.request.follow { self.follow(&mut logs).await } else { self.all(&mut logs) };
        let mut good = shown.is_ok();
        if let Err(error) = shown {
            self.fail(&error);
            // They would say the same again.
            logs.abort_all();
        }
        while let Some(ended) = logs.join_next().await {
            good &= self.is_good(ended);
        }
        good
    }

    fn all(&self, logs: &mut Logging) -> Result<(), EngineError> {
        for (service, container) in self.chosen(&self.host.containers) {
            self.open(logs, &container.id, service, container.number, self.request.clone());
        }
        Ok(())
    }

    async fn follow(&self, logs: &mut Logging) -> Result<(), EngineError> {
        let engine = &self.host.engine;
        // Asked before the containers are listed: one that starts in between is not missed.
        let mut events = engine.container_events(self.project).await?;
        let mut seen = Seen::new();
        for (service, container) in self.chosen(&engine.containers(self.project).await?) {
            let ended = if container.is_running() { None } else { Some(engine.ended(&container.id).await?) };
            seen.insert(container.id.clone(), ended);
            self.open(logs, &container.id, service, container.number, self.request.clone());
        }
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.take(event?, &mut seen, logs),
                    None => break Err(EngineError::Unreachable { reason: "it ended its list of events".into() }),
                },
                Some(ended) = logs.join_next() => drop(self.is_good(ended)),
            }
        }
    }

    fn chosen<'c>(&self, containers: &'c [ObservedContainer]) -> Vec<(&str, &'c ObservedContainer)> {
        let of = |service| hosts::of_service(containers, service).into_iter().map(move |c| (service, c));
        self.services.iter().map(String::as_str).flat_map(of).collect()
    }

    /// A container that starts is followed; where it was followed before, from its end on.
    fn take(&self, event: ContainerEvent, seen: &mut Seen, logs: &mut Logging) {
        let Some(service) = event.service.filter(|s| self.services.contains(s)) else { return };
        if !event.started {
            seen.insert(event.id, Some(event.time));
            return;
        }
        match seen.insert(event.id.clone(), None) {
            // It was listed and opened before its event was read.
            Some(None) => {}
            before => {
                let request = LogRequest { tail: None, since: before.flatten(), ..self.request.clone() };
                self.open(logs, &event.id, &service, event.number, request);
            }
        }
    }

    fn open(&self, logs: &mut Logging, id: &str, service: &str, number: u32, request: LogRequest) {
        let name = format!("{service}-{number}");
        let name = if self.several { format!("{}/{name}", self.host.name) } else { name };
        let lines = self.style.source(&name);
        logs.spawn(one(self.host.engine.clone(), id.to_owned(), request, lines, self.writer.clone()));
    }

    fn is_good(&self, ended: Result<Result<(), EngineError>, JoinError>) -> bool {
        match ended {
            Ok(Ok(())) => true,
            // Removed before it could be read.
            Ok(Err(error)) if error.is_not_found() => true,
            Ok(Err(error)) => {
                self.fail(&error);
                false
            }
            Err(_) => false,
        }
    }

    fn fail(&self, error: &EngineError) {
        Failure::of(error, error.hint()).on(&self.host.name).show(&self.ui);
    }
}

async fn one(
    engine: Docker,
    id: String,
    request: LogRequest,
    mut lines: LogLines,
    writer: Writer,
) -> Result<(), EngineError> {
    let mut log = engine.log_stream(&id, &request).await?;
    while let Some(piece) = log.next().await {
        let (error, bytes) = piece?;
        if put(&writer, error, lines.take(error, &bytes)).await.is_err() {
            return Ok(());
        }
    }
    for (error, text) in [false, true].into_iter().zip(lines.rest()) {
        let _ = put(&writer, error, text).await;
    }
    Ok(())
}

async fn put(writer: &Writer, error: bool, text: Bytes) -> Result<(), Closed> {
    if text.is_empty() { Ok(()) } else { writer.write(error, text).await }
}
