//! Settings of sshd and of logins that stand in the way, on a machine of its own: it works, or the setting is named.

use std::path::Path;

use crate::deploy::{Setting, VERIFY};
use crate::machine::{Kind, Machine, READY};

/// A user who becomes root without a password, with this shell and this login script.
fn user(machine: &Machine, name: &str, shell: &str, script: (&str, &str)) {
    let (file, text) = script;
    machine.sh(&format!(
        "useradd --create-home --shell {shell} --password '*' {name}\n\
         mkdir -p /etc/sudoers.d $(dirname /home/{name}/{file})\n\
         echo '{name} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{name}\n\
         cat > /home/{name}/{file} <<'END'\n{text}\nEND\nchown -R {name} /home/{name}\n"
    ));
}

fn with_sudo(test: &str, kind: &Kind) -> Option<Setting> {
    if !Path::new("/usr/bin/sudo").exists() {
        eprintln!("{test}: not run, sudo is not there");
        return None;
    }
    Setting::new(test, kind)
}

#[test]
fn login_shell_may_be_any_and_its_script_may_be_noisy() {
    let Some(setting) = with_sudo("shells", &READY) else {
        return;
    };
    // A name that every shell reads in its own way.
    let socket = r"/run/it's \here!.sock";
    setting.machine.sh(&format!("ln -s /run/docker.sock {}\n", toolbox::ssh::quote(socket)));
    setting.project.toolbox(&["deploy"]).exits(0);
    let noise = "echo 'Welcome to $HOME'; printf 'no line end'";
    for (name, shell, file) in [
        ("bash", "/bin/bash", ".bashrc"),
        ("dash", "/bin/dash", ".profile"),
        ("fish", "/usr/bin/fish", ".config/fish/config.fish"),
        ("tcsh", "/bin/tcsh", ".cshrc"),
        ("zsh", "/bin/zsh", ".zshenv"),
    ] {
        if !Path::new(shell).exists() {
            eprintln!("shells: not run with {shell}, which is not there");
            continue;
        }
        let name = format!("by-{name}");
        user(&setting.machine, &name, shell, (file, noise));
        setting.project.host(&name, 22, &format!("      toolbox_socket: \"{}\"\n", socket.replace('\\', r"\\")));
        let run = setting.project.toolbox(&["deploy"]).exits(0).tells("nothing to do");
        assert!(!run.both().contains("Welcome"), "{}", run.both());
        let checked = setting.project.toolbox(&["hosts", "check"]).exits(0);
        checked.prints("sudo").prints("fit=1");
    }
}

#[test]
fn forwarding_that_sshd_forbids_is_done_without_under_a_noisy_shell() {
    let Some(setting) = Setting::new("forbidden", &READY) else {
        return;
    };
    setting.service(VERIFY);
    setting.machine.sh("usermod --shell /bin/bash root\necho 'echo Welcome; printf x' > /root/.bashrc\n");
    setting.machine.sshd(2222, &["AllowStreamLocalForwarding=no", "AllowTcpForwarding=no", "Banner=/etc/passwd"]);
    setting.project.host("root", 2222, "");
    setting
        .project
        .toolbox(&["deploy"])
        .exits(0)
        .tells("using docker system dial-stdio instead")
        .tells("http://127.0.0.1:8080/ answers");
    let checked = setting.project.toolbox(&["hosts", "check"]).exits(0);
    checked.tells("AllowStreamLocalForwarding").tells("AllowTcpForwarding");
}

#[test]
fn one_session_at_a_time_is_enough_and_none_is_named() {
    let Some(setting) = with_sudo("sessions", &READY) else {
        return;
    };
    user(&setting.machine, "ann", "/bin/sh", (".profile", ""));
    setting.machine.sshd(2221, &["MaxSessions=1"]);
    setting.machine.sshd(2220, &["MaxSessions=0"]);
    for name in ["root", "ann"] {
        setting.project.host(name, 2221, "");
        setting.project.toolbox(&["deploy"]).exits(0);
        setting.project.toolbox(&["hosts", "check"]).exits(0).tells("MaxSessions 1");
    }
    setting.project.host("ann", 2220, "");
    setting.project.toolbox(&["deploy"]).exits(1).error(&["vm: 127.0.0.1 refused a session"]).hint(&["MaxSessions 0"]);
}

#[test]
fn forced_command_is_named_unless_it_passes_commands_on() {
    let Some(setting) = with_sudo("forced", &READY) else {
        return;
    };
    user(&setting.machine, "ann", "/bin/sh", (".profile", ""));
    setting.machine.sshd(2221, &["ForceCommand=echo backups only"]);
    setting.machine.sshd(2222, &["ForceCommand=logger -s \"$SSH_ORIGINAL_COMMAND\"; eval \"$SSH_ORIGINAL_COMMAND\""]);
    setting.project.host("ann", 2221, "");
    setting
        .project
        .toolbox(&["deploy"])
        .exits(1)
        .error(&["vm: the login gives no shell: it answered \"backups only\""])
        .hint(&["ForceCommand"]);
    setting.project.host("ann", 2222, "");
    setting.project.toolbox(&["deploy"]).exits(0);
}

#[test]
fn docker_is_found_where_the_logins_path_does_not_lead() {
    let Some(setting) = with_sudo("path", &READY) else {
        return;
    };
    user(&setting.machine, "ann", "/bin/sh", (".profile", ""));
    setting.machine.sh("mkdir -p /opt/bin\nmv \"$(command -v docker)\" /opt/bin/docker\n");
    setting.machine.sshd(2222, &["SetEnv=PATH=/opt/none:/bin"]);
    setting.project.host("ann", 2222, "");
    setting.project.toolbox(&["deploy"]).exits(0);
}
