//! Ring 4: the command line. One file per verb: its arguments and one function.
//!
//! Absent on purpose: everything that is not about arguments, the environment or exit statuses.

mod agent;
mod args;
mod attached;
mod begin;
mod bootstrap;
mod bundle;
mod connect;
mod context;
mod deploy;
mod down;
mod exec;
mod exit_status;
mod failure;
mod fleet;
mod helper;
mod hosts;
mod interrupt;
mod keys;
mod lifecycle;
mod lock;
mod logs;
mod placement;
mod plan;
mod plan_file;
mod prepare;
mod prune;
mod push;
mod records;
mod releases;
mod rights;
mod rollback;
mod rollout;
mod run;
mod services;
mod since;
mod status;
mod ways;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use crate::agent::{KeySource, harden, wipe};
use crate::ui::{self, Ui};

use args::{Arguments, Verb};
use exit_status::ExitStatus;
use failure::Failures;

/// Runs the command line; the process's exit code says how it ended.
pub fn main() -> ExitCode {
    // Before anything secret is read.
    let hardened = harden();
    // While there is one thread: a key in the environment is taken out of it.
    let key = KeySource::from_environment();
    if let Some(asked) = agent::asked(std::env::args_os()) {
        return agent::main(asked, key, hardened.err());
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) => {
            // The process ends inside of the call, and would take the key with it.
            drop(key);
            usage.exit()
        }
    };
    // russh's errors come back as values, and are told as such.
    start_tracing("error,russh=off");
    let ui = Ui::new(arguments.quiet);
    if let Err(error) = hardened {
        ui.say(&format!("warning: this process can be traced by others of its uid: {error}"));
    }
    let terminal = ui::Terminal::save();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.error(&format!("cannot start: {error}"), None);
            return ExitStatus::Failed.into();
        }
    };
    let status = match runtime.block_on(carry_out(arguments, key, ui)) {
        Ok(status) => status,
        Err(failures) => failures.show(&ui),
    };
    // A prompt or a spool that is still being read does not hold the process, nor keep the terminal silent.
    runtime.shutdown_background();
    // Nor does a task that still holds the agent take a key along.
    wipe();
    terminal.restore();
    status.into()
}

/// What a deploy runs on. All connections share one thread: what is encrypted on another one than it was made on waits
/// until that wakes, for each packet. Compression, digests and keys' passphrases have threads of their own.
///
/// # Errors
/// The system has no descriptors left.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn carry_out(arguments: Arguments, key: Option<KeySource>, ui: Ui) -> Result<ExitStatus, Failures> {
    let common = arguments.common;
    match arguments.verb {
        Verb::Deploy(verb) => deploy::run(&common, &verb, key, ui).await,
        Verb::Plan(verb) => plan::run(&common, &verb, key, ui).await,
        Verb::Rollback(verb) => rollback::run(&common, &verb, key, ui).await,
        Verb::Releases(verb) => releases::run(&common, &verb, key, ui).await,
        Verb::Prune(verb) => prune::run(&common, &verb, key, ui).await,
        Verb::Bundle(verb) => bundle::run(&verb, ui).await,
        Verb::Hosts(verb) => fleet::run(&common, &verb, key, ui).await,
        Verb::Bootstrap(verb) => bootstrap::run(&common, &verb, key, ui).await,
        Verb::Push(verb) => push::run(&common, &verb, key, ui).await,
        Verb::Status(verb) => status::run(&common, &verb, key, ui).await,
        Verb::Logs(verb) => logs::run(&common, &verb, key, ui).await,
        Verb::Exec(verb) => exec::run(&common, &verb, key).await,
        Verb::Run(verb) => run::run(&common, &verb, key, ui).await,
        Verb::Restart(verb) => lifecycle::restart(&common, &verb, key, ui).await,
        Verb::Stop(verb) => lifecycle::stop(&common, &verb, key, ui).await,
        Verb::Start(verb) => lifecycle::start(&common, &verb, key, ui).await,
        Verb::Down(verb) => down::run(&common, &verb, key, ui).await,
        Verb::Agent(_) => Err(agent::misplaced_options()),
    }
}

/// Diagnostics for developers, `default` unless `TOOLBOX_LOG` asks for others. Below info these libraries write whole
/// requests, with what they sign and with services' environments, so that they are capped whatever is asked.
fn start_tracing(default: &str) {
    use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
    use tracing_subscriber::util::SubscriberInitExt as _;
    let asked = EnvFilter::try_from_env("TOOLBOX_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let capped = filter_fn(|event| {
        let talkative = ["russh", "bollard", "hyper"].iter().any(|name| event.target().starts_with(name));
        !talkative || *event.level() <= LevelFilter::INFO
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(Ui::new(false).colours())
        .with_writer(std::io::stderr)
        .with_filter(capped);
    tracing_subscriber::registry().with(lines).with(asked).init();
}
