//! The proof that private keys and passphrases are where they should be in memory, and gone when they should be.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::memory::{Found, Secrets, Traced, WAIT, at_exit, root, stopped};
use crate::project::Project;
use crate::sshd::{KeyPair, Sshd, run};

const PASSPHRASE: &str = "the horse that ate the battery of staples";
const TYPES: [&str; 3] = ["ed25519", "rsa", "ecdsa"];

/// A key encrypted with the passphrase, in the format that `ssh-keygen -m` names.
fn encrypted(directory: &Path, kind: &str, format: &str) -> KeyPair {
    let key = KeyPair::generate(directory, &format!("{kind}-{format}"), kind);
    let path = key.private.to_str().unwrap();
    run("ssh-keygen", &["-q", "-p", "-P", "", "-N", PASSPHRASE, "-m", format, "-a", "2", "-f", path]);
    key
}

/// A file for `TOOLBOX_SSH_PASSPHRASE_FILE`.
fn passphrase_file(directory: &Path, passphrase: &str) -> String {
    let file = directory.join("passphrase");
    fs::write(&file, format!("{passphrase}\n")).unwrap();
    run("chmod", &["600", file.to_str().unwrap()]);
    file.to_str().unwrap().to_owned()
}

/// The agent as a process of its own.
struct Agent {
    directory: TempDir,
    child: Child,
}

