//! At each of its steps the deployer is killed, its connection cut, or the engine restarted: whoever was served is served
//! on as long as the engine runs, and the next deploy repairs by itself.

use crate::deploy::Setting;

/// The steps of a replacement, as they are told when each has ended.
const REPLACEMENT: &[&str] = &[
    "connect",
    "1 operation",
    "lock the project",
    "create container",
    "start container",
    "wait until web is healthy",
    "switch relay",
    "wait until connections to the earlier web have ended",
    "stop container",
];

/// The steps of a first deploy.
const FIRST: &[&str] = &[
    "push toolbox-relay",
    "create keeper",
    "lock the project",
    "push tbit-",
    "create network",
    "create container",
    "create relay",
    "start relay",
    "wait until relay",
    "start container",
    "wait until web is healthy",
];

/// Kills a deploy when it says this, and lets the next one repair.
#[track_caller]
fn killed_and_repaired(setting: &Setting, moment: &str) {
    let mut running = setting.project.start(&["deploy"]);
    running.says(moment);
    running.end_with("KILL").was_killed();
    // The host learns of the death a moment later.
    setting.project.toolbox(&["deploy", "--lock-wait", "60"]).exits(0);
    setting.is_whole();
}

/// Lets something happen when a deploy says this; the next one repairs. At its last steps it may have been done.
#[track_caller]
fn hit_and_repaired(setting: &Setting, moment: &str, hit: impl Fn()) {
    let mut running = setting.project.start(&["deploy"]);
    running.says(moment);
    hit();
    let run = running.ends();
    assert!(matches!(run.status, Some(0 | 1 | 3)), "{moment}: {:?} {}", run.status, run.stderr);
    if run.status != Some(0) {
        run.error(&["vm: "]).hint(&["again"]);
    }
    setting.project.toolbox(&["deploy", "--lock-wait", "60"]).exits(0);
    setting.is_whole();
}

#[test]
fn replacement_whose_connection_is_cut_at_any_step_is_not_noticed_and_the_next_deploy_repairs() {
    let Some(setting) = Setting::relayed("cut-swap").map(Setting::deployed) else {
        return;
    };
    let crowd = setting.crowd();
    for (round, moment) in REPLACEMENT.iter().enumerate() {
        setting.greets(round + 1);
        hit_and_repaired(&setting, moment, || setting.machine.kill("sshd: root"));
        assert_eq!(setting.greeting(), (round + 1).to_string(), "{moment}");
    }
    crowd.noticed_nothing();
}

#[test]
fn replacement_whose_engine_restarts_at_any_step_is_repaired_by_the_next_deploy() {
    let Some(setting) = Setting::relayed("restart-swap").map(Setting::deployed) else {
        return;
    };
    for (round, moment) in REPLACEMENT.iter().enumerate() {
        setting.greets(round + 1);
        hit_and_repaired(&setting, moment, || setting.machine.restart_engine());
        assert_eq!(setting.greeting(), (round + 1).to_string(), "{moment}");
    }
}

#[test]
fn replacement_that_is_killed_at_any_step_is_not_noticed_and_the_next_deploy_repairs() {
    let Some(setting) = Setting::relayed("killed-swap").map(Setting::deployed) else {
        return;
    };
    let crowd = setting.crowd();
    for (round, moment) in REPLACEMENT.iter().enumerate() {
        setting.greets(round + 1);
        killed_and_repaired(&setting, moment);
        assert_eq!(setting.greeting(), (round + 1).to_string(), "{moment}");
    }
    setting.image.replace("2");
    killed_and_repaired(&setting, "push tbit-");
    crowd.noticed_nothing();
}

#[test]
fn killed_replacement_is_repaired_by_going_back_to_the_earlier_definition_too() {
    let Some(setting) = Setting::relayed("killed-back").map(Setting::deployed) else {
        return;
    };
    let crowd = setting.crowd();
    for moment in ["create container", "start container", "switch relay", "stop container"] {
        setting.greets(1);
        let mut running = setting.project.start(&["deploy"]);
        running.says(moment);
        running.end_with("KILL").was_killed();
        setting.greets(0);
        setting.project.toolbox(&["deploy", "--lock-wait", "60"]).exits(0);
        setting.is_whole();
        assert_eq!(setting.greeting(), "0", "{moment}");
    }
    crowd.noticed_nothing();
}

#[test]
fn first_deploy_that_is_killed_at_any_step_is_repaired_by_the_next() {
    let Some(setting) = Setting::relayed("killed-first") else {
        return;
    };
    let engine = setting.machine.engine();
    for moment in FIRST {
        killed_and_repaired(&setting, moment);
        setting.project.toolbox(&["down", "--volumes"]).exits(0);
        // The next round sends the images again.
        engine.docker(&["image", "prune", "--all", "--force"]);
    }
}
