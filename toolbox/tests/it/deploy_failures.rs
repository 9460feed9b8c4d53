//! Deploys that go wrong half-way: the earlier containers run again, and a later deploy repairs what a killed one left.

use crate::deploy::{GREETING, Setting};
use crate::machine::READY;
use crate::project::Run;

/// A health check that never passes.
const UNHEALTHY: &str = "    environment:\n      UNHEALTHY: the database is away\n";

/// Deploys this definition over a running one, which must fail and leave the running one as it was.
fn fails_and_rolls_back(test: &str, definition: &str, error: &[&str], hint: &[&str]) {
    let Some(setting) = Setting::new(test, &READY).map(Setting::deployed) else {
        return;
    };
    let earlier = setting.id();
    setting.service(definition);
    setting.project.toolbox(&["deploy"]).exits(1).error(error).hint(hint).prints("failed=1  failed, rolled back");
    setting.runs_only(&earlier);
    // What was left behind is nothing that stands in the way.
    setting.service("");
    let run = setting.project.toolbox(&["deploy"]).exits(0);
    run.tells("nothing to do");
}

#[test]
fn version_that_exits_at_once_is_rolled_back_and_its_last_words_are_shown() {
    fails_and_rolls_back(
        "exits",
        "    command: [fail]\n",
        &["vm: service web did not become healthy: it exited with status 3", "cannot find the database"],
        &["--timeout SECONDS"],
    );
}

#[test]
fn version_that_exits_again_and_again_is_rolled_back() {
    fails_and_rolls_back(
        "crashes",
        "    command: [fail]\n    restart: always\n",
        &["it exited 3 times", "cannot find the database"],
        &["fix the service"],
    );
}

#[test]
fn unhealthy_version_is_rolled_back_and_its_health_check_is_quoted() {
    fails_and_rolls_back(
        "unhealthy",
        UNHEALTHY,
        &["it is unhealthy", "its last health check said", "the database is away", "listening"],
        &["fix the service"],
    );
}

#[test]
fn first_version_that_does_not_come_up_leaves_no_container() {
    let Some(setting) = Setting::new("first", &READY) else {
        return;
    };
    setting.service(UNHEALTHY);
    setting.project.toolbox(&["deploy"]).exits(1);
    let engine = setting.machine.engine();
    assert!(engine.containers(&setting.project.name).is_empty());
}

#[test]
fn version_whose_url_does_not_answer_well_is_rolled_back() {
    fails_and_rolls_back(
        "verify",
        "    environment:\n      STATUS: 503 Service Unavailable\n      GREETING: closed\n    \
         x-toolbox:\n      verify: http://127.0.0.1:8080/\n",
        &["service web: http://127.0.0.1:8080/ does not answer well: 503 Service Unavailable closed"],
        &["toolbox logs web"],
    );
}

#[test]
fn service_that_is_not_healthy_in_time_is_rolled_back() {
    let Some(setting) = Setting::new("slow", &READY).map(Setting::deployed) else {
        return;
    };
    let earlier = setting.id();
    setting.service(&patient());
    setting.project.toolbox(&["deploy", "--timeout", "1"]).exits(1).error(&["health is starting after 1 s"]);
    setting.runs_only(&earlier);
}

/// A health check that neither passes nor gives up.
fn patient() -> String {
    format!("      start_period: 1h\n{UNHEALTHY}")
}

#[test]
fn interrupt_while_waiting_brings_the_earlier_container_back() {
    let Some(setting) = Setting::new("interrupt", &READY).map(Setting::deployed) else {
        return;
    };
    let earlier = setting.id();
    setting.service(&patient());
    for signal in ["INT", "TERM"] {
        let mut events = setting.machine.engine().events();
        let running = setting.project.start(&["deploy"]);
        events.wait_for("start");
        running.end_with(signal).exits(130).tells("bringing back the earlier").prints("failed=1  interrupted");
        setting.runs_only(&earlier);
    }
}

#[test]
fn deploy_repairs_what_a_killed_one_left() {
    // The old container stopped and renamed; the new one made; the new one started.
    for (test, moment) in [("die", "die"), ("create", "create"), ("begun", "start")] {
        let test = format!("killed-{test}");
        let Some(setting) = Setting::new(&test, &READY).map(Setting::deployed) else {
            return;
        };
        setting.service(&patient());
        let mut events = setting.machine.engine().events();
        let running = setting.project.start(&["deploy"]);
        events.wait_for(moment);
        running.end_with("KILL").was_killed();

        setting.service(GREETING);
        let run = deployed_in_the_end(&setting);
        run.tells("left over from an interrupted run");
        setting.runs_only(&setting.id());
        let run = setting.project.toolbox(&["deploy"]).exits(0);
        run.tells("nothing to do");
    }
}

#[test]
fn earlier_container_that_a_killed_deploy_stopped_runs_again_when_the_next_deploy_fails() {
    let Some(setting) = Setting::new("killed-twice", &READY).map(Setting::deployed) else {
        return;
    };
    let earlier = setting.id();
    setting.service(&patient());
    let mut events = setting.machine.engine().events();
    let running = setting.project.start(&["deploy"]);
    events.wait_for("die");
    running.end_with("KILL").was_killed();
    events.wait_for("disconnect");

    setting.service("    command: [fail]\n");
    setting.project.toolbox(&["deploy"]).exits(1).prints("failed, rolled back");
    setting.runs_only(&earlier);
}

/// The engine goes on with what a killed run told it, and its proxy may hold the port for a moment with no running
/// container to show for it: that the port is taken is then the answer, and no harm is done.
fn deployed_in_the_end(setting: &Setting) -> Run {
    let busy = "port 8080 is taken on the host by another process";
    let runs = (0..20).map(|_| setting.project.toolbox(&["deploy"]));
    let run = runs.into_iter().find(|run| !run.stderr.contains(busy));
    run.expect("the port becomes free").exits(0)
}
