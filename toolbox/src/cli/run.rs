//! `toolbox run`

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::agent::KeySource;
use crate::compose::{Service, words};
use crate::engine::{Attached, ContainerSpec, Engine as _, EngineError, Purpose};
use crate::image::Reference;
use crate::ui::Ui;

use super::args::{Common, Run};
use super::attached::{Ended, pass};
use super::begin::{Begun, begin};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::hosts::{self, Reached};
use super::lifecycle::Life;
use super::services::chosen;

/// Runs a command in a container of its own; its exit status is the command's.
pub(super) async fn run(
    common: &Common,
    arguments: &Run,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin(common, key, Ui::new(true)).await?;
    chosen(&begun.context.project, std::slice::from_ref(&arguments.service))?;
    let entrypoint = entrypoint(arguments)?;
    let hosts = hosts::reach_all(&begun).await?;
    let ended = one_off(&hosts, arguments, entrypoint.as_deref(), &begun, ui).await;
    hosts::end(hosts, begun).await;
    Ok(ended?.status())
}

fn entrypoint(arguments: &Run) -> Result<Option<Vec<String>>, Failures> {
    let Some(text) = &arguments.entrypoint else { return Ok(None) };
    let unreadable = |e| Failures::configuration(vec![Failure::text(format!("--entrypoint: {e}"), None)]);
    words(text).map(Some).map_err(unreadable)
}

async fn one_off(
    hosts: &[Reached],
    arguments: &Run,
    entrypoint: Option<&[String]>,
    begun: &Begun,
    ui: Ui,
) -> Result<Ended, Failures> {
    let (project, name) = (&begun.context.project, &arguments.service);
    let host = hosts::the_one(hosts, name, "run")?;
    if !arguments.no_deps {
        let life = Life { host, project, interrupted: begun.interrupted.clone() };
        life.start_dependencies(name, Duration::from_secs(arguments.wait_timeout)).await?;
    }
    let failed = |e: EngineError| Failures::failed(vec![Failure::of(&e, hint(&e)).on(&host.name)]);
    let model = host.of_service(name).first().copied();
    let service = adapted(&project.services[name], arguments);
    let files = match model {
        Some(container) => host.engine.file_binds(&container.id, &project.name).await.map_err(failed)?,
        None => Vec::new(),
    };
    warn(&service, model.is_none() && files.is_empty(), &ui);
    let image = model.map_or_else(|| familiar(&service.image), |container| container.image_id.clone());
    let environment: BTreeMap<String, String> = arguments.process.environment().collect();
    let terminal = arguments.process.terminal();
    let container = format!("{}-{name}-run-{:012x}", project.name, random() >> 16);
    let spec = ContainerSpec {
        project,
        service: &service,
        name: &container,
        final_name: &container,
        number: 1,
        image: &image,
        successor_of: None,
        behind_relay: false,
        files: &files,
        release: model.and_then(|c| c.release.as_deref()),
        purpose: Purpose::OneOff {
            role: "run",
            command: &arguments.command,
            terminal,
            entrypoint,
            environment: &environment,
        },
    };
    let id = host.engine.create_container(spec).await.map_err(failed)?;
    let ended = attached(host, &id, terminal, begun).await;
    let removed = host.engine.remove(&id, true).await;
    let ended = ended.map_err(failed)?;
    removed.map_err(failed)?;
    Ok(ended)
}

/// Starts the container with this process's input and output, and waits for its end, which an interrupt asks for.
async fn attached(host: &Reached, id: &str, terminal: bool, begun: &Begun) -> Result<Ended, EngineError> {
    let stream = host.engine.attach(id, terminal).await?;
    host.engine.start(id).await?;
    let attached = Attached::Container(id.to_owned());
    let ended = pass(&host.engine, attached, stream, terminal, &begun.interrupted).await?;
    if !matches!(ended, Ended::Itself(_)) {
        host.engine.stop(id, None).await?;
    }
    Ok(ended)
}

/// The service with what was asked for instead.
fn adapted(service: &Service, arguments: &Run) -> Service {
    let mut service = service.clone();
    service.user = arguments.process.user.clone().or(service.user);
    service.working_dir = arguments.process.workdir.clone().or(service.working_dir);
    service
}

fn warn(service: &Service, no_files: bool, ui: &Ui) {
    if no_files && !(service.configs.is_empty() && service.secrets.is_empty()) {
        let name = &service.name;
        ui.say(&format!(
            "warning: {name} is not deployed there: its configs and secrets are missing in this container"
        ));
    }
}

fn familiar(image: &str) -> String {
    Reference::parse(image).map_or_else(|_| image.to_owned(), |reference| reference.familiar())
}

/// What a deploy brings is missing.
fn hint(error: &EngineError) -> Option<String> {
    error.hint().or_else(|| error.is_not_found().then(|| "bring its images and networks there: toolbox deploy".into()))
}

/// A name's suffix that no other container has.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
