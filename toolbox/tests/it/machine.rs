//! A machine of its own for tests: sshd on port 22 of its own network, its own container engine with its own images.
//!
//! It is made from this machine by namespaces and an overlay over the root file system (`machine.sh`), so that nothing
//! that happens in it (users, packages, containers, ports) touches this machine, and it ends with the test. Needs root,
//! util-linux, iproute2, openssh-server, and Docker's daemon and command line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use toolbox_line::{Line, Shape};

use crate::engine::{Engine, service};
use crate::sshd::KeyPair;

/// How much of a machine's log a failed test shows.
const LOG_LINES: usize = 30;

/// What a machine shall be like.
pub(crate) struct Kind {
    /// Where its engine keeps its data.
    pub(crate) data: &'static str,
    /// Size of the disk there, as mount(8) takes it, with further options.
    pub(crate) disk: &'static str,
    /// How its container engine is.
    pub(crate) engine: State,
    /// Which engine that is.
    pub(crate) make: Make,
    /// Programs that it does not have.
    pub(crate) hidden: &'static [&'static str],
}

/// How an engine is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    /// Installed, and can be started.
    Stopped,
    /// Not installed.
    Absent,
}

/// Which container engine a machine has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// The one of this machine.
    Own,
    /// Docker of this major version, unpacked below `TOOLBOX_TEST_ENGINES`, with this store.
    Docker(&'static str, Store),
    /// Podman, unpacked there, whose API stands where Docker's is expected.
    Podman,
}

/// Where Docker keeps images.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// The graph driver overlay2.
    Classic,
    Containerd,
}

impl Make {
    /// The directory with its files; empty for [`Make::Own`]. `None`, said on stderr, where it is not there.
    fn unpacked(self, test: &str) -> Option<PathBuf> {
        let name = match self {
            Self::Own => return Some(PathBuf::new()),
            Self::Docker(version, _) => version,
            Self::Podman => "podman",
        };
        let Some(engines) = std::env::var_os("TOOLBOX_TEST_ENGINES") else {
            eprintln!("{test}: not run, TOOLBOX_TEST_ENGINES is not set (./run.sh test --engines)");
            return None;
        };
        let directory = Path::new(&engines).join(name);
        if !directory.is_dir() {
            eprintln!("{test}: not run, {} is not there", directory.display());
            return None;
        }
        Some(directory)
    }

    fn daemon(self) -> &'static str {
        if self == Self::Podman { "podman" } else { "dockerd" }
    }

    /// daemon.json(5) of Docker.
    fn settings(self, data: &str) -> String {
        let containerd = matches!(self, Self::Docker(_, Store::Containerd));
        json!({ "data-root": data, "features": { "containerd-snapshotter": containerd } }).to_string()
    }
}

/// Where a machine sees the one that it was joined with.
pub(crate) const NEIGHBOUR: &str = "192.0.2.2";

/// The engine runs and has room.
pub(crate) const READY: Kind =
    Kind { data: "/var/lib/docker", disk: "512m", engine: State::Running, make: Make::Own, hidden: &[] };

/// A running machine.
pub(crate) struct Machine {
    directory: TempDir,
    child: Child,
    log: Arc<Mutex<String>>,
    /// The key that every user of the machine lets in.
    pub(crate) key: KeyPair,
    /// The machine's own host key.
    pub(crate) host_key: KeyPair,
}

