//! Plans that are kept in a file, and what was changed on a host by hand.

use crate::deploy::Setting;
use crate::engine::archive;
use crate::project::Project;

const SECRET: &str = "s3kr1t-v4lue";

/// A service with a variable that nobody shall read, deployed with another value.
fn about_to_change(test: &str) -> Option<Setting> {
    let setting = Setting::relayed(test).map(Setting::deployed)?;
    setting.greets(1);
    let file = setting.project.path("compose.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    setting.project.compose(&text.replace("GREETING: \"1\"", &format!("GREETING: \"1\", PASSWORD: {SECRET}")));
    Some(setting)
}

#[test]
fn plan_file_is_carried_out_as_it_was_shown_and_holds_no_value() {
    let Some(setting) = about_to_change("kept") else {
        return;
    };
    let project = &setting.project;
    let shown = project.toolbox(&["plan", "--out", "swap.plan"]).exits(0);
    let text = std::fs::read_to_string(project.path("swap.plan")).unwrap();
    assert!(text.contains("environment.PASSWORD") && shown.stdout.contains("environment.PASSWORD"), "{text}");
    assert!(!text.contains(SECRET) && !shown.stdout.contains(SECRET), "{text}");
    assert_eq!(setting.greeting(), "0", "a plan changes nothing");

    let run = project.toolbox(&["deploy", "swap.plan"]).exits(0);
    assert!(run.stderr.contains(shown.stdout.trim_end()), "{}", run.stderr);
    assert!(!run.stderr.contains(SECRET), "{}", run.stderr);
    assert_eq!(setting.greeting(), "1");
    setting.is_whole();
    // It has been carried out: it is a plan of what is no more.
    project.toolbox(&["deploy", "swap.plan"]).exits(2).error(&["vm: the host changed since the plan was made"]);
}

#[test]
fn plan_file_is_refused_when_anything_else_changed_meanwhile() {
    let Some(setting) = about_to_change("drifted") else {
        return;
    };
    let (project, engine) = (&setting.project, setting.machine.engine());
    project.toolbox(&["plan", "--out", "swap.plan"]).exits(0);
    let compose = std::fs::read_to_string(project.path("compose.yaml")).unwrap();
    let refused = |words: &[&str]| {
        project.toolbox(&["deploy", "swap.plan"]).exits(2).error(words).hint(&["toolbox plan --out"]);
    };
    let id = setting.id();

    project.compose(&compose.replace("200ms", "300ms"));
    refused(&["compose file", "changed since the plan was made"]);
    project.compose(&compose);
    setting.image.replace("2");
    refused(&["image changed since the plan was made"]);
    setting.image.replace("1");

    let other = Project::on("other", &setting.machine);
    other.compose(&compose);
    std::fs::copy(project.path("swap.plan"), other.path("swap.plan")).unwrap();
    let run = other.toolbox(&["deploy", "swap.plan"]).exits(2);
    run.error(&["the plan is one of the project", &project.name, &other.name]);
    assert_eq!(setting.id(), id, "nothing was touched");

    engine.docker(&["rm", "--force", &id]);
    refused(&["vm: the host changed since the plan was made", "then: ~ replace", "now:  + create container"]);
    project.toolbox(&["deploy"]).exits(0);
    setting.is_whole();
}

#[test]
fn drift_made_by_hand_is_seen_named_and_repaired() {
    let Some(setting) = Setting::relayed("drift").map(Setting::deployed) else {
        return;
    };
    let (project, engine) = (&setting.project, setting.machine.engine());
    let (web, relay) = (project.container("web"), format!("toolbox.{}.web", project.name));
    let (keeper, network) = (format!("toolbox.{}", project.name), format!("{}_default", project.name));
    engine.load(&archive("stranger:1", "1"));
    let by_hand: &[(&[&str], &str)] = &[
        (&["stop", &web], "~ start container"),
        (&["rm", "-f", &web], "+ create container"),
        (&["rename", &web, "mine"], "mine"),
        (&["update", "--memory", "64m", "--memory-swap", "64m", &web], "changed on the host: mem_limit is 67.1 MB"),
        (&["update", "--cpu-shares", "512", &web], "changed on the host: cpu_shares is 512"),
        (&["update", "--restart", "always", &web], "restart"),
        (&["network", "disconnect", &network, &web], "disconnected from"),
        (&["tag", "stranger:1", &setting.image.name], &setting.image.name),
        (&["stop", &relay], &relay),
        (&["rm", "-f", &relay], &relay),
        (&["network", "disconnect", &network, &relay], "disconnected from"),
        (&["stop", &keeper], &keeper),
        (&["rm", "-f", &keeper], &keeper),
    ];
    for (command, named) in by_hand {
        engine.docker(command);
        let plan = project.toolbox(&["plan", "--detailed-exitcode"]);
        assert_eq!(plan.status, Some(2), "{command:?} is not seen: {}", plan.stdout);
        assert!(plan.stdout.contains(named), "{command:?} is not named: {}", plan.stdout);
        project.toolbox(&["deploy"]).exits(0);
        setting.is_whole();
    }
}

#[test]
fn service_whose_relay_was_stopped_by_hand_is_not_well() {
    let Some(setting) = Setting::relayed("relayless").map(Setting::deployed) else {
        return;
    };
    setting.project.toolbox(&["status"]).exits(0);
    setting.machine.engine().docker(&["stop", &format!("toolbox.{}.web", setting.project.name)]);
    setting.project.toolbox(&["status"]).exits(1).prints("relay stopped");
}
