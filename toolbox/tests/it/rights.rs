//! Logins that become root: real sudo, su and doas on a machine of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::deploy::Setting;
use crate::machine::{Kind, READY, State};
use crate::project::{Project, Run};
use crate::pty::AtTerminal;

const PASSWORD: &str = "open-barley 1%";

/// A machine on which `ann` may use sudo, which logs and lectures; `None` where there is none.
fn with_sudo(test: &str, kind: &Kind) -> Option<Setting> {
    if !has("/usr/bin/sudo", test) {
        return None;
    }
    let setting = Setting::new(test, kind)?;
    setting.machine.sh(&format!(
        "useradd --create-home --shell /bin/sh ann\necho 'ann:{PASSWORD}' | chpasswd\n\
         echo 'ann ALL=(ALL) ALL' > /etc/sudoers.d/ann\n\
         echo 'Defaults logfile=/var/log/sudo.log, lecture=always, use_pty' > /etc/sudoers.d/log\n"
    ));
    setting.project.host("ann", 22, "");
    Some(setting)
}

fn has(program: &str, test: &str) -> bool {
    let found = Path::new(program).exists();
    if !found {
        eprintln!("{test}: not run, {program} is not there");
    }
    found
}

/// The same project with a password in the variable's file.
fn knowing(project: Project, password: &str) -> Project {
    let file = project.path("password");
    fs::write(&file, format!("{password}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    project.with_variable("TOOLBOX_BECOME_PASSWORD_FILE", file.to_str().unwrap())
}

/// No output and no file of the host holds the password, nor does sudo's log.
#[track_caller]
fn keeps_the_secret(setting: &Setting, run: &Run) {
    assert!(!run.both().contains(PASSWORD), "{}", run.both());
    let places = "/var/log /var/lib/sudo /home/ann /run /root /etc";
    let found = setting.machine.sh(&format!("grep -rIls -e '{PASSWORD}' {places} || true"));
    assert_eq!(found, "", "{found}");
}

#[track_caller]
fn rights(project: &Project, more: &[&str]) -> String {
    let checked = project.toolbox(&[&["hosts", "check", "--format", "json"], more].concat());
    let rows: serde_json::Value =
        serde_json::from_str(&checked.stdout).unwrap_or_else(|_| panic!("{}", checked.both()));
    rows[0]["rights"].as_str().unwrap_or_else(|| panic!("{rows}")).to_owned()
}

#[test]
fn sudo_with_a_password_carries_a_deploy_and_keeps_the_password() {
    let Some(mut setting) = with_sudo("sudo-password", &READY) else {
        return;
    };
    // A module that prints, on standard output, before it asks.
    setting.machine.sh(
        "echo 'Property of %h.' > /etc/issue.sudo\nsed -i '1a auth optional pam_echo.so file=/etc/issue.sudo' /etc/pam.d/sudo\n",
    );
    setting.project = knowing(setting.project, PASSWORD);
    let run = setting.project.toolbox(&["deploy"]).exits(0);
    keeps_the_secret(&setting, &run);
    let id = setting.id();
    setting.runs_only(&id);
    setting.project.toolbox(&["deploy"]).exits(0).tells("nothing to do");
    assert_eq!(rights(&setting.project, &[]), "sudo with password");
    let log = setting.machine.sh("cat /var/log/sudo.log");
    assert!(log.contains("dial-stdio") && !log.contains("incorrect"), "{log}");
}

#[test]
fn engine_is_started_as_root_by_a_script_that_follows_the_password() {
    let kind = Kind { engine: State::Stopped, ..READY };
    if !has("/etc/init.d/docker", "sudo-script") {
        return;
    }
    let Some(mut setting) = with_sudo("sudo-script", &kind) else {
        return;
    };
    setting.project.toolbox(&["deploy"]).exits(1).error(&[
        "vm: the container engine is not running and user ann cannot become root by sudo",
        "it asks for a password",
    ]);
    setting.project = knowing(setting.project, PASSWORD);
    let run = setting.project.toolbox(&["deploy"]).exits(0).tells("start Docker …");
    keeps_the_secret(&setting, &run);
    setting.project.toolbox(&["status"]).exits(0);
}

#[test]
fn password_that_is_wrong_is_tried_once_and_named_with_user_and_host() {
    let Some(mut setting) = with_sudo("sudo-wrong", &READY) else {
        return;
    };
    setting.project = knowing(setting.project, "sesame");
    let run = setting.project.toolbox(&["deploy"]).exits(1);
    let run = run
        .error(&["vm: user ann may not use the container engine and cannot become root by sudo: the password is wrong"])
        .hint(&["sudo -k true", "ansible_become_password"]);
    assert!(!run.both().contains("sesame"), "{}", run.both());
    let log = setting.machine.sh("tr -d '\\n' < /var/log/sudo.log");
    assert_eq!(log.matches("1 incorrect password").count(), 1, "{log}");
    assert!(!log.contains("2 incorrect"), "{log}");
    // The host's own comes first.
    setting.project.host("ann", 22, &format!("      ansible_become_password: '{PASSWORD}'\n"));
    setting.project.toolbox(&["plan"]).exits(0);
    assert_eq!(rights(&setting.project, &[]), "sudo with password");
}

#[test]
fn what_keeps_sudo_from_making_root_is_named() {
    let Some(mut setting) = with_sudo("sudo-refuses", &READY) else {
        return;
    };
    setting
        .project
        .toolbox(&["plan"])
        .exits(1)
        .error(&["user ann may not use the container engine", "by sudo: it asks for a password, and none was given"])
        .hint(&["-K", "TOOLBOX_BECOME_PASSWORD_FILE", "ansible_become_password", "usermod -aG docker ann"]);
    assert_eq!(rights(&setting.project, &[]), "none");

    setting.project = knowing(setting.project, PASSWORD);
    setting.machine.sh("rm /etc/sudoers.d/ann\n");
    setting
        .project
        .toolbox(&["plan"])
        .exits(1)
        .error(&["cannot become root by sudo: it says \"ann is not in the sudoers file."])
        .hint(&["echo 'ann ALL=(ALL) ALL' > /etc/sudoers.d/ann"]);

    setting.machine.sh("echo 'ann ALL=(ALL) ALL\nDefaults requiretty' > /etc/sudoers.d/ann\n");
    setting
        .project
        .toolbox(&["plan"])
        .exits(1)
        .error(&["it wants a terminal (Defaults requiretty in sudoers)"])
        .hint(&["Defaults:ann !requiretty"]);
}

#[test]
fn password_is_asked_for_once_and_only_where_it_is_told_to() {
    let Some(setting) = with_sudo("sudo-asked", &READY) else {
        return;
    };
    setting.project.toolbox(&["plan", "-K"]).exits(2).error(&["-K: there is no terminal"]).hint(&["SSH_ASKPASS"]);
    // A second host, which is the same machine.
    let host = "{ansible_host: 127.0.0.1, ansible_user: ann}";
    setting.project.write("inventory.yaml", &format!("all: {{hosts: {{vm: {host}, other: {host}}}}}\n"));
    let mut terminal = AtTerminal::start(&setting.project, &["plan", "-K"]);
    terminal.shows("BECOME password: ");
    terminal.types(&format!("{PASSWORD}\r"));
    terminal.shows("other");
    assert_eq!(terminal.ends(), Some(0));
    assert!(terminal.is_canonical());
    let log = setting.machine.sh("tr -d '\\n' < /var/log/sudo.log");
    assert!(log.contains("dial-stdio") && !log.contains("incorrect"), "{log}");
}

#[test]
fn password_is_not_used_where_nobody_asks_for_it() {
    let Some(mut setting) = with_sudo("sudo-unused", &READY) else {
        return;
    };
    setting
        .machine
        .sh("useradd --shell /bin/sh --password '*' bob\necho 'bob ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/bob\n\
         useradd --shell /bin/sh --password '*' eve\nchgrp eve /run/docker.sock\nchmod 660 /run/docker.sock\n");
    setting.project = knowing(setting.project, "sesame");
    for (user, right) in [("bob", "sudo"), ("eve", "docker group"), ("root", "root")] {
        setting.project.host(user, 22, "      ansible_become: true\n");
        assert_eq!(rights(&setting.project, &[]), right);
        setting.project.toolbox(&["deploy"]).exits(0);
    }
    let log = setting.machine.sh("cat /var/log/sudo.log");
    assert!(log.contains("bob") && !log.contains("incorrect"), "{log}");
}

#[test]
fn su_takes_roots_password() {
    let Some(mut setting) = Setting::new("su-password", &READY) else {
        return;
    };
    setting.machine.sh(&format!("useradd --shell /bin/sh --password '*' ann\necho 'root:{PASSWORD}' | chpasswd\n"));
    setting.project.host("ann", 22, "      ansible_become_method: su\n");
    setting
        .project
        .toolbox(&["plan"])
        .exits(1)
        .error(&["cannot become root by su: it asks for a password, and none was given"])
        .hint(&["-K"]);
    setting.project = knowing(setting.project, PASSWORD);
    let run = setting.project.toolbox(&["deploy"]).exits(0);
    keeps_the_secret(&setting, &run);
    assert_eq!(rights(&setting.project, &[]), "su with password");
    setting.project = knowing(setting.project, "sesame");
    setting.project.toolbox(&["plan"]).exits(1).error(&["cannot become root by su: the password is wrong"]);
}

#[test]
fn doas_is_used_where_it_asks_for_nothing() {
    if !has("/usr/bin/doas", "doas") {
        return;
    }
    let Some(setting) = Setting::new("doas", &READY) else {
        return;
    };
    setting
        .machine
        .sh("useradd --shell /bin/sh --password '*' ann\necho 'permit nopass ann as root' > /etc/doas.conf\n");
    setting.project.host("ann", 22, "");
    setting.project.toolbox(&["deploy"]).exits(0);
    assert_eq!(rights(&setting.project, &[]), "doas");
    setting.machine.sh("echo 'permit ann as root' > /etc/doas.conf\n");
    setting.project.host("ann", 22, "      ansible_become_method: doas\n");
    setting
        .project
        .toolbox(&["plan"])
        .exits(1)
        .error(&["cannot become root by doas: it asks for a password, which it takes at a terminal only"])
        .hint(&["permit nopass ann as root"]);
}

#[test]
fn password_files_that_hold_none_or_are_open_to_others_are_refused() {
    let project = Project::new("password-file");
    project.write("inventory.ini", "web ansible_host=127.0.0.1 ansible_port=1\n");
    project.write("empty", "");
    let key = crate::sshd::KeyPair::generate(&project.path(""), "key", "ed25519");
    let project = project.with_key(Some(&key.private));
    project.write("open", "sesame\n");
    fs::set_permissions(project.path("open"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(project.path("empty"), fs::Permissions::from_mode(0o600)).unwrap();
    for (file, error) in
        [("empty", "empty holds no password"), ("open", "open are too open"), ("missing", "missing does not exist")]
    {
        project.toolbox(&["hosts", "check", "--become-password-file", file]).exits(2).error(&[error]);
    }
    // compose.yaml says so that there is none.
    let none = project.with_variable("TOOLBOX_BECOME_PASSWORD_FILE", "/dev/null");
    none.toolbox(&["hosts", "check"]).exits(1).error(&["refused the connection"]);
}
