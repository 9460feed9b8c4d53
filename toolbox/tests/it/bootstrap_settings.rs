//! Docker's settings: only those that the inventory asks for, on a real engine.

use serde_json::{Value as Json, json};

use crate::engine::service;
use crate::machine::{Kind, Machine, READY, State};
use crate::project::Project;

const FILE: &str = "/etc/docker/daemon.json";

/// An engine that the machine's own means start, with its settings where they usually are.
fn host(test: &str, before: &str) -> Option<(Machine, Project)> {
    let machine = Machine::start(test, &Kind { engine: State::Stopped, ..READY })?;
    machine.sh(&format!("mkdir -p /etc/docker; printf '%s' '{before}' >{FILE}"));
    let project = Project::on(test, &machine);
    Some((machine, project))
}

fn file(machine: &Machine) -> Json {
    serde_json::from_str(&machine.sh(&format!("cat {FILE}"))).unwrap()
}

/// Starts a container; gives its process.
fn container(machine: &Machine) -> String {
    let program = service();
    let (directory, name) = (program.parent().unwrap().display(), program.file_name().unwrap().to_str().unwrap());
    machine.sh(&format!(
        "tar -C '{directory}' -c '{name}' | docker import - tried
         docker run --detach --name tried --stop-signal KILL --env PORT=8080 --network none tried '/{name}' serve"
    ));
    state(machine)
}

fn state(machine: &Machine) -> String {
    machine.sh("docker inspect --format '{{ .State.Status }} {{ .State.Pid }}' tried")
}

fn engine_says(machine: &Machine, field: &str) -> String {
    machine.sh(&format!("docker info --format '{{{{ {field} }}}}'")).trim().to_owned()
}

const ALL: &str = "      toolbox_live_restore: true\n      toolbox_log_rotation: {max_size: 10m, max_file: 3}\n      \
                   toolbox_address_pools: [{base: 10.213.0.0/16, size: 24}]\n";

#[test]
fn settings_are_shown_then_made_and_then_as_they_should_be() {
    let Some((machine, project)) = host("set-all", "{\"labels\": [\"rack=7\"]}") else {
        return;
    };
    // Nothing is asked for: nothing is changed.
    project.toolbox(&["bootstrap"]).exits(0).prints("vm  changed=1");
    assert_eq!(file(&machine), json!({"labels": ["rack=7"]}));

    let kept = container(&machine);
    project.host("root", 22, "      toolbox_log_rotation: {max_size: 10m}\n");
    let check = project.toolbox(&["bootstrap", "--check"]).exits(0);
    check.prints("and restart Docker, with which 1 container stops for a while: log-opts.max-size");
    project.host("root", 22, ALL);
    let check = project.toolbox(&["bootstrap", "--check"]).exits(0);
    check
        .prints(
            "~ change /etc/docker/daemon.json and restart Docker: live-restore: absent -> true; log-opts.max-size: ",
        )
        .prints("log-opts.max-file: absent -> \"3\"; default-address-pools: absent -> [{")
        .prints("(as the inventory says)")
        .prints("! log rotation and address pools hold for containers and networks made from then on");
    assert_eq!(file(&machine), json!({"labels": ["rack=7"]}));

    project.toolbox(&["bootstrap"]).exits(0).prints("vm  changed=1  unchanged=1");
    let expected = json!({
        "labels": ["rack=7"],
        "live-restore": true,
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "default-address-pools": [{"base": "10.213.0.0/16", "size": 24}],
    });
    assert_eq!(file(&machine), expected);
    assert_eq!(machine.sh(&format!("cat {FILE}.toolbox-backup")), "{\"labels\": [\"rack=7\"]}");
    assert_eq!(engine_says(&machine, ".LiveRestoreEnabled"), "true");
    assert_eq!(engine_says(&machine, ".Labels"), "[rack=7]");
    assert_eq!(state(&machine), kept, "it outlives the restart");
    machine.sh("docker network create tried");
    let subnet = machine.sh("docker network inspect --format '{{ (index .IPAM.Config 0).Subnet }}' tried");
    assert!(subnet.starts_with("10.213."), "{subnet}");
    project.toolbox(&["bootstrap", "--check", "--detailed-exitcode"]).exits(0);
}

#[test]
fn live_restore_is_taken_in_without_a_restart() {
    let Some((machine, project)) = host("set-live", "{}") else {
        return;
    };
    project.toolbox(&["bootstrap"]).exits(0);
    let process = machine.sh("cat /run/docker.pid");
    project.host("root", 22, "      toolbox_live_restore: true\n");
    project
        .toolbox(&["bootstrap"])
        .exits(0)
        .tells("~ change /etc/docker/daemon.json and reload Docker: live-restore: absent -> true (");
    assert_eq!(machine.sh("cat /run/docker.pid"), process);
    assert_eq!(file(&machine), json!({"live-restore": true}));
    // It takes a signal in when it gets to it.
    machine.sh("tries=0; until [ \"$(docker info --format '{{ .LiveRestoreEnabled }}')\" = true ]; do
         tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1; sleep 0.1; done");
}

#[test]
fn settings_that_the_engine_does_not_start_with_are_taken_back() {
    let Some((machine, project)) = host("set-bad", "{\"labels\": [\"a=b\"]}") else {
        return;
    };
    project.toolbox(&["bootstrap"]).exits(0);
    // What stands there from the next start on is refused in two places.
    machine.sh("echo DOCKER_OPTS=--live-restore >>/etc/default/docker");
    project.host("root", 22, ALL);
    project
        .toolbox(&["bootstrap"])
        .exits(1)
        .error(&["did not start with the new settings, and runs with the earlier ones again"])
        .hint(&["journalctl -u docker"]);
    assert_eq!(file(&machine), json!({"labels": ["a=b"]}));
    assert_eq!(engine_says(&machine, ".Labels"), "[a=b]");
}

#[test]
fn what_is_no_json_is_named_and_left_as_it_is() {
    let Some((machine, project)) = host("set-json", "{\"password\": hunter2}") else {
        return;
    };
    project.host("root", 22, ALL);
    let run = project.toolbox(&["bootstrap"]).exits(1);
    let run = run.error(&[FILE, "is not what Docker reads: it is no JSON (line 1, column 14)"]).hint(&["mv "]);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    assert_eq!(machine.sh(&format!("cat {FILE}")), "{\"password\": hunter2}");
}

#[test]
fn who_cannot_become_root_changes_no_settings() {
    let Some(machine) = Machine::start("set-rights", &READY) else {
        return;
    };
    let project = Project::on("set-rights", &machine);
    machine.sh("chown visitor /run/docker.sock");
    project.host("visitor", 22, ALL);
    project
        .toolbox(&["bootstrap"])
        .exits(1)
        .error(&["vm: changing Docker's settings takes root", "user visitor cannot become root by sudo"])
        .hint(&["/etc/sudoers.d/visitor"]);
}
