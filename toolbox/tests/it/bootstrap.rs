//! `toolbox bootstrap`: bare hosts and old ones, with packages of an archive of their own.

use serde_json::Value as Json;

use crate::archive::{Archive, GOOD, Release};
use crate::machine::{Kind, Machine, READY, State};
use crate::project::Project;

pub(crate) const BARE: Kind = Kind { engine: State::Absent, ..READY };

/// A machine without an engine, and its archive, which is empty.
pub(crate) fn bare(test: &str, version: &str, codename: &str) -> Option<(Machine, Archive, Project)> {
    if !Archive::can_be_made() {
        eprintln!("{test}: not run, it needs dpkg-deb and gpg");
        return None;
    }
    let machine = Machine::start(test, &BARE)?;
    let archive = Archive::on(&machine, version, codename);
    let project = Project::on(test, &machine);
    Some((machine, archive, project))
}

/// All files below /etc/apt, with what is in them.
fn configuration(machine: &Machine) -> String {
    machine.sh("cd /etc/apt && find . -type f -exec sha256sum {} + | sort")
}

#[test]
fn bare_host_gets_docker_from_its_signed_archive_once() {
    let Some((machine, archive, project)) = bare("boot-bare", "13", "trixie") else {
        return;
    };
    archive.publish(&GOOD);
    let check = project.toolbox(&["bootstrap", "--check", "--detailed-exitcode"]).exits(2);
    check.prints("+ install Docker from the host's own package archive (the host has no container engine)");
    machine.sh("! command -v dockerd");

    let made = project.toolbox(&["bootstrap"]).exits(0);
    made.prints("vm  changed=1  unchanged=0  failed=0  ok");
    assert_eq!(machine.sh("dpkg-query -W -f '${Version}' docker.io"), "99");
    machine.sh("test -S /run/docker.sock");

    let again = project.toolbox(&["bootstrap", "--check", "--format", "json", "--detailed-exitcode"]).exits(0);
    let plans: Json = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(plans[0]["operations"], serde_json::json!([]));
    assert!(plans[0]["unchanged"][0].as_str().unwrap().starts_with("Docker "), "{plans}");
    project.toolbox(&["bootstrap"]).exits(0).prints("vm  changed=0  unchanged=1  failed=0  ok");
}

const ARCHIVED: Release<'_> = Release { base: "archive.debian.org/debian", suite: "buster", date: "-2 years", ..GOOD };

#[test]
fn release_past_its_end_of_life_gets_docker_from_where_old_ones_are_kept_and_its_configuration_stays() {
    let Some((machine, archive, project)) = bare("boot-old", "10", "buster") else {
        return;
    };
    archive.publish(&ARCHIVED);
    // As it is left there: nobody signs it anew.
    let (base, suite) = ("archive.debian.org/debian-security", "buster/updates");
    archive.publish(&Release { base, suite, valid_until: Some("-1 year"), ..ARCHIVED });
    let before = configuration(&machine);
    let made = project.toolbox(&["bootstrap"]).exits(0);
    made.tells("Debian GNU/Linux 10 (buster) is past its end of life")
        .tells("installed from http://archive.debian.org/debian")
        .prints("vm  changed=1");
    machine.sh("test -S /run/docker.sock");
    assert_eq!(configuration(&machine), before);
    assert_eq!(
        machine.sh("ls /var/lib/apt/lists | grep -c security.*InRelease"),
        "1\n",
        "the security archive was read"
    );
    assert_eq!(machine.sh("ls -d /tmp/tmp.*/archive.list 2>/dev/null || :"), "");
}