impl Agent {
    fn start(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolbox"));
        command.args(["agent", "-D", "-a"]).arg(directory.path().join("socket"));
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        let agent = Self { child: command.spawn().unwrap(), directory };
        // Its file is there before it listens.
        wait_for("an agent that answers", || UnixStream::connect(agent.socket()).is_ok());
        agent
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Runs a tool of OpenSSH's against it, which must succeed.
    fn tool(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).env("SSH_AUTH_SOCK", self.socket()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Adds a key and signs with it.
    fn use_key(&self, key: &KeyPair, arguments: &[&str]) {
        let private = key.private.to_str().unwrap();
        self.tool("ssh-add", &[&["-q"], arguments, &[private]].concat());
        self.tool("ssh-add", &["-T", &format!("{private}.pub")]);
    }

    fn search(&self, secrets: &Secrets) -> Vec<Found> {
        stopped(self.child.id(), |pid| secrets.search(pid))
    }

    /// Waits until what is found is locked, and something is.
    #[track_caller]
    fn finds_in_locked_memory_only(&self, secrets: &Secrets) -> Vec<Found> {
        let mut found = Vec::new();
        let reached = reaches(|| {
            found = self.search(secrets);
            !found.is_empty() && found.iter().all(|found| found.locked)
        });
        assert!(reached, "{found:#?}");
        found
    }

    /// Waits until nothing is found: an answer is sent before its last buffer is freed.
    #[track_caller]
    fn finds_nothing(&self, secrets: &Secrets, when: &str) {
        let mut found = Vec::new();
        let gone = reaches(|| {
            found = self.search(secrets);
            found.is_empty()
        });
        assert!(gone, "{when}: {found:#?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn wait_for(what: &str, reached: impl FnMut() -> bool) {
    assert!(reaches(reached), "not reached: {what}");
}

/// Whether a state is reached in time.
fn reaches(mut reached: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while !reached() {
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn held_key_is_in_locked_memory_and_nowhere_else() {
    if !root("held_key") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for kind in TYPES {
        let key = KeyPair::generate(directory.path(), kind, kind);
        let agent = Agent::start(&[]);
        let secrets = Secrets::of_key(&key.private, "");
        agent.finds_nothing(&secrets, "nothing before it is added");
        agent.use_key(&key, &[]);
        let found = agent.finds_in_locked_memory_only(&secrets);
        let what: Vec<&str> = found.iter().map(|found| found.what.as_str()).collect();
        let number = ["seed", "d", "scalar"].iter().any(|name| what.contains(&format!("{name} from byte 0").as_str()));
        assert!(number, "{kind}: the search finds what is there: {what:?}");
        let mut unique = what.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), what.len(), "{kind}: once each");
    }
}

#[test]
fn removed_keys_are_gone_from_memory() {
    if !root("removed_keys") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::start(&[]);
    for kind in TYPES {
        let key = KeyPair::generate(directory.path(), kind, kind);
        let secrets = Secrets::of_key(&key.private, "");
        agent.use_key(&key, &[]);
        agent.tool("ssh-add", &["-q", "-d", key.private.to_str().unwrap()]);
        agent.finds_nothing(&secrets, "removed");
        agent.use_key(&key, &[]);
        agent.tool("ssh-add", &["-q", "-D"]);
        agent.finds_nothing(&secrets, "all removed");
        agent.use_key(&key, &["-t", "1"]);
        agent.finds_nothing(&secrets, "expired");
        // What has been used with SHA-1, which another library does.
        agent.use_key(&key, &[]);
        sign_with_sha1(&agent, &key);
        agent.tool("ssh-add", &["-q", "-D"]);
        agent.finds_nothing(&secrets, "removed after a signature of another library");
    }
}

/// Asks for a signature without flags, as old clients do.
fn sign_with_sha1(agent: &Agent, key: &KeyPair) {
    let public = ssh_key::PublicKey::from_openssh(&key.public).unwrap().to_bytes().unwrap();
    let mut body = vec![13];
    for field in [&public[..], b"data"] {
        body.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        body.extend(field);
    }
    body.extend([0; 4]);
    let mut stream = std::os::unix::net::UnixStream::connect(agent.socket()).unwrap();
    stream.write_all(&u32::try_from(body.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[4], 14, "a signature");
}

#[test]
fn locking_keeps_keys_in_locked_memory_and_its_passphrase_nowhere() {
    if !root("locking") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "ed25519");
    let agent = Agent::start(&[]);
    agent.use_key(&key, &[]);
    let (mut secrets, mut passphrase) = (Secrets::of_key(&key.private, ""), Secrets::default());
    passphrase.add("passphrase", PASSPHRASE.as_bytes());
    secrets.add("passphrase", PASSPHRASE.as_bytes());
    for option in ["-x", "-X"] {
        lock(&agent, option, directory.path());
        agent.finds_nothing(&passphrase, option);
        // A locked key is kept: it comes back with the passphrase.
        agent.finds_in_locked_memory_only(&secrets);
    }
}

fn lock(agent: &Agent, option: &str, directory: &Path) {
    let script = directory.join("askpass");
    fs::write(&script, format!("#!/bin/sh\necho '{PASSPHRASE}'\n")).unwrap();
    run("chmod", &["700", script.to_str().unwrap()]);
    let mut command = Command::new("ssh-add");
    command.arg(option).env("SSH_AUTH_SOCK", agent.socket()).env("SSH_ASKPASS", script);
    let status = command.env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":none").status().unwrap();
    assert!(status.success());
}

#[test]
fn key_given_in_the_environment_is_in_locked_memory_only() {
    if !root("environment") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "rsa");
    let secrets = Secrets::of_key(&key.private, "");
    let agent = Agent::start(&[("TOOLBOX_SSH_KEY", &fs::read_to_string(&key.private).unwrap())]);
    agent.finds_in_locked_memory_only(&secrets);
    agent.tool("ssh-add", &["-q", "-D"]);
    agent.finds_nothing(&secrets, "removed");
}

/// A verb that asks for the passphrase on a terminal of its own.
#[test]
fn passphrase_that_was_typed_leaves_no_trace() {
    if !root("typed") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let key = encrypted(directory.path(), "ed25519", "RFC4716");
    let sshd = Sshd::start(&key, &[]);
    let project = reachable("trace-of-typing", &sshd, &key);
    let secrets = Secrets::of_key(&key.private, PASSPHRASE);
    let mut terminal = in_a_terminal(&project, &["down"]).spawn().expect("util-linux");
    let (mut typed, shown) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    // What is typed before the prompt would be echoed, and thrown away.
    let mut shown = BufReader::new(shown).bytes().map(Result::unwrap);
    let mut prompt = Vec::new();
    while !prompt.ends_with(b"Enter passphrase for ") {
        prompt.push(shown.next().expect("a prompt"));
    }
    let pid = fs::read_to_string(project.path("pid")).unwrap();
    let traced = Traced::seize(pid.trim().parse().unwrap());
    typed.write_all(format!("{PASSPHRASE}\n").as_bytes()).unwrap();
    let found = traced.at_exit(|pid| secrets.search(pid));
    drop(typed);
    let rest = String::from_utf8(shown.collect()).unwrap();
    terminal.wait().unwrap();
    assert!(found.is_empty(), "{found:#?}\n{rest}");
    assert!(sshd.log().contains("Accepted publickey"), "{rest}");
}

/// The program in a terminal of its own, with a shell before it that writes its process id down.
fn in_a_terminal(project: &Project, arguments: &[&str]) -> Command {
    let program = project.command(arguments, &[]);
    let words = [program.get_program()].into_iter().chain(program.get_args()).map(|word| word.to_str().unwrap());
    let words: Vec<&str> = words.collect();
    let shell = format!("echo $$ > pid; exec {}", words.join(" "));
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &shell, "/dev/null"]).current_dir(project.path("."));
    terminal.env("HOME", project.path(".")).env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped());
    terminal
}

