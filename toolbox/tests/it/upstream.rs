//! The person's own agent (`SSH_AUTH_SOCK`) behind the toolbox's: OpenSSH's ssh-agent, and what is no agent.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::project::{Project, Run};
use crate::sshd::{KeyPair, SshAgent, Sshd, run};

/// A host that lets a key in, and a project that gives no key.
struct Setting {
    project: Project,
    sshd: Sshd,
    key: KeyPair,
    directory: tempfile::TempDir,
}

impl Setting {
    fn new(test: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate(directory.path(), "key", "rsa");
        let sshd = Sshd::start(&key, &[]);
        let project = Project::through(test, &sshd, &key.private).with_key(None);
        project.compose("services:\n  web:\n    image: web\n");
        Self { project, sshd, key, directory }
    }

    fn behind(self, socket: &Path) -> Self {
        Self { project: self.project.with_variable("SSH_AUTH_SOCK", socket.to_str().unwrap()), ..self }
    }

    #[track_caller]
    fn logs_in(&self, arguments: &[&str]) -> Run {
        let run = self.project.toolbox(&[&["down"], arguments].concat());
        assert!(self.sshd.log().contains("Accepted publickey"), "{}\n{}", run.stderr, self.sshd.log());
        run
    }
}

#[test]
fn key_of_the_persons_agent_logs_in() {
    let setting = Setting::new("agent");
    let agent = SshAgent::with(&[&setting.key]);
    let setting = setting.behind(&agent.socket());
    // What compose.yaml mounts where no key file is given.
    let project = setting.project.with_variable("TOOLBOX_SSH_KEY_FILE", "/dev/null");
    Setting { project, ..setting }.logs_in(&[]);
}

#[test]
fn our_own_keys_are_offered_before_the_persons() {
    let setting = Setting::new("own");
    let other = KeyPair::generate(setting.directory.path(), "other", "ed25519");
    let agent = SshAgent::with(&[&other]);
    let setting = setting.behind(&agent.socket());
    setting.logs_in(&["--key", setting.key.private.to_str().unwrap()]);
    assert!(!setting.sshd.log().contains("Failed publickey"), "{}", setting.sshd.log());
}

#[test]
fn certificate_of_the_persons_agent_logs_in() {
    let setting = Setting::new("certified");
    let authority = KeyPair::generate(setting.directory.path(), "authority", "ed25519");
    let trust = format!("TrustedUserCAKeys {}.pub", authority.private.display());
    let sshd = Sshd::start(&authority, &[&trust]);
    setting.key.certify(&authority, &["-n", &sshd.target().user]);
    let agent = SshAgent::with(&[&setting.key]);
    let project = Project::through("certified", &sshd, &setting.key.private).with_key(None);
    project.compose("services:\n  web:\n    image: web\n");
    Setting { project, sshd, ..setting }.behind(&agent.socket()).logs_in(&[]);
}

