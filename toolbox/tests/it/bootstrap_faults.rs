//! What stands in the way of installing Docker: each has its message and its next step, told by a real apt.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::archive::{Archive, GOOD, Release};
use crate::bootstrap::bare;
use crate::machine::Machine;
use crate::project::{Project, Run};

const INDEX: &str = "deb.debian.org/debian/dists/trixie/InRelease";

#[track_caller]
fn fails(project: &Project) -> Run {
    project.toolbox(&["bootstrap"]).exits(1).prints("vm  changed=0  unchanged=0  failed=1  failed, run it again")
}

fn no_docker(machine: &Machine) {
    machine.sh("! command -v dockerd");
}

#[test]
fn wrong_answers_of_the_archive_are_told_apart() {
    let Some((machine, archive, project)) = bare("fault-archive", "13", "trixie") else {
        return;
    };
    fails(&project)
        .error(&["vm: installing Docker failed: the package archive has no http://deb.debian.org/debian trixie"]);

    archive.publish(&GOOD);
    archive.answers(|_| Some((503, b"busy".to_vec())));
    fails(&project).error(&["the package archive answers 503 Service Unavailable"]).hint(&["another mirror"]);

    archive.answers(|_| Some((200, b"<html><title>Please log in</title></html>".to_vec())));
    fails(&project).error(&["answers in its place, as login pages of networks do"]).hint(&["curl -i"]);

    // A page for what is not there only, as some mirrors have it.
    archive.recovers();
    archive.spoil("deb.debian.org/debian/pool/docker.io.deb");
    fails(&project).error(&["sent a file that is not the one its signed index names"]).hint(&["run it again later"]);

    archive.publish(&Release { signed_by: "stranger", ..GOOD });
    fails(&project).error(&["signature cannot be verified"]).hint(&["debian-archive-keyring"]);
    no_docker(&machine);

    archive.publish(&GOOD);
    project.toolbox(&["bootstrap"]).exits(0).prints("vm  changed=1");
}

#[test]
fn clock_that_is_off_is_named() {
    let Some((machine, archive, project)) = bare("fault-clock", "13", "trixie") else {
        return;
    };
    archive.publish(&Release { date: "+3 days", ..GOOD });
    fails(&project)
        .error(&["the host's clock is wrong", INDEX, "invalid for another 2d", "is from the future"])
        .hint(&["timedatectl set-ntp true"]);
    archive.publish(&Release { date: "-9 days", valid_until: Some("-2 days"), ..GOOD });
    fails(&project).error(&[INDEX, "invalid since 2d", "has expired by the host's clock"]).hint(&["date"]);
    no_docker(&machine);
}

#[test]
fn archive_without_docker_and_packages_that_do_not_fit_are_told() {
    let Some((machine, archive, project)) = bare("fault-packages", "13", "trixie") else {
        return;
    };
    archive.publish(&Release { fields: "Depends: bash (>= 999)\n", ..GOOD });
    fails(&project).error(&["packages on the host stand in the way", "bash (>= 999)"]).hint(&["apt-mark showhold"]);
    machine.sh("printf 'Package: docker.io\nPin: version *\nPin-Priority: -1\n' >/etc/apt/preferences.d/never");
    fails(&project).error(&["offer no Docker"]).hint(&["apt-cache policy docker.io"]);
    no_docker(&machine);
}

#[test]
fn full_disk_is_told() {
    let Some((machine, archive, project)) = bare("fault-disk", "13", "trixie") else {
        return;
    };
    archive.publish(&GOOD);
    machine.sh("cd /var/cache/apt; mount -t tmpfs -o size=8k tmpfs archives; mkdir archives/partial
         head -c 8192 /dev/zero >archives/full");
    fails(&project).error(&["the host's disk is full"]).hint(&["df -h"]);
    machine.sh("umount /var/cache/apt/archives");
    project.toolbox(&["bootstrap"]).exits(0);
}

#[test]
fn interrupted_dpkg_is_finished_first() {
    let Some((machine, archive, project)) = bare("fault-dpkg", "13", "trixie") else {
        return;
    };
    archive.publish(&GOOD);
    // What dpkg leaves when it is killed: a change of its database that is not merged yet.
    machine.sh("mkdir -p /var/lib/dpkg/updates; dpkg-query -s bash >/var/lib/dpkg/updates/0001");
    project.toolbox(&["bootstrap"]).exits(0).prints("vm  changed=1");
    assert_eq!(machine.sh("ls /var/lib/dpkg/updates"), "");
}

/// Starts apt-get on the machine, which then waits for the archive's answer with the lock of its lists held, until
/// something is sent.
fn apt_at_work(machine: &Machine, archive: &Archive) -> std::sync::mpsc::Sender<()> {
    let (go_on, wait) = channel();
    let (began, asked) = channel();
    let wait = Mutex::new(Some(wait));
    archive.answers(move |_| {
        if let Some(wait) = wait.lock().unwrap().take() {
            began.send(()).unwrap();
            let _ = wait.recv();
        }
        None
    });
    machine.sh("apt-get update </dev/null >/dev/null 2>&1 & :");
    asked.recv().unwrap();
    go_on
}

#[test]
fn apt_that_is_at_work_is_waited_for_and_named() {
    let Some((machine, archive, project)) = bare("fault-lock", "13", "trixie") else {
        return;
    };
    archive.publish(&GOOD);
    let go_on = apt_at_work(&machine, &archive);
    let mut running = project.start(&["bootstrap"]);
    let line = running.says("waiting up to 300 s: process ");
    assert!(line.contains("(apt-get) holds /var/lib/apt/lists/lock"), "{line}");
    drop(go_on);
    running.ends().exits(0).prints("vm  changed=1");
}

#[test]
fn lock_that_nobody_lets_go_is_given_up_with_its_holder() {
    let Some((machine, archive, project)) = bare("fault-stuck", "13", "trixie") else {
        return;
    };
    archive.publish(&GOOD);
    // Five minutes pass at once.
    machine.sh("printf '#!/bin/sh\n' >/usr/local/bin/sleep");
    let go_on = apt_at_work(&machine, &archive);
    fails(&project)
        .error(&["was kept busy for 300 s: process ", "(apt-get) holds /var/lib/apt/lists/lock"])
        .hint(&["wait until that process has ended"]);
    drop(go_on);
    no_docker(&machine);
}

#[test]
fn run_that_is_killed_while_it_waits_leaves_nothing_that_goes_on_without_it() {
    let Some((machine, archive, project)) = bare("fault-killed", "13", "trixie") else {
        return;
    };
    archive.publish(&GOOD);
    // So that it would wait for a minute.
    machine.sh("printf '#!/bin/sh\nexec /bin/sleep 1\n' >/usr/local/bin/sleep");
    let go_on = apt_at_work(&machine, &archive);
    let mut running = project.start(&["bootstrap"]);
    running.says("waiting up to 300 s");
    running.end_with("KILL").was_killed();
    machine.sh("tries=0; while ls -d /tmp/tmp.*/errors 2>/dev/null; do
         tries=$((tries + 1)); [ $tries -lt 20 ] || exit 1; sleep 1; done");
    drop(go_on);
    no_docker(&machine);
}