/// Runs a verb to its exit, and finds nothing there of what is secret; what it wrote, and the exit status.
#[track_caller]
fn exits_clean(project: &Project, secrets: &Secrets, arguments: &[&str], input: &[u8]) -> (i32, String) {
    // That the search finds anything at all: the project's name is among the arguments.
    let mut control = Secrets::default();
    control.add("control", project.name.as_bytes());
    let look = |pid| (secrets.search(pid), control.search(pid));
    let ((found, seen), output) = at_exit(&mut project.command(arguments, &WAIT), input, look);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(found.is_empty(), "{arguments:?}: {found:#?}\n{said}");
    assert!(!seen.is_empty(), "{arguments:?}: the search finds nothing\n{said}");
    (output.status.code().unwrap(), said)
}

/// A project whose host lets the key in.
fn reachable(name: &str, sshd: &Sshd, key: &KeyPair) -> Project {
    let project = Project::through(name, sshd, &key.private);
    project.compose("services:\n  web:\n    image: nothing-of-this-name\n");
    project
}

#[test]
fn verbs_end_without_a_trace_of_the_key_they_logged_in_with() {
    if !root("verbs") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (kind, verb) in TYPES.iter().zip(["status", "down", "status"]) {
        let key = KeyPair::generate(directory.path(), kind, kind);
        let sshd = Sshd::start(&key, &[]);
        let project = reachable("trace-of-a-file", &sshd, &key);
        let secrets = Secrets::of_key(&key.private, "");
        exits_clean(&project, &secrets, &[verb], b"");
        let text = fs::read_to_string(&key.private).unwrap();
        let project = project.with_key(None).with_variable("TOOLBOX_SSH_KEY", &text);
        exits_clean(&project, &secrets, &[verb], b"");
        assert_eq!(sshd.log().matches("Accepted publickey").count(), 2, "{}", sshd.log());
    }
}

