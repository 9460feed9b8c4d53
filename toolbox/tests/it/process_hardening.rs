//! What others of the same uid can do to the program while it runs: nothing.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::memory::root;
use crate::sshd::run;

const UID: &str = "65532";
/// What is given in `TOOLBOX_SSH_KEY`.
const SECRET: &str = "a secret in the environment";

/// Runs as the container's user does.
fn unprivileged(limits: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.args(limits).args(["setpriv", "--reuid", UID, "--regid", UID, "--clear-groups"]);
    command
}

/// A project that the user can read, with a copy of the program.
fn project() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("compose.yaml"), "services:\n  web:\n    image: web\n").unwrap();
    let inventory = "all:\n  hosts:\n    vm:\n      ansible_host: 127.0.0.1\n      ansible_port: 1\n";
    fs::write(path("inventory.yaml"), inventory).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_toolbox"), path("toolbox")).unwrap();
    run("chmod", &["755", directory.path().to_str().unwrap()]);
    directory
}

/// The program, waiting for a key on its standard input.
fn waiting(directory: &Path, limits: &[&str]) -> Child {
    let mut command = unprivileged(limits);
    command.arg(directory.join("toolbox")).args(["status", "--key", "-"]).current_dir(directory);
    command.env("TOOLBOX_SSH_KEY", SECRET);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The runtime's threads: by then it is past the start of its `main`.
    await_status(child.id(), |status| status.contains("Name:\ttoolbox") && !status.contains("Threads:\t1\n"));
    child
}

/// Waits until `/proc/PID/status` is as wanted.
#[track_caller]
fn await_status(pid: u32, wanted: impl Fn(&str) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    let status = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    while !wanted(&status()) {
        assert!(Instant::now() < end, "{}", status());
        std::thread::yield_now();
    }
}

/// A program of the same uid that does nothing.
fn sleeping(limits: &[&str]) -> Child {
    let child = unprivileged(limits).args(["sleep", "1000"]).current_dir("/tmp").spawn().unwrap();
    await_status(child.id(), |status| status.contains("Name:\tsleep"));
    child
}

/// Ends its standard input and sees that it was waiting for it.
fn end(child: Child) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("standard input is empty"), "{said}");
}

fn look(pid: u32, file: &str) -> Output {
    unprivileged(&[]).args(["head", "-c", "1"]).arg(format!("/proc/{pid}/{file}")).output().unwrap()
}

#[test]
fn memory_environment_and_files_are_closed_to_the_same_uid() {
    if !root("closed") {
        return;
    }
    let directory = project();
    let mut open = sleeping(&[]);
    let closed = waiting(directory.path(), &[]);
    for file in ["environ", "mem", "maps", "auxv"] {
        let output = look(closed.id(), file);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Permission denied"), "{file}: {said}");
    }
    let environment = fs::read(format!("/proc/{}/environ", closed.id())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("TOOLBOX_SSH_KEY=") && !environment.contains(SECRET), "what root sees: {environment}");
    assert!(look(open.id(), "environ").status.success(), "a process that has not closed itself is open");
    open.kill().unwrap();
    open.wait().unwrap();
    end(closed);
}

#[test]
fn a_crash_leaves_no_core() {
    if !root("core") {
        return;
    }
    let directory = project();
    let unlimited = ["--core=unlimited:unlimited"];
    let mut control = sleeping(&unlimited);
    // Not SEGV: the first that is sent is taken by the standard library, which looks for stacks that overflow.
    for signal in ["ABRT", "QUIT"] {
        let child = waiting(directory.path(), &unlimited);
        run("kill", &["-s", signal, &child.id().to_string()]);
        let output = child.wait_with_output().unwrap();
        let status = output.status;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(status.signal().is_some() && !status.core_dumped(), "{status:?}: {said}");
    }
    run("kill", &["-s", "ABRT", &control.id().to_string()]);
    let core = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if !control.wait().unwrap().core_dumped() {
        eprintln!("core: shows little, no program leaves one here (core_pattern is {core})");
    }
}

#[test]
fn where_memory_cannot_be_locked_the_keys_are_used_and_the_limit_is_told() {
    if !root("limit") {
        return;
    }
    let directory = project();
    let key = crate::sshd::KeyPair::generate(directory.path(), "key", "ed25519");
    let input = fs::File::open(&key.private).unwrap();
    let with = |limit: &str| {
        let mut command = unprivileged(&[limit]);
        command.args(["setsid", "--wait"]).arg(directory.path().join("toolbox")).args(["down", "--key", "-"]);
        command.env("HOME", directory.path()).current_dir(directory.path()).stdin(input.try_clone().unwrap());
        let output = command.output().unwrap();
        std::io::Seek::rewind(&mut &input).unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (none, enough) = (with("--memlock=0:0"), with("--memlock=65536:65536"));
    assert!(none.contains("warning: keys are in memory that may be written to swap"), "{none}");
    assert!(none.contains("0 bytes") && none.contains("memlock"), "{none}");
    assert!(!enough.contains("warning"), "{enough}");
    for said in [none, enough] {
        assert!(said.contains("vm: "), "it went on to the host: {said}");
    }
}
