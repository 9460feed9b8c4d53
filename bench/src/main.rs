//! Measurements of the toolbox beside the programs that it stands in for, in the same run on the same machine.
//!
//! `bench agent [--toolbox PATH] [--rounds N] [--seconds S]`: the embedded agent beside OpenSSH's ssh-agent.
//! `bench relay [--relay PATH] [--rounds N] [--seconds S]`: a server through the relay beside the server itself.
//! `bench deploy [--toolbox PATH] [--relay PATH] [--rounds N]`: a deploy by the toolbox beside Compose and Ansible.
//! The table goes to standard output in Markdown, progress to standard error. Absolute figures depend on the machine
//! and its other users; the ratios, medians of alternating runs, are what is to be compared.

mod agent;
mod agent_client;
mod agent_process;
mod deploy;
mod deploy_host;
mod deploy_images;
mod deploy_tools;
mod figures;
mod relay;
mod relay_process;
mod relay_server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: bench agent|relay|deploy [--toolbox PATH] [--relay PATH] [--rounds N] [--seconds S]";

/// How long and how often, and of what.
pub(crate) struct Run {
    /// The toolbox's binary, a release build.
    pub(crate) toolbox: PathBuf,
    /// The relay's binary, as hosts get it.
    pub(crate) relay: PathBuf,
    /// How many times each is measured, in turn.
    pub(crate) rounds: usize,
    /// How long one measurement takes.
    pub(crate) time: Duration,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next();
    let table = match (what.as_deref(), options(arguments)) {
        (Some("agent"), Some(run)) => agent::measure(&run),
        (Some("relay"), Some(run)) => relay::measure(&run),
        (Some("deploy"), Some(run)) => deploy::measure(&run),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match table {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<Run> {
    let (toolbox, relay) = ("target/release/toolbox".into(), "target/release/toolbox-relay".into());
    let mut run = Run { toolbox, relay, rounds: 7, time: Duration::from_secs(1) };
    while let Some(option) = arguments.next() {
        let value = arguments.next()?;
        match option.as_str() {
            "--toolbox" => run.toolbox = value.into(),
            "--relay" => run.relay = value.into(),
            "--rounds" => run.rounds = value.parse().ok().filter(|rounds| *rounds > 0)?,
            "--seconds" => run.time = Duration::try_from_secs_f64(value.parse().ok()?).ok()?,
            _ => return None,
        }
    }
    Some(run)
}