impl Machine {
    /// Starts a machine and waits until all in it listens. `None`, said on stderr, where that cannot be done.
    pub(crate) fn start(test: &str, kind: &Kind) -> Option<Self> {
        Engine::for_test(test)?;
        let unpacked = kind.make.unpacked(test)?;
        if !namespaces() {
            eprintln!("{test}: not run, this process may not make namespaces (root is needed)");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let host_key = KeyPair::generate(path, "host", "ed25519");
        let key = KeyPair::generate(path, "key", "ed25519");
        fs::create_dir(path.join("disk")).unwrap();
        fs::write(path.join("machine.sh"), include_str!("machine.sh")).unwrap();
        fs::write(path.join("daemon.json"), kind.make.settings(kind.data)).unwrap();
        fs::write(path.join("authorized_keys"), &key.public).unwrap();
        fs::write(path.join("sshd_config"), sshd_config(path)).unwrap();
        let mut child = spawn(path, kind, &unpacked);
        let log = await_lines(&mut child, kind);
        Some(Self { directory, child, log, key, host_key })
    }

    /// The engine of the machine.
    pub(crate) fn engine(&self) -> Engine {
        Engine::at(&self.directory.path().join("docker.sock"))
    }

    /// Where files can be exchanged with it, under the same path.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What to put before a command so that it sees the machine's network, and nothing else of it.
    pub(crate) fn network(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net={}", self.namespace())]
    }

    /// A path of the machine, as it is seen from outside.
    pub(crate) fn within(&self, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        assert!(root.join("run/toolbox-machine").exists(), "this would be the tester's own machine");
        root.join(path)
    }

    /// Where its network can be entered.
    pub(crate) fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.child.id())
    }

    /// A line of known_hosts that trusts the machine.
    pub(crate) fn known_hosts(&self) -> String {
        let key = self.host_key.public_without_comment();
        format!("127.0.0.1 {key}\n[127.0.0.1]:* {key}\n")
    }

    /// Runs a script as root in the machine, which must go well, and gives what it printed.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace()))
            .args(["ssh", "-F", "none", "-q", "-i"])
            .arg(&self.key.private);
        command.args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "root@127.0.0.1",
            "sh -es",
        ]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts another sshd in the machine, with further settings.
    #[track_caller]
    pub(crate) fn sshd(&self, port: u16, settings: &[&str]) {
        let options: String = settings.iter().map(|setting| format!(" -o {}", toolbox::ssh::quote(setting))).collect();
        let config = self.directory.path().join("sshd_config");
        self.sh(&format!("/usr/sbin/sshd -f {} -o ListenAddress=0.0.0.0:{port}{options} 2>&1", config.display()));
    }

    /// Lays such a line to it. `None`, said on stderr, where there are no TUN devices.
    pub(crate) fn line(&self, test: &str, shape: Shape) -> Option<Line> {
        let line = Line::to(self.child.id(), shape, 1);
        line.inspect_err(|error| eprintln!("{test}: not run, there is no line: {error}")).ok()
    }

    /// Lays a cable to another machine, which lets the users of this one in; it is at [`NEIGHBOUR`] from here.
    pub(crate) fn joins(&self, other: &Self) {
        let ends = [(self, "192.0.2.1/30", "east"), (other, "192.0.2.2/30", "west")];
        let [here, there] = ends.map(|(machine, _, _)| machine.child.id().to_string());
        run(&["ip", "link", "add", "east", "netns", &here, "type", "veth", "peer", "name", "west", "netns", &there]);
        for (machine, address, device) in ends {
            let network = machine.network();
            let within = [network[0].as_str(), network[1].as_str(), "ip"];
            run(&[&within[..], &["address", "add", address, "dev", device]].concat());
            run(&[&within[..], &["link", "set", device, "up"]].concat());
        }
        fs::write(other.directory.path().join("authorized_keys"), &self.key.public).unwrap();
    }

    /// Kills the machine's processes whose command line begins with this; at least one must be there.
    pub(crate) fn kill(&self, command: &str) {
        let network = fs::read_link(self.namespace()).unwrap();
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let ours = processes.filter(|path| fs::read_link(path.join("ns/net")).is_ok_and(|n| n == network));
        let named = |path: &PathBuf| fs::read(path.join("cmdline")).is_ok_and(|c| c.starts_with(command.as_bytes()));
        let ids: Vec<String> = ours.filter(named).map(|p| p.file_name().unwrap().display().to_string()).collect();
        assert!(!ids.is_empty(), "no process {command}");
        let ids = ids.iter().map(String::as_str);
        run(&["kill", "-s", "KILL"].into_iter().chain(ids).collect::<Vec<_>>());
    }

    /// Kills the engine, and waits until it listens again.
    pub(crate) fn restart_engine(&self) {
        let listens = || self.log.lock().unwrap().matches("API listen on").count();
        let before = listens();
        self.kill("dockerd");
        while listens() < before + 2 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Something else that listens on this port of the machine, when it does so.
    pub(crate) fn serve(&self, port: u16) -> Child {
        let before = self.network();
        let mut command = Command::new(&before[0]);
        command.args(&before[1..]).arg(service()).arg("serve");
        let mut child = command.env("PORT", port.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n");
        child
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The first process of the machine goes with this one, and everything else with that.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            let lines: Vec<&str> = log.lines().rev().take(LOG_LINES).collect();
            eprintln!("--- end of the machine's log, latest line first ---");
            eprintln!("{}", lines.join("\n"));
        }
    }
}

fn run(command: &[&str]) {
    let status = Command::new(command[0]).args(&command[1..]).status();
    assert!(status.unwrap().success(), "{command:?}");
}

fn namespaces() -> bool {
    let tried =
        Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// `setpriv` sees to it that nothing is left when this process is killed.
fn spawn(directory: &Path, kind: &Kind, unpacked: &Path) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount"])
        .args(["--pid", "--fork", "--kill-child", "sh"])
        .arg(directory.join("machine.sh"))
        .arg(directory)
        .args([kind.data, kind.disk])
        .arg(match kind.engine {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Absent => "absent",
        })
        .args(kind.hidden)
        .env("UNPACKED", unpacked)
        .env("DAEMON", kind.make.daemon())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("util-linux is installed")
}

/// Reads what sshd and dockerd say until both listen, and goes on collecting it.
fn await_lines(child: &mut Child, kind: &Kind) -> Arc<Mutex<String>> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let ready = |said: &str| {
        said.contains("Server listening")
            && (kind.engine != State::Running || said.matches("API listen on").count() == 2)
    };
    while !ready(&said) {
        let read = stderr.read_line(&mut said).unwrap();
        assert!(read > 0, "the machine did not start: {said}");
    }
    let log = Arc::new(Mutex::new(said));
    collect(stderr, Arc::clone(&log));
    log
}

fn collect(mut stderr: BufReader<ChildStderr>, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut chunk) {
            let text = String::from_utf8_lossy(&chunk[..count]);
            log.lock().unwrap().push_str(&text);
        }
    });
}

fn sshd_config(directory: &Path) -> String {
    let file = |name: &str| PathBuf::from(directory).join(name).display().to_string();
    let (host_key, authorized) = (file("host"), file("authorized_keys"));
    format!(
        "ListenAddress 0.0.0.0:22\nHostKey {host_key}\nAuthorizedKeysFile {authorized}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n"
    )
}