#[test]
fn ubuntus_old_releases_are_found_too_also_where_only_the_release_itself_is_kept() {
    let Some((machine, archive, project)) = bare("boot-ubuntu", "23.04", "lunar") else {
        return;
    };
    archive.publish(&Release { base: "old-releases.ubuntu.com/ubuntu", suite: "lunar", date: "-2 years", ..GOOD });
    machine.sh("sed -i 's/^ID=.*/ID=ubuntu/; s/Debian GNU.Linux/Ubuntu/' /etc/os-release
         echo 127.0.0.1 archive.ubuntu.com old-releases.ubuntu.com >>/etc/hosts
         echo 'deb http://archive.ubuntu.com/ubuntu lunar main' >/etc/apt/sources.list");
    let made = project.toolbox(&["bootstrap"]).exits(0);
    made.tells("Ubuntu 23.04 (lunar) is past its end of life").tells("from http://old-releases.ubuntu.com/ubuntu");
}

#[test]
fn archive_of_old_releases_is_believed_only_with_the_distributions_signature() {
    let Some((machine, archive, project)) = bare("boot-forged", "10", "buster") else {
        return;
    };
    archive.publish(&Release { signed_by: "stranger", ..ARCHIVED });
    let failed = project.toolbox(&["bootstrap"]).exits(1);
    failed.error(&["installing Docker failed"]).prints("failed, run it again");
    // Nor is the time that the main archive itself may have set lifted.
    archive.publish(&Release { valid_until: Some("-1 year"), ..ARCHIVED });
    project.toolbox(&["bootstrap"]).exits(1).error(&["installing Docker failed"]);
    machine.sh("! command -v dockerd");
}

#[test]
fn broken_archive_of_somebody_else_does_not_stand_in_the_way() {
    let Some((machine, archive, project)) = bare("boot-foreign", "13", "trixie") else {
        return;
    };
    archive.publish(&GOOD);
    machine.sh("echo 'deb http://deb.debian.org/gone trixie main' >/etc/apt/sources.list.d/other.list");
    project.toolbox(&["bootstrap"]).exits(0).prints("vm  changed=1");
}

#[test]
fn families_that_were_never_tried_say_so_and_those_without_docker_stop() {
    let kind = Kind { hidden: &["/usr/bin/apt-get"], ..BARE };
    let Some(machine) = Machine::start("boot-families", &kind) else {
        return;
    };
    let project = Project::on("boot-families", &machine);
    machine.sh("printf '#!/bin/sh\nexit 1\n' >/usr/bin/dnf; chmod +x /usr/bin/dnf; rm -f /etc/os-release");
    machine.sh("printf 'ID=fedora\nPRETTY_NAME=\"Fedora Linux 43\"\n' >/etc/os-release");
    let check = project.toolbox(&["bootstrap", "--check"]).exits(0);
    check.prints("(the host has no container engine; installing by dnf is untested here)");
    machine.sh("printf 'ID=rocky\nID_LIKE=\"rhel fedora\"\nPRETTY_NAME=\"Rocky Linux 9\"\n' >/etc/os-release");
    project
        .toolbox(&["bootstrap", "--check"])
        .exits(1)
        .error(&["vm: Docker is not installed", "archive of Rocky Linux 9", "Podman and no Docker"])
        .hint(&["toolbox_socket: /run/podman/podman.sock"]);
    machine.sh("rm /usr/bin/dnf");
    project.toolbox(&["bootstrap"]).exits(1).error(&["Rocky Linux 9 has no apt-get, dnf or apk"]);
}

#[test]
fn another_engine_is_named_with_the_line_that_uses_it_and_bootstrap_leaves_it() {
    let Some(machine) = Machine::start("boot-other", &BARE) else {
        return;
    };
    let project = Project::on("boot-other", &machine);
    let socket = "/run/podman/podman.sock";
    machine.sh(&format!(
        "mkdir /run/podman; perl -MIO::Socket -e 'IO::Socket::UNIX->new(Local => \"{socket}\", Listen => 1) or die'"
    ));
    project.compose("services:\n  web:\n    image: web\n");
    let line = format!("toolbox_socket: {socket}");
    let said = format!("vm: there is no system-wide Docker, but Podman at {socket}");
    project.toolbox(&["down"]).exits(1).error(&[&said]).hint(&[&line]);
    project.toolbox(&["hosts", "check"]).exits(1).error(&[&said]).hint(&[&line]);
    let check = project.toolbox(&["bootstrap", "--check"]).exits(0);
    check.prints("+ install Docker").prints("it stays as it is").prints(&line);
    // Where it is asked for and does not answer, nothing else is installed in its place.
    machine.sh(&format!("rm {socket}"));
    project.host("root", 22, &format!("      {line}\n"));
    let silent = format!("vm: no container engine listens at {socket}");
    project.toolbox(&["bootstrap"]).exits(1).error(&[&silent]).hint(&["systemctl enable --now podman.socket"]);
}

#[test]
fn engine_of_a_user_is_used_where_the_inventory_names_its_socket() {
    let Some(machine) = Machine::start("boot-rootless", &READY) else {
        return;
    };
    let project = Project::on("boot-rootless", &machine);
    let id = machine.sh("id -u visitor").trim().to_owned();
    let socket = format!("/run/user/{id}/docker.sock");
    // The engine's own socket at a user's place, as that user's.
    machine.sh(&format!("mkdir -p /run/user/{id}; mv /run/docker.sock {socket}; chown visitor {socket}"));
    project.host("visitor", 22, "");
    let said = format!("rootless Docker at {socket}");
    project.toolbox(&["hosts", "check"]).exits(1).hint(&["/etc/sudoers.d/visitor"]);
    machine.sh("rm -f $(command -v dockerd)");
    project.toolbox(&["hosts", "check"]).exits(1).error(&[&said]).hint(&[&format!("toolbox_socket: {socket}")]);
    project.host("visitor", 22, &format!("      toolbox_socket: {socket}\n"));
    project.toolbox(&["hosts", "check"]).exits(0).prints("docker group");
    project.toolbox(&["bootstrap", "--check"]).exits(0).prints("= Docker ").prints("nothing to do");
}

#[test]
fn host_that_an_update_wants_rebooted_is_rebooted_when_asked_and_waited_for() {
    let Some(machine) = Machine::start("boot-reboot", &READY) else {
        return;
    };
    let project = Project::on("boot-reboot", &machine);
    machine.sh("touch /run/reboot-required /run/boot-id; cat /proc/sys/kernel/random/boot_id >/run/boot-id
         mount --bind /run/boot-id /proc/sys/kernel/random/boot_id
         cat >/usr/local/sbin/reboot <<'END'
#!/bin/sh
rm /run/reboot-required
echo another >/run/boot-id
for process in /proc/[0-9]*; do
  if grep -q '^sshd: root' $process/cmdline; then kill ${process#/proc/}; fi
done
END
         chmod +x /usr/local/sbin/reboot");
    let check = project.toolbox(&["bootstrap", "--check"]).exits(0);
    check.prints("! an update of the host waits for a reboot: toolbox bootstrap --reboot").prints("nothing to do");
    let check = project.toolbox(&["bootstrap", "--check", "--reboot"]).exits(0);
    check.prints("~ reboot the host (an update of the host waits for it)");
    let made = project.toolbox(&["bootstrap", "--reboot"]).exits(0);
    made.tells("vm: reboot …").prints("vm  changed=1  unchanged=1  failed=0  ok");
    project.toolbox(&["bootstrap", "--reboot"]).exits(0).prints("vm  changed=0");
}