#[test]
fn verbs_end_without_a_trace_of_encrypted_keys_and_their_passphrases() {
    if !root("encrypted") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = passphrase_file(directory.path(), PASSPHRASE);
    for (kind, format) in [("ed25519", "RFC4716"), ("rsa", "RFC4716"), ("rsa", "PEM"), ("ecdsa", "PKCS8")] {
        let key = encrypted(directory.path(), kind, format);
        let sshd = Sshd::start(&key, &[]);
        let secrets = Secrets::of_key(&key.private, PASSPHRASE);
        let project = reachable("trace-encrypted", &sshd, &key).with_variable("TOOLBOX_SSH_PASSPHRASE_FILE", &file);
        exits_clean(&project, &secrets, &["status"], b"");
        let project = reachable("trace-on-stdin", &sshd, &key).with_key(None);
        let input = [&fs::read(&key.private).unwrap()[..], PASSPHRASE.as_bytes(), b"\n"].concat();
        exits_clean(&project, &secrets, &["down", "--key", "-"], &input);
        assert_eq!(sshd.log().matches("Accepted publickey").count(), 2, "{kind} {format}: {}", sshd.log());
    }
}

#[test]
fn whatever_goes_wrong_no_trace_of_the_key_is_left() {
    if !root("errors") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = passphrase_file(directory.path(), "a passphrase of some other key");
    let (plain, locked) =
        (KeyPair::generate(directory.path(), "plain", "rsa"), encrypted(directory.path(), "ecdsa", "RFC4716"));
    let mut secrets = Secrets::of_key(&locked.private, PASSPHRASE);
    secrets.add("wrong passphrase", b"a passphrase of some other key");
    let project = |key: &KeyPair| {
        let project = Project::new("trace-of-an-error").with_key(Some(&key.private));
        project.compose("services:\n  web:\n    image: web\n");
        project.write("known_hosts", "");
        project.host("root", 1, "");
        project
    };
    let wrong = project(&locked).with_variable("TOOLBOX_SSH_PASSPHRASE_FILE", &file);
    let (status, said) = exits_clean(&wrong, &secrets, &["status"], b"");
    assert_eq!((status, said.contains("does not open")), (2, true), "{said}");

    let secrets = Secrets::of_key(&plain.private, "");
    // Read and sealed before the second, which nobody has a passphrase for.
    let second = ["status", "--key", locked.private.to_str().unwrap()];
    let (status, said) = exits_clean(&project(&plain), &secrets, &second, b"");
    assert_eq!((status, said.contains("encrypted")), (2, true), "{said}");
    let (status, said) = exits_clean(&project(&plain), &secrets, &["status"], b"");
    assert_eq!((status, said.contains("refused")), (1, true), "a host that refuses: {said}");

    let text = fs::read_to_string(&plain.private).unwrap();
    let in_the_environment = || project(&plain).with_key(None).with_variable("TOOLBOX_SSH_KEY", &text);
    for arguments in [&["--nonsense"][..], &["--help"]] {
        exits_clean(&in_the_environment(), &secrets, arguments, b"");
    }
    // Cut in the middle: read, and refused.
    let cut = in_the_environment().with_variable("TOOLBOX_SSH_KEY", &text[..text.len() / 2]);
    let (status, said) = exits_clean(&cut, &secrets, &["status"], b"");
    assert_eq!((status, said.contains("cut off")), (2, true), "{said}");
}

/// What the kernel shows of a program's environment, of one that runs as long as its standard input is open.
#[test]
fn key_is_not_in_the_environment_that_the_kernel_shows() {
    if !root("environ") {
        return;
    }
    let project = Project::new("environ").with_variable("TOOLBOX_SSH_KEY", "a-secret-in-the-environment");
    let project = project.with_variable("OTHER", "something-else");
    project.compose("services:\n  web:\n    image: web\n");
    project.host("root", 1, "");
    let mut child = project.command(&["status", "--key", "-"], &[]).stdin(Stdio::piped()).spawn().unwrap();
    let environ = format!("/proc/{}/environ", child.id());
    let shown = || String::from_utf8_lossy(&fs::read(&environ).unwrap()).into_owned();
    wait_for("the variable is empty", || {
        let shown = shown();
        shown.contains("OTHER=something-else") && !shown.contains("a-secret")
    });
    drop(child.stdin.take());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("no key: standard input is empty")));
    child.wait().unwrap();
}
