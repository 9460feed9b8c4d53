//! Hooks: commands before and after a swap, in a container of the new image, once a deploy.

use crate::converge::everything;
use crate::deploy::Setting;
use crate::swap::web;

/// Writes a start-first service with these hooks.
fn hooked(setting: &Setting, greeting: usize, before: &str, after: &str) {
    let service = web(&setting.image.name, 1, greeting);
    let hooks = format!("    x-toolbox:\n      hooks: {{before: [{before}], after: [{after}]}}\n");
    setting.project.compose(&(service + &hooks));
}

#[test]
fn hooks_run_once_around_the_swap_and_what_they_say_is_told() {
    let Some(setting) = Setting::relayed("hooks") else {
        return;
    };
    hooked(&setting, 0, "[say, the tables are there]", "[say, the caches are warm]");
    let run = setting.project.toolbox(&["deploy"]).exits(0);
    let said = |text: &str| run.stderr.find(text).unwrap_or_else(|| panic!("{text:?} in {}", run.stderr));
    let order = [
        "vm: web hooks.before[0]: the tables are there",
        "wait until web is healthy",
        "vm: web hooks.after[0]: the caches are warm",
    ]
    .map(said);
    assert!(order.is_sorted(), "{}", run.stderr);
    setting.is_whole();

    let run = setting.project.toolbox(&["deploy"]).exits(0).tells("nothing to do");
    assert!(!run.stderr.contains("tables"), "{}", run.stderr);
}

#[test]
fn failing_hook_leaves_or_brings_back_the_earlier_release_and_is_quoted() {
    let Some(setting) = Setting::relayed("hookfail").map(Setting::deployed) else {
        return;
    };
    let crowd = setting.crowd();
    let id = setting.id();
    for (before, after) in [("[fail]", "[say, x]"), ("[say, x]", "[fail]")] {
        hooked(&setting, 1, before, after);
        let run = setting.project.toolbox(&["deploy"]).exits(1);
        run.error(&["vm: service web: hook `fail` exited with status 3", "cannot find the database"]);
        assert_eq!(setting.id(), id);
        let names = everything(&setting.machine, &setting.project.name);
        assert_eq!(names.len(), 3, "{names:?}");
    }
    setting.greets(0);
    setting.is_whole();
    crowd.noticed_nothing();
}

#[test]
fn hook_that_was_killed_with_its_deploy_runs_again_and_leaves_nothing() {
    let Some(setting) = Setting::relayed("hookkill").map(Setting::deployed) else {
        return;
    };
    hooked(&setting, 1, "[serve]", "");
    let mut events = setting.machine.engine().events();
    let running = setting.project.start(&["deploy"]);
    events.wait_for("start");
    running.end_with("KILL").was_killed();
    hooked(&setting, 1, "[say, migrated]", "");
    setting.project.toolbox(&["deploy", "--lock-wait", "60"]).exits(0).tells("vm: web hooks.before[0]: migrated");
    setting.is_whole();
}
