//! The program under the name `ssh-agent`, its processes and their ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// OpenSSH's own.
pub(crate) const OPENSSH: &str = "/usr/bin/ssh-agent";

/// A directory with a symbolic link `ssh-agent` in it, and room for sockets and keys.
pub(crate) struct Bench {
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_toolbox"), directory.path().join("bin/ssh-agent")).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program under that name, in an environment without any agent and any key, with no terminal.
    pub(crate) fn ssh_agent(&self) -> Command {
        self.prepared(&self.path("bin/ssh-agent"))
    }

    /// `toolbox agent`.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Command {
        let mut command = self.prepared(Path::new(env!("CARGO_BIN_EXE_toolbox")));
        command.arg("agent").args(arguments);
        command
    }

    /// Any program in that environment, with our ssh-agent first in its PATH.
    pub(crate) fn prepared(&self, program: &Path) -> Command {
        // A session of its own: nobody can be asked.
        let mut command = Command::new("setsid");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.arg("--wait").arg(program).current_dir(self.directory.path()).env_clear().env("PATH", path);
        command.env("HOME", self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Starts an agent in the background with these arguments.
    pub(crate) fn started(&self, arguments: &[&str]) -> Started {
        Started::by(self.ssh_agent().arg("-s").args(arguments))
    }

    /// Runs ssh-add.
    pub(crate) fn ssh_add(&self, agent: &Started, arguments: &[&str]) -> Output {
        let mut command = self.prepared(Path::new("ssh-add"));
        command.args(arguments).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap()
    }
}

/// An agent in the background; it is ended, by its process id, when this is dropped.
pub(crate) struct Started {
    pub(crate) socket: PathBuf,
    pub(crate) process: Pid,
}

impl Started {
    /// Runs a command that must print the lines for sh.
    pub(crate) fn by(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let value = |name: &str| text.split(&format!("{name}=")).nth(1).unwrap().split(';').next().unwrap().to_owned();
        let process = Pid::from_raw(value("SSH_AGENT_PID").parse().unwrap()).unwrap();
        Self { socket: value("SSH_AUTH_SOCK").into(), process }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.process, signal).unwrap();
    }

    /// A file of the kernel's about the process.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.process.as_raw_nonzero().to_string()).join(name)
    }

    /// Whether the process is there and not only waiting to be reaped.
    pub(crate) fn lives(&self) -> bool {
        lives(self.process)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = kill_process(self.process, Signal::TERM);
        wait_until("the agent ends", || !lives(self.process));
    }
}

/// Whether a process is there and not only waiting to be reaped.
pub(crate) fn lives(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Waits for a state that must come within ten seconds.
pub(crate) fn wait_until(what: &str, state: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !state() {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An agent in the foreground, started by a command that ends with it.
pub(crate) struct Foreground {
    pub(crate) child: Child,
    pub(crate) socket: PathBuf,
}

impl Foreground {
    /// Starts `command` with `-a SOCKET` behind, and waits until the socket is there.
    pub(crate) fn start(mut command: Command, socket: PathBuf) -> Self {
        let child = command.arg("-a").arg(&socket).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the socket is there", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Self { child, socket }
    }

    pub(crate) fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program printed for people.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a program printed for programs.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