#[test]
fn agent_that_is_to_be_left_alone_is_not_touched() {
    let setting = Setting::new("alone");
    let socket = setting.directory.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let setting = setting.behind(&socket);
    setting
        .project
        .toolbox(&["down", "--no-upstream"])
        .exits(2)
        .error(&["no SSH key was given"])
        .hint(&["--no-upstream leaves it alone"]);
    setting.logs_in(&["--no-upstream", "--key", setting.key.private.to_str().unwrap()]);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn key_restricted_to_this_host_logs_in_here_and_nowhere_else() {
    let setting = Setting::new("restricted");
    let agent = SshAgent::with(&[]);
    let known_hosts = setting.directory.path().join("known");
    let here = &setting.sshd.host_keys[0].public;
    fs::write(&known_hosts, format!("here {here}\n")).unwrap();
    agent.add_with(&setting.key, &["-h", "here", "-H", known_hosts.to_str().unwrap()]);
    let setting = setting.behind(&agent.socket());
    setting.logs_in(&[]);
    let elsewhere = Sshd::start(&setting.key, &[]);
    let project = Project::through("elsewhere", &elsewhere, &setting.key.private).with_key(None);
    project.compose("services:\n  web:\n    image: web\n");
    let project = project.with_variable("SSH_AUTH_SOCK", agent.socket().to_str().unwrap());
    project
        .toolbox(&["down"])
        .exits(1)
        .error(&["holds no identity to log in with"])
        .hint(&["restricted to other hosts"]);
    assert!(!elsewhere.log().contains("Accepted"), "{}", elsewhere.log());
}

#[test]
fn use_that_the_person_denies_is_told_and_one_that_they_allow_logs_in() {
    let setting = Setting::new("confirm");
    let askpass = setting.directory.path().join("askpass");
    let answer = |word: &str| {
        let script = setting.directory.path().join("askpass.new");
        fs::write(&script, format!("#!/bin/sh\nexec {word}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(script, &askpass).unwrap();
    };
    let variables =
        [("SSH_ASKPASS", askpass.to_str().unwrap()), ("SSH_ASKPASS_REQUIRE", "force"), ("DISPLAY", ":none")];
    let agent = SshAgent::start(&[], &variables);
    agent.add_with(&setting.key, &["-c"]);
    answer("false");
    let project = Project::through("confirm", &setting.sshd, &setting.key.private).with_key(None);
    project.compose("services:\n  web:\n    image: web\n");
    let project = project.with_variable("SSH_AUTH_SOCK", agent.socket().to_str().unwrap());
    project.toolbox(&["down"]).exits(1).error(&["the agent declined to sign"]);
    assert!(!setting.sshd.log().contains("Accepted publickey"), "{}", setting.sshd.log());
    answer("true");
    let run = project.toolbox(&["down"]);
    assert!(setting.sshd.log().contains("Accepted publickey"), "{}\n{}", run.stderr, setting.sshd.log());
}

#[test]
fn socket_that_leads_nowhere_is_refused_without_another_key_and_a_warning_with_one() {
    let setting = Setting::new("nowhere").behind(Path::new("/nowhere/agent"));
    let message = "there is no socket /nowhere/agent";
    setting.project.toolbox(&["down"]).exits(2).error(&[message]).hint(&["mount its socket"]);
    assert_eq!(setting.sshd.connections(), 0);
    let run = setting.logs_in(&["--key", setting.key.private.to_str().unwrap()]);
    run.tells(&format!("warning: {message}; it is left alone"));
}

#[test]
fn agent_without_keys_is_refused_without_another_key() {
    let setting = Setting::new("empty");
    let agent = SshAgent::with(&[]);
    let setting = setting.behind(&agent.socket());
    let words = ["the agent at", "holds no identity, and no other key was given"];
    setting.project.toolbox(&["down"]).exits(2).error(&words).hint(&["ssh-add FILE", "ssh-add -X"]);
    assert_eq!(setting.sshd.connections(), 0);
    setting.logs_in(&["--key", setting.key.private.to_str().unwrap()]);
}

const NOBODY: &str = "65534";

/// Says why a test is not run where it is not root that runs it.
fn is_root(test: &str) -> bool {
    let is_root = run("id", &["-u"]).trim() == "0";
    if !is_root {
        eprintln!("{test}: not run, only root can make processes of several users");
    }
    is_root
}

/// The program's way to be another user.
const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// A project that every user can read.
fn readable(setting: Setting) -> Setting {
    for path in [setting.project.path(""), setting.directory.path().to_owned()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    setting
}

#[test]
fn socket_that_this_uid_may_not_open_names_owner_and_fix() {
    if !is_root("rights") {
        return;
    }
    let setting = Setting::new("rights");
    let agent = SshAgent::with(&[&setting.key]);
    run("chown", &["1000:1001", agent.socket().to_str().unwrap()]);
    // Root without capabilities, as in a container.
    let setting = setting.behind(&agent.socket());
    let project = setting.project.run_by(&["setpriv", "--bounding-set=-all", "--inh-caps=-all"]);
    let words = ["the socket", "belongs to uid 1000 (mode 0600) and this process is uid 0"];
    project.toolbox(&["down"]).exits(2).error(&words).hint(&["user: \"1000:1001\"", "TOOLBOX_UID=1000"]);
    assert_eq!(setting.sshd.connections(), 0);
}

#[test]
fn directory_that_keeps_this_uid_out_is_named() {
    if !is_root("directory") {
        return;
    }
    let setting = readable(Setting::new("directory"));
    let agent = SshAgent::with(&[&setting.key]);
    let directory = agent.socket().parent().unwrap().to_owned();
    run("chown", &["1000:1001", directory.to_str().unwrap()]);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    let setting = setting.behind(&agent.socket());
    let project = setting.project.run_by(&AS_NOBODY);
    let words = format!("the directory {} belongs to uid 1000 (mode 0700)", directory.display());
    project.toolbox(&["down"]).exits(2).error(&[&words, NOBODY]).hint(&["user: \"1000:1001\""]);
}

#[test]
fn agent_of_another_uid_that_hangs_up_names_its_rule_and_the_fix() {
    if !is_root("hangup") {
        return;
    }
    let setting = readable(Setting::new("hangup"));
    // An agent of uid 1000 whose socket somebody opened to all, as people do when a mounted one is refused.
    let shared = tempfile::tempdir().unwrap();
    run("chown", &["1000:1001", shared.path().to_str().unwrap()]);
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = shared.path().join("agent");
    let agent = SshAgent::at(&socket, &["setpriv", "--reuid=1000", "--regid=1001", "--clear-groups"], &[]);
    fs::set_permissions(agent.socket(), fs::Permissions::from_mode(0o777)).unwrap();
    let setting = setting.behind(&agent.socket());
    let project = setting.project.run_by(&AS_NOBODY);
    let words = ["hung up: an agent serves its own uid only", "uid 1000 and this process is uid 65534"];
    project.toolbox(&["down"]).exits(2).error(&words).hint(&["user: \"1000:1001\""]);
    assert_eq!(setting.sshd.connections(), 0);
}
