//! OpenSSH's own regression tests, run against this binary under the name `ssh-agent`.
//!
//! They come with Debian's package openssh-tests and are of the version of the other OpenSSH programs, which are the
//! system's. Where they are not installed, or skip themselves, a line on standard error says so.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

const SUITE: &str = "/usr/lib/openssh/regress";

/// Runs one script of the suite in a copy of it.
fn passes(name: &str) {
    if !Path::new(SUITE).join("test-exec.sh").exists() {
        eprintln!("skipped: {SUITE} is not there (Debian's package openssh-tests)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("regress");
    assert!(Command::new("cp").arg("-a").arg(SUITE).arg(&copy).status().unwrap().success());
    let programs = directory.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let agent = agent(&programs);
    without_dsa(&programs);
    let _ = fs::create_dir_all("/run/sshd");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("timeout")
        .args(["-k5", "600", "sh", "test-exec.sh"])
        .arg(&copy)
        .arg(copy.join(format!("{name}.sh")))
        .current_dir(&copy)
        .env("PATH", format!("{}:{path}:/usr/sbin", programs.display()))
        .env("BUILDDIR", &copy)
        .env("TEST_SHELL", "sh")
        .env("TEST_SSH_SSH", "ssh")
        .env("TEST_SSH_SSHD", "/usr/sbin/sshd")
        .env("TEST_SSH_SFTPSERVER", "/usr/lib/openssh/sftp-server")
        .env("TEST_SSH_SSHAGENT", agent)
        .env("TEST_SSH_UNSAFE_PERMISSIONS", "1")
        .env("SUDO", sudo())
        .env_remove("SSH_AGENT_PID")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let log = fs::read_to_string(copy.join("failed-regress.log")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{}\n{log}", String::from_utf8_lossy(&output.stderr));
    match said.lines().find(|line| line.to_lowercase().contains("skipped")) {
        Some(line) => eprintln!("{name}: {line}"),
        None => assert!(said.lines().any(|line| line.starts_with("ok ")), "{said}"),
    }
}

/// This binary under the name that it is to answer to. A script stands before it: the suite takes the agent's file as
/// its test data, and changes its owner and mode.
fn agent(programs: &Path) -> std::path::PathBuf {
    let real = programs.join("real");
    fs::create_dir(&real).unwrap();
    symlink(env!("CARGO_BIN_EXE_toolbox"), real.join("ssh-agent")).unwrap();
    let script = programs.join("ssh-agent");
    // Padding, since the suite wants some kilobytes of data.
    let padding = "# a line of test data\n".repeat(20_000);
    program(&script, &format!("exec {}/ssh-agent \"$@\"\n{padding}", real.display()));
    script
}

/// An `ssh` that does not name DSA among its algorithms, as OpenSSH 10's does not: no key of that kind is taken.
fn without_dsa(programs: &Path) {
    let text = "case \" $* \" in\n*' -Q '*) /usr/bin/ssh \"$@\" | grep -v '^ssh-dss' ;;\n\
                *) exec /usr/bin/ssh \"$@\" ;;\nesac\n";
    program(&programs.join("ssh"), text);
}

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Some of the scripts become other users; those that cannot skip that.
fn sudo() -> &'static str {
    let root = rustix::process::geteuid().is_root();
    let works = |mut command: Command| command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]);
    if !root && works(sudo) { "sudo" } else { "" }
}

#[test]
fn agent_sh() {
    passes("agent");
}

#[test]
fn agent_timeout_sh() {
    passes("agent-timeout");
}

#[test]
fn agent_subprocess_sh() {
    passes("agent-subprocess");
}

#[test]
fn agent_getpeereid_sh() {
    passes("agent-getpeereid");
}

#[test]
fn agent_ptrace_sh() {
    passes("agent-ptrace");
}

#[test]
fn agent_restrict_sh() {
    passes("agent-restrict");
}

#[test]
fn agent_pkcs11_sh() {
    passes("agent-pkcs11");
}

#[test]
fn hostkey_agent_sh() {
    passes("hostkey-agent");
}

#[test]
fn sshsig_sh() {
    passes("sshsig");
}

#[test]
fn cert_file_sh() {
    passes("cert-file");
}
