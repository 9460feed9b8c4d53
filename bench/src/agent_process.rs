//! An agent as a process of its own: started, asked for its memory, ended.

use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::agent::Problem;

/// A running agent; it is ended when this is dropped.
pub(crate) struct AgentProcess {
    child: Child,
    /// Where it listens.
    pub(crate) socket: PathBuf,
}

impl AgentProcess {
    /// Starts `program` as `ssh-agent -D -a SOCKET` and waits until it listens, which it says on standard output.
    pub(crate) fn start(program: &Path, socket: PathBuf) -> Result<Self, Problem> {
        let started = Command::new(program).arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no standard output")?;
        let agent = Self { child, socket };
        BufReader::new(output).read_line(&mut line)?;
        match line.contains("SSH_AUTH_SOCK") {
            true => Ok(agent),
            false => Err(format!("{} did not start: {line}", program.display()).into()),
        }
    }

    /// Memory in KiB: what is resident, and what of it is written to and so this process's alone. The rest are pages of
    /// programs and libraries, which the system can share and drop.
    pub(crate) fn memory(&self) -> Result<[f64; 2], Problem> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        Ok([field(&rollup, "Rss:")?, field(&rollup, "Private_Dirty:")?])
    }
}

fn field(text: &str, name: &str) -> io::Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    number.ok_or_else(|| io::Error::other(format!("the kernel does not say {name}")))
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // Neither can fail for a child of ours that was not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
