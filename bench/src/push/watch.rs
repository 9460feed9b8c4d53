//! What a command costs: `bench watch FILE PROGRAM ARGUMENT…` runs it in a process of its own, so that what the kernel
//! says of this process's children is that command's alone.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use crate::agent::Problem;
use crate::deploy_host::output;

/// What a command, and whatever it started and waited for, has cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// Of all processors, in user and kernel mode.
    pub(crate) cpu: f64,
    /// The most that one of its processes has had in memory, in KB.
    pub(crate) memory: f64,
}

/// `bench watch`: passes the command's output and its failure on.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let [file, program, rest @ ..] = arguments else { return ExitCode::from(2) };
    let began = Instant::now();
    let status = Command::new(program).args(rest).status();
    let seconds = began.elapsed().as_secs_f64();
    match (status, getrusage(UsageWho::RUSAGE_CHILDREN)) {
        (Ok(status), Ok(used)) if status.success() => {
            let cpu = [used.user_time(), used.system_time()];
            let cpu: f64 = cpu.iter().map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6).sum();
            let said = fs::write(file, format!("{seconds} {cpu} {}", used.max_rss()));
            if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        (status, _) => {
            eprintln!("{program}: {status:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command under `bench watch`; `wrap` says where.
pub(crate) fn cost(mut wrapped: Command, directory: &Path, command: &[&str]) -> Result<Cost, Problem> {
    let file = directory.join("cost");
    output(wrapped.arg("watch").arg(&file).args(command))?;
    let text = fs::read_to_string(file)?;
    let numbers: Vec<f64> = text.split(' ').flat_map(str::parse).collect();
    match numbers[..] {
        [seconds, cpu, memory] => Ok(Cost { seconds, cpu, memory }),
        _ => Err(format!("what is {text:?}?").into()),
    }
}
