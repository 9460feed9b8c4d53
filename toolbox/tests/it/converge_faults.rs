//! What happens in the middle of a deploy: the connection is cut, the engine restarts, another deploy begins.

use crate::converge::everything;
use crate::deploy::Setting;
use crate::project::Run;

/// The exec by which a deploy asks for the lock, as the engine tells it.
const ASKS: &str = "exec_start: /toolbox-relay lock";

/// A service that never becomes well nor fails, so that its deploy stands still until it is ended.
fn never_well(setting: &Setting) {
    setting.greets(99);
    let file = setting.project.path("compose.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let waits = text.replace("retries: 3", "retries: 3\n      start_period: 1h");
    setting.project.compose(&waits.replace("GREETING: \"99\"", "GREETING: \"99\", UNHEALTHY: not yet"));
}

/// Checks that a deploy says what happened, on which host, and what to do.
#[track_caller]
fn failed_clearly(run: Run) {
    assert!(matches!(run.status, Some(1 | 3)), "{:?} {}", run.status, run.stderr);
    run.error(&["vm: "]).hint(&["again"]);
}

#[test]
fn cut_connection_is_an_error_and_the_next_deploy_repairs() {
    let Some(setting) = Setting::relayed("cut").map(Setting::deployed) else {
        return;
    };
    let crowd = setting.crowd();
    for (round, moment) in ["lock the project", "create container", "start container"].iter().enumerate() {
        never_well(&setting);
        let mut running = setting.project.start(&["deploy"]);
        running.says(moment);
        setting.machine.kill("sshd: root");
        let run = running.ends();
        failed_clearly(run);
        setting.greets(round + 1);
        setting.project.toolbox(&["deploy", "--lock-wait", "60"]).exits(0);
        setting.is_whole();
    }
    crowd.noticed_nothing();
}

#[test]
fn engine_that_restarts_in_mid_deploy_serves_again_by_itself_and_the_next_deploy_repairs() {
    let Some(setting) = Setting::relayed("restarted").map(Setting::deployed) else {
        return;
    };
    for (round, moment) in ["lock the project", "create container", "start container"].iter().enumerate() {
        never_well(&setting);
        let mut running = setting.project.start(&["deploy"]);
        running.says(moment);
        setting.machine.restart_engine();
        let run = running.ends();
        failed_clearly(run);

        setting.greets(round + 1);
        setting.project.toolbox(&["deploy", "--lock-wait", "60"]).exits(0);
        setting.is_whole();
        let crowd = setting.crowd();
        setting.project.toolbox(&["status"]).exits(0);
        crowd.noticed_nothing();
    }
}

#[test]
fn second_deploy_is_told_who_deploys_since_when_and_touches_nothing() {
    let Some(setting) = Setting::relayed("lock").map(Setting::deployed) else {
        return;
    };
    let project = &setting.project;
    never_well(&setting);
    let mut first = project.start(&["deploy"]);
    first.says("start container");
    let before = everything(&setting.machine, &project.name);

    setting.greets(2);
    let words = ["vm: ", "is deploying this project to this host since 20"];
    project
        .toolbox(&["deploy"])
        .exits(1)
        .error(&words)
        .hint(&["--lock-wait SECONDS"])
        .prints("failed, nothing changed");
    project.toolbox(&["prune", "--yes"]).exits(1).error(&words);
    assert_eq!(everything(&setting.machine, &project.name), before);

    let mut events = setting.machine.engine().events();
    let second = project.start(&["deploy", "--lock-wait", "120"]);
    events.wait_for(ASKS);
    first.end_with("INT").exits(130);
    second.ends().exits(0).tells("lock the project");
    assert_eq!(setting.greeting(), "2");
    setting.is_whole();
}

#[test]
fn lock_of_a_killed_deploy_is_free_again_for_one_that_waits() {
    let Some(setting) = Setting::relayed("freed").map(Setting::deployed) else {
        return;
    };
    never_well(&setting);
    let mut first = setting.project.start(&["deploy"]);
    first.says("start container");
    setting.greets(3);
    let mut events = setting.machine.engine().events();
    let second = setting.project.start(&["deploy", "--lock-wait", "15"]);
    events.wait_for(ASKS);
    first.end_with("KILL").was_killed();
    second.ends().exits(0);
    assert_eq!(setting.greeting(), "3");
    setting.is_whole();
}

#[test]
fn paused_keeper_is_not_taken_from_the_deploy_that_has_its_lock() {
    let Some(setting) = Setting::relayed("paused").map(Setting::deployed) else {
        return;
    };
    let (project, engine) = (&setting.project, setting.machine.engine());
    never_well(&setting);
    let mut first = project.start(&["deploy"]);
    first.says("start container");
    let keeper = format!("toolbox.{}", project.name);
    let id = || engine.docker(&["container", "inspect", "--format", "{{.Id}}", &keeper]);
    let before = id();
    engine.docker(&["pause", &keeper]);
    let run = project.toolbox(&["deploy"]).exits(1).error(&["vm: ", &keeper, "is paused"]);
    run.hint(&["docker unpause", &keeper]).prints("failed, nothing changed");
    engine.docker(&["unpause", &keeper]);
    assert_eq!(id(), before);
    let run = first.end_with("INT").exits(130);
    assert!(!run.stderr.contains("was lost"), "{}", run.stderr);
    setting.greets(0);
    setting.is_whole();
}
