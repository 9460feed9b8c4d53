//! A project directory for tests, and the real program run in it.

use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use toolbox_line::Line;

use crate::machine::Machine;
use crate::sshd::Sshd;

/// A directory with a compose file and what else belongs to it.
pub(crate) struct Project {
    directory: TempDir,
    /// The name, unlike that of every other test that runs at this time.
    pub(crate) name: String,
    before: Vec<String>,
    key: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

impl Project {
    /// A project without hosts and keys.
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("tbit-{test}-{}", std::process::id());
        Self { directory: tempfile::tempdir().unwrap(), name, before: Vec::new(), key: None, environment: Vec::new() }
    }

    /// A project whose host `vm` is this machine; the program sees its network.
    pub(crate) fn on(test: &str, machine: &Machine) -> Self {
        let mut project = Self::new(test);
        project.before = machine.network();
        project.key = Some(machine.key.private.clone());
        project.write("known_hosts", &machine.known_hosts());
        project.host("root", 22, "");
        project
    }

    /// The same project, whose machine is reached over this line.
    pub(crate) fn over(mut self, line: &Line, machine: &Machine) -> Self {
        self.before = line.network().to_vec();
        for (name, text) in [("known_hosts", machine.known_hosts()), ("inventory.yaml", self.read("inventory.yaml"))] {
            self.write(name, &text.replace("127.0.0.1", &line.address));
        }
        self
    }

    /// A project whose host `vm` is reached through this sshd, as the user who runs the tests.
    pub(crate) fn through(test: &str, sshd: &Sshd, key: &Path) -> Self {
        let mut project = Self::new(test);
        project.key = Some(key.to_owned());
        let target = sshd.target();
        let known = fs::read_to_string(&target.known_hosts[0]).unwrap();
        project.write("known_hosts", &known);
        project.host(&target.user, target.port, "");
        project
    }

    /// Writes the inventory: one host `vm` on 127.0.0.1; `more` are further lines of its variables.
    pub(crate) fn host(&self, user: &str, port: u16, more: &str) {
        self.write(
            "inventory.yaml",
            &format!(
                "all:\n  hosts:\n    vm:\n      ansible_host: 127.0.0.1\n      ansible_port: {port}\n      \
                 ansible_user: {user}\n{more}"
            ),
        );
    }

    /// The same project with another key, or none.
    pub(crate) fn with_key(mut self, key: Option<&Path>) -> Self {
        self.key = key.map(Path::to_owned);
        self
    }

    /// The same project with a variable in the program's environment.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same project with something put before the program.
    pub(crate) fn run_by(mut self, before: &[&str]) -> Self {
        self.before.extend(before.iter().map(|&b| b.to_owned()));
        self
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes compose.yaml.
    pub(crate) fn compose(&self, text: &str) {
        self.write("compose.yaml", text);
    }

    /// Name of the container of a service.
    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// The program with these arguments, with something put before it; not started yet.
    pub(crate) fn command(&self, arguments: &[&str], before: &[&str]) -> Command {
        let words = self.before.iter().map(String::as_str);
        let mut words = words.chain(before.iter().copied()).chain([env!("CARGO_BIN_EXE_toolbox")]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        // Before the verb: what stands after it may be another program's.
        if let Some(key) = &self.key {
            command.arg("--key").arg(key);
        }
        command
            .args(["--project-name", &self.name])
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.directory.path())
            .envs(std::env::var_os("TOOLBOX_RELAY").map(|path| ("TOOLBOX_RELAY", path)))
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end, which comes within three minutes, also where images of some size are sent.
    pub(crate) fn toolbox(&self, arguments: &[&str]) -> Run {
        self.toolbox_reading(arguments, b"")
    }

    /// The same with something on its standard input.
    pub(crate) fn toolbox_reading(&self, arguments: &[&str], input: &[u8]) -> Run {
        // Without a terminal nobody can be asked, as in CI.
        let mut command = self.command(arguments, &["setsid", "--wait", "timeout", "-k5", "180"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // A program that has failed before it read everything closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input);
        Run::of(child.wait_with_output().unwrap())
    }

    /// Starts the program.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let child = self.command(arguments, &[]).spawn().unwrap();
        Running { child: Some(child), said: Vec::new() }
    }
}

/// The program, running.
pub(crate) struct Running {
    child: Option<Child>,
    /// What was read of its standard error.
    said: Vec<u8>,
}

impl Running {
    /// Reads on until this stands in a line on its standard error, and returns that line.
    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) -> String {
        let stderr = self.child.as_mut().unwrap().stderr.as_mut().unwrap();
        loop {
            let start = self.said.len();
            // Byte by byte: what comes after the line is for others.
            while self.said[start..].last() != Some(&b'\n') {
                let mut byte = [0];
                let read = stderr.read(&mut byte).unwrap();
                assert!(read > 0, "it ended without {text:?}: {}", String::from_utf8_lossy(&self.said));
                self.said.push(byte[0]);
            }
            let line = String::from_utf8_lossy(&self.said[start..]);
            if line.contains(text) {
                return line.into_owned();
            }
        }
    }

    /// Sends it a signal and gives what became of it.
    pub(crate) fn end_with(self, signal: &str) -> Run {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        self.ends()
    }

    /// Waits for its end and gives what became of it.
    pub(crate) fn ends(mut self) -> Run {
        let mut output = self.child.take().unwrap().wait_with_output().unwrap();
        self.said.append(&mut output.stderr);
        output.stderr = std::mem::take(&mut self.said);
        Run::of(output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How the program ended, and all that it wrote.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Of a command that has ended.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks the exit status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}", self.both());
        self
    }

    /// Checks that it was killed.
    #[track_caller]
    pub(crate) fn was_killed(self) -> Self {
        assert_eq!(self.status, None, "{}", self.both());
        self
    }

    /// Checks that these words, in this order, stand in one of the errors.
    #[track_caller]
    pub(crate) fn error(self, words: &[&str]) -> Self {
        self.find("error: ", words);
        self
    }

    /// Checks that these words, in this order, stand in one of the hints.
    #[track_caller]
    pub(crate) fn hint(self, words: &[&str]) -> Self {
        self.find("hint: ", words);
        self
    }

    /// Checks that this is on standard error.
    #[track_caller]
    pub(crate) fn tells(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} in {}", self.both());
        self
    }

    /// Checks that this is on standard output.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "{text:?} in {}", self.both());
        self
    }

    /// How many errors it shows.
    pub(crate) fn errors(&self) -> usize {
        self.paragraphs("error: ").len()
    }

    #[track_caller]
    fn find(&self, mark: &str, words: &[&str]) {
        let found = self.paragraphs(mark).iter().any(|text| {
            let rest = words.iter().try_fold(text.as_str(), |rest, word| rest.split_once(word).map(|(_, after)| after));
            rest.is_some()
        });
        assert!(found, "no {mark}{words:?} in {}", self.both());
    }

    /// What stands after this mark at the beginning of a line, to the next mark.
    fn paragraphs(&self, mark: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut open = false;
        for line in self.stderr.lines() {
            let starts = ["error: ", "hint: "].iter().any(|m| line.starts_with(m));
            if starts {
                open = line.starts_with(mark);
                if open {
                    found.push(String::new());
                }
            }
            if let (true, Some(last)) = (open, found.last_mut()) {
                last.push_str(line);
                last.push('\n');
            }
        }
        found
    }

    pub(crate) fn both(&self) -> String {
        format!("(status {:?})\n--- stdout\n{}--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}
