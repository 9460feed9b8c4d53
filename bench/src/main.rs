//! Measurements of the toolbox beside the programs that it stands in for, in the same run on the same machine.
//!
//! `bench agent [--toolbox PATH] [--rounds N] [--seconds S]`: the embedded agent beside OpenSSH's ssh-agent.
//! `bench relay [--relay PATH] [--rounds N] [--seconds S]`: a server through the relay beside the server itself.
//! `bench deploy [--toolbox PATH] [--relay PATH] [--rounds N]`: a deploy by the toolbox beside Compose and Ansible.
//! `bench fleet [--toolbox PATH] [--relay PATH] [--rounds N]`: deploys without a change to many hosts, beside Ansible.
//! `bench push [--toolbox PATH] [--relay PATH] [--rounds N] [--sizes MB,…] …`: pushes of images beside other ways, and SSH
//! beside OpenSSH's client; [`push::Options`] has the other options.
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
mod fleet;
mod push;
mod relay;
mod relay_process;
mod relay_server;

use std::alloc::System;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use zeroizing_alloc::ZeroAlloc;

const USAGE: &str = "usage: bench agent|relay|deploy|fleet [--toolbox PATH] [--relay PATH] [--rounds N] [--seconds S]
       bench push [--toolbox PATH] [--relay PATH] [--own ARGUMENTS] [--rounds N] [--slow-rounds N] [--mib N]
                  [--sizes MB,...] [--slow-sizes MB,...]";

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

/// As in the toolbox itself, whose SSH is measured in here.
#[global_allocator]
static HEAP: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (what, rest) = (arguments.next().unwrap_or_default(), arguments.collect::<Vec<_>>());
    let table = match what.as_str() {
        "transfer" => return push::transfer::main(&rest),
        "watch" => return push::watch::main(&rest),
        "push" => push::Options::parse(rest.into_iter()).map(|options| push::measure(&options)),
        "agent" => options(rest.into_iter()).map(|run| agent::measure(&run)),
        "relay" => options(rest.into_iter()).map(|run| relay::measure(&run)),
        "deploy" => options(rest.into_iter()).map(|run| deploy::measure(&run)),
        "fleet" => options(rest.into_iter()).map(|run| fleet::measure(&run)),
        _ => None,
    };
    match table {
        Some(Ok(table)) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
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
