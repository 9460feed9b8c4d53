//! A host to deploy to: a machine of its own made of this one by namespaces, with sshd and a container engine.
//!
//! It is the machine of the tests (`toolbox/tests/it/machine.sh`). Its network holds nothing but its own loopback, over
//! which the programs reach its sshd: what the kernel counts there is what they sent and received.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::agent::Problem;

/// A running host; everything in it ends when this is dropped.
pub(crate) struct Host {
    directory: TempDir,
    child: Child,
}

impl Host {
    /// Starts it and waits until sshd and the engine listen. Needs root.
    pub(crate) fn start() -> Result<Self, Problem> {
        Self::with_disk("2g")
    }

    /// The same with so much room for the engine, which is memory of this machine.
    pub(crate) fn with_disk(size: &str) -> Result<Self, Problem> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        fs::create_dir(path.join("disk"))?;
        fs::write(path.join("machine.sh"), include_str!("../../toolbox/tests/it/machine.sh"))?;
        fs::write(path.join("daemon.json"), "{}")?;
        for name in ["host", "key"] {
            let file = path.join(name).display().to_string();
            output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file]))?;
        }
        fs::write(path.join("known_hosts"), format!("127.0.0.1 {}", fs::read_to_string(path.join("host.pub"))?))?;
        fs::write(path.join("sshd_config"), format!("ListenAddress 0.0.0.0:22\n{}", sshd_config(path)))?;
        let mut child = spawn(path, size)?;
        await_log(&mut child, &["Server listening", "API listen on", "API listen on"])?;
        Ok(Self { directory, child })
    }

    /// The process whose network is the host's.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A directory that both see; it holds `key` and `known_hosts`.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A shell's script, run where the host can be reached.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.child.id()));
        command.args(["sh", "-euc", script]).current_dir(self.directory());
        command
    }

    /// What the host's own engine answers to the `docker` command.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Result<String, Problem> {
        let socket = format!("unix://{}", self.directory().join("docker.sock").display());
        output(Command::new("docker").args(arguments).env("DOCKER_HOST", socket))
    }

    /// Bytes that crossed its network since it was started, both ways, headers of TCP and IP with them.
    pub(crate) fn traffic(&self) -> Result<u64, Problem> {
        let table = fs::read_to_string(format!("/proc/{}/net/dev", self.child.id()))?;
        let line = table.lines().find_map(|line| line.trim().strip_prefix("lo:"));
        let received = line.and_then(|line| line.split_whitespace().next());
        Ok(received.ok_or("the kernel counts no bytes on the loopback")?.parse()?)
    }

    /// Leaves nothing of a deploy behind.
    pub(crate) fn clear(&self) -> Result<(), Problem> {
        let containers = self.docker(&["ps", "--all", "--quiet"])?;
        if !containers.is_empty() {
            self.docker(&[&["rm", "--force", "--volumes"], &containers.lines().collect::<Vec<_>>()[..]].concat())?;
        }
        self.docker(&["system", "prune", "--all", "--volumes", "--force"])?;
        let volumes = self.docker(&["volume", "ls", "--quiet"])?;
        volumes.lines().try_for_each(|volume| self.docker(&["volume", "rm", volume]).map(drop))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Neither can fail for a child of ours that was not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command prints; it must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String, Problem> {
    let run = command.stdin(Stdio::null()).output();
    let run = run.map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    let both = [&run.stdout[..], &run.stderr[..]].concat();
    if !run.status.success() {
        return Err(format!("{command:?} ended with {}:\n{}", run.status, String::from_utf8_lossy(&both)).into());
    }
    Ok(String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

/// `setpriv` sees to it that nothing is left when this process is killed.
fn spawn(directory: &Path, disk: &str) -> Result<Child, Problem> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh"]);
    command.arg(directory.join("machine.sh")).arg(directory).args(["/var/lib/docker", disk, "running"]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|error| format!("cannot start setpriv: {error}").into())
}

/// Reads what servers say until each of these lines was there, as often as it is named; the rest is thrown away, so that
/// nobody waits for a reader.
pub(crate) fn await_log(child: &mut Child, lines: &[&str]) -> Result<(), Problem> {
    let mut log = BufReader::new(child.stderr.take().ok_or("no standard error")?);
    let mut said = String::new();
    let times = |line: &&str| lines.iter().filter(|other| *other == line).count();
    while !lines.iter().all(|line| said.matches(line).count() >= times(line)) {
        if log.read_line(&mut said)? == 0 {
            return Err(format!("the host did not start:\n{said}").into());
        }
    }
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(1..) = log.read(&mut chunk) {}
    });
    Ok(())
}

/// All but where it listens.
pub(crate) fn sshd_config(directory: &Path) -> String {
    let file = |name: &str| PathBuf::from(directory).join(name).display().to_string();
    format!(
        "HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         MaxStartups 1000\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
        file("host"),
        file("key.pub")
    )
}
