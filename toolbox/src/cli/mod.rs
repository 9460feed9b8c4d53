//! Ring 4: the command line. One file per verb: its arguments and one function.
//!
//! Absent on purpose: everything that is not about arguments, the environment or exit statuses.

mod args;
mod connect;
mod context;
mod deploy;
mod down;
mod exit_status;
mod failure;
mod interrupt;
mod keys;
mod plan;
mod prepare;
mod status;

use std::process::ExitCode;

use clap::Parser as _;

use crate::agent::KeySource;
use crate::ui::Ui;

use args::{Arguments, Verb};
use exit_status::ExitStatus;
use failure::Failures;

/// Runs the command line; the process's exit code says how it ended.
pub fn main() -> ExitCode {
    // First of all, while there is one thread: a key in the environment is taken out of it.
    let key = KeySource::from_environment();
    let arguments = Arguments::parse();
    start_tracing();
    let ui = Ui::new(arguments.quiet);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.error(&format!("cannot start: {error}"), None);
            return ExitStatus::Failed.into();
        }
    };
    let status = match runtime.block_on(run(arguments, key, ui)) {
        Ok(status) => status,
        Err(failures) => failures.show(&ui),
    };
    // A prompt or a spool that is still being read does not hold the process.
    runtime.shutdown_background();
    status.into()
}

async fn run(arguments: Arguments, key: Option<KeySource>, ui: Ui) -> Result<ExitStatus, Failures> {
    let common = arguments.common;
    match arguments.verb {
        Verb::Deploy(verb) => deploy::run(&common, &verb, key, ui).await,
        Verb::Plan(verb) => plan::run(&common, &verb, key, ui).await,
        Verb::Status(verb) => status::run(&common, &verb, key, ui).await,
        Verb::Down(verb) => down::run(&common, &verb, key, ui).await,
    }
}

/// Diagnostics for developers, off unless `TOOLBOX_LOG` asks. russh's agent client would log whole requests at debug
/// level, and so is capped whatever is asked.
fn start_tracing() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("TOOLBOX_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let capped = ["russh::keys::agent=info", "russh=info"].iter().fold(filter, |f, directive| {
        directive.parse().map_or_else(|_| EnvFilter::new("error"), |d| f.add_directive(d))
    });
    tracing_subscriber::fmt().with_env_filter(capped).with_writer(std::io::stderr).init();
}
