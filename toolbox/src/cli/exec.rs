//! `toolbox exec`

use crate::agent::KeySource;
use crate::engine::{Attached, EngineError, ExecRequest};
use crate::state::ObservedContainer;
use crate::ui::{self, Ui};

use super::args::{Common, Exec, Process};
use super::attached::{Ended, pass};
use super::begin::{Begun, begin};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::hosts::{self, Reached};
use super::services::chosen;

/// Runs a command in a running container of a service; its exit status is the command's.
pub(super) async fn run(common: &Common, arguments: &Exec, key: Option<KeySource>) -> Result<ExitStatus, Failures> {
    // The output is the command's: steps are not shown.
    let begun = begin(common, key, Ui::new(true)).await?;
    chosen(&begun.context.project, std::slice::from_ref(&arguments.service))?;
    let hosts = hosts::reach_all(&begun).await?;
    let ended = exec(&hosts, arguments, &begun).await;
    hosts::end(hosts, begun).await;
    Ok(ended?.status())
}

async fn exec(hosts: &[Reached], arguments: &Exec, begun: &Begun) -> Result<Ended, Failures> {
    let host = hosts::the_one(hosts, &arguments.service, "exec")?;
    let container = running(host, &arguments.service, arguments.index)?;
    let request = ExecRequest {
        command: arguments.command.clone(),
        environment: arguments.process.environment().map(|(name, value)| format!("{name}={value}")).collect(),
        user: arguments.process.user.clone(),
        working_dir: arguments.process.workdir.clone(),
        terminal: arguments.process.terminal(),
    };
    let failed = |e: EngineError| Failures::failed(vec![Failure::of(&e, e.hint()).on(&host.name)]);
    let stream = host.engine.exec_attached(&container.id, &request).await.map_err(failed)?;
    let attached = Attached::Exec(stream.id.clone());
    pass(&host.engine, attached, stream, request.terminal, &begun.interrupted).await.map_err(failed)
}

fn running<'a>(host: &'a Reached, service: &str, index: u32) -> Result<&'a ObservedContainer, Failures> {
    let own = host.of_service(service);
    if own.is_empty() {
        return Err(hosts::not_deployed(service, &host.name));
    }
    let wanted: Vec<_> = own.iter().copied().filter(|c| c.number == index).collect();
    let refused =
        |message, hint| Failures::failed(vec![Failure::text(format!("{}: {message}", host.name), Some(hint))]);
    match (wanted.iter().copied().find(|c| c.is_running()), wanted.first()) {
        (Some(container), _) => Ok(container),
        (None, Some(stopped)) => {
            let message = format!("{} does not run: its state is {}", stopped.name, stopped.state);
            Err(refused(message, format!("start it: toolbox start {service}")))
        }
        (None, None) => {
            let numbers: Vec<String> = own.iter().map(|c| c.number.to_string()).collect();
            Err(refused(
                format!("{service} has no container {index}"),
                format!("choose with --index; there is {}", numbers.join(", ")),
            ))
        }
    }
}

impl Process {
    /// Whether the command gets a terminal.
    pub(super) fn terminal(&self) -> bool {
        !self.no_tty && ui::has_terminal()
    }

    /// The command's further variables; one without a value that is not set here is left out, as Compose does.
    pub(super) fn environment(&self) -> impl Iterator<Item = (String, String)> {
        self.env.iter().filter_map(|given| match given.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => Some((given.clone(), std::env::var(given).ok()?)),
        })
    }
}
