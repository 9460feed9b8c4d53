//! Releases: what a host keeps of each deploy, the way back without anything but the host, and what is thrown away.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::converge::greeting;
use crate::deploy::Setting;
use crate::engine::archive;
use crate::project::Run;

/// Hides the local engine from the command behind it.
const OFFLINE: &[&str] =
    &["unshare", "--mount", "sh", "-c", "mount --bind /dev/null /run/docker.sock && exec \"$@\"", "offline"];

/// Writes version `n`: an image, a variable, and a config of its own.
fn version(setting: &Setting, n: u32) {
    setting.image.replace(&n.to_string());
    setting.project.write("motd", &format!("day {n}"));
    setting.greets(n as usize);
    let file = setting.project.path("compose.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let service = text.replace("    ports:", "    configs: [{source: motd, target: /motd}]\n    ports:");
    let last = "configs: {motd: {file: motd}}\nx-toolbox: {keep_releases: 3}\n";
    setting.project.compose(&(service + last));
}

fn deployed(test: &str, versions: u32) -> Option<Setting> {
    let setting = Setting::relayed(test)?;
    for n in 1..=versions {
        version(&setting, n);
        setting.project.toolbox(&["deploy"]).exits(0);
    }
    Some(setting)
}

/// Checks that the host runs version `n`, all of it.
#[track_caller]
fn runs(setting: &Setting, n: u32) {
    assert_eq!(greeting(&setting.machine, &setting.project.container("web")), n.to_string());
    let ask = ["exec", "-T", "web", "--", "/service", "talk"];
    let talk = setting.project.toolbox_reading(&ask, b"read /motd\nread /version\n").exits(0);
    talk.prints(&format!("day {n}")).prints(&format!("\"{} {n}\"", setting.image.name));
}

/// The releases that the host keeps, the newest first.
fn releases(setting: &Setting) -> Vec<Value> {
    let run = setting.project.toolbox(&["releases", "--format", "json"]).exits(0);
    serde_json::from_str(&run.stdout).unwrap()
}

fn id(release: &Value) -> &str {
    release["release"].as_str().unwrap()
}

/// Goes back with neither a local engine nor the sources: a file that compose.yaml names is missing.
fn rolls_back(setting: &Setting, arguments: &[&str]) -> Run {
    let project = &setting.project;
    std::fs::remove_file(project.path("motd")).unwrap();
    let run = Run::of(project.command(&[&["rollback"], arguments].concat(), OFFLINE).output().unwrap());
    project.write("motd", "restored");
    run.tells("motd").tells(&format!("this goes by what the hosts keep of {}", project.name))
}

/// Of a project whose file does not load, what is there is compared with the newest release.
#[test]
fn status_without_the_file_goes_by_the_newest_release() {
    let Some(setting) = deployed("kept-status", 2) else {
        return;
    };
    let (project, engine) = (&setting.project, setting.machine.engine());
    let newest = releases(&setting)[0]["release"].clone();
    std::fs::remove_file(project.path("motd")).unwrap();
    let status = |services: &[&str], ends: i32| -> Value {
        let run = project.toolbox(&[&["status", "--format", "json"], services].concat()).exits(ends);
        serde_json::from_str(&run.tells("this goes by what the hosts keep of").stdout).unwrap()
    };
    let rows = status(&["web"], 0);
    assert_eq!((&rows[0]["service"], &rows[0]["release"]), (&"web".into(), &newest));
    assert_eq!((&rows[0]["drift"], &rows[1]), (&serde_json::json!([]), &Value::Null));
    engine.docker(&["rm", "--force", &project.container("web")]);
    let rows = status(&[], 1);
    assert_eq!((&rows[0]["service"], &rows[0]["state"]), (&"web".into(), &"absent".into()));
    project.toolbox(&["status", "be"]).exits(1).error(&["be is not deployed on vm"]);
}

#[test]
fn rollback_brings_image_environment_and_configs_back_from_the_host_alone() {
    let Some(setting) = deployed("back", 3) else {
        return;
    };
    let rows = releases(&setting);
    let seen: Vec<&Value> = rows.iter().map(|row| &row["current"]).collect();
    assert_eq!(seen, [true, false, false]);
    assert_eq!(rows[0]["services"], serde_json::json!(["web"]));
    setting
        .project
        .toolbox(&["releases"])
        .exits(0)
        .prints("RELEASE")
        .prints(&format!("{}  vm     current", id(&rows[0])));

    let crowd = setting.crowd();
    runs(&setting, 3);
    rolls_back(&setting, &[]).exits(0);
    runs(&setting, 2);
    let again = releases(&setting);
    assert_eq!((again[0]["rollback_of"].as_str(), &again[0]["current"]), (Some(id(&rows[1])), &Value::Bool(true)));
    rolls_back(&setting, &[]).exits(0);
    runs(&setting, 1);
    rolls_back(&setting, &[id(&rows[0])]).exits(0);
    runs(&setting, 3);
    crowd.noticed_nothing();

    // The sources of that time say the same.
    version(&setting, 3);
    setting.is_whole();
}

#[test]
fn release_that_is_not_there_any_more_is_an_error_that_touches_nothing() {
    let Some(setting) = deployed("gone", 2) else {
        return;
    };
    let (project, engine) = (&setting.project, setting.machine.engine());
    let rows = releases(&setting);
    project.toolbox(&["rollback", "yesterday"]).exits(2).error(&["yesterday"]).hint(&["toolbox releases"]);
    let run = project.toolbox(&["rollback", "20010101-000000"]).exits(2);
    run.error(&["do not keep release 20010101-000000"]).hint(&["toolbox releases"]);

    let pin = format!("toolbox.local/{}/web:{}", project.name, id(&rows[1]));
    engine.docker(&["image", "rm", &pin]);
    let run = project.toolbox(&["rollback"]).exits(1);
    run.error(&["vm: the image of web in release", id(&rows[1]), "is not on the host any more"])
        .hint(&["deploy again"]);
    runs(&setting, 2);

    let setting = Setting::relayed("single").map(Setting::deployed).unwrap();
    let run = setting.project.toolbox(&["rollback"]).exits(2);
    run.error(&["no release before the current one"]);
}

#[test]
fn only_the_last_releases_are_kept_and_prune_removes_ours_alone() {
    let Some(setting) = deployed("prune", 5) else {
        return;
    };
    let (project, engine) = (&setting.project, setting.machine.engine());
    assert_eq!(releases(&setting).len(), 3);
    let ours = || {
        let all = engine.docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        let pins = format!("toolbox.local/{}/", project.name);
        all.lines().filter(|line| line.starts_with(&pins)).count()
    };
    assert_eq!(ours(), 3, "the pins went with their releases");

    // Strangers: an image that is used, one that is not, one without a name, and a container that has ended.
    engine.load(&archive("stranger:1", "1"));
    engine.load(&archive("stranger:2", "2"));
    engine.load(&archive("stranger:3", "3"));
    engine.load(&archive("stranger:3", "4"));
    engine.docker(&["run", "--name", "stranger", "stranger:1", "say", "hello"]);
    // A deploy that did not come up has left its image.
    version(&setting, 6);
    let file = project.path("compose.yaml");
    let broken = std::fs::read_to_string(&file).unwrap().replace("GREETING: \"6\"", "UNHEALTHY: \"no\"");
    project.compose(&broken);
    project.toolbox(&["deploy"]).exits(1);
    version(&setting, 5);
    assert_eq!(ours(), 4);

    let everything = || {
        let images = ["image", "ls", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"];
        let containers = engine.docker(&["ps", "--all", "--format", "{{.ID}} {{.Names}}"]);
        let lines = [engine.docker(&images), containers].join("\n");
        lines.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let before = everything();
    let listed = project.toolbox(&["prune"]).exits(0).tells("nothing was removed; prune --yes removes it").stdout;
    assert!(listed.contains("toolbox.local/") && !listed.contains("stranger"), "{listed}");
    assert_eq!(everything(), before);

    project.toolbox(&["prune", "--yes"]).exits(0);
    let gone: Vec<String> = before.difference(&everything()).cloned().collect();
    assert!(gone.len() == 1 && gone[0].contains(&format!("toolbox.local/{}/web:", project.name)), "{gone:?}");
    project.toolbox(&["prune"]).exits(0).prints("vm: nothing to remove");
    rolls_back(&setting, &[]).exits(0);
    runs(&setting, 4);
}

#[test]
fn prune_of_a_host_that_the_project_is_not_on_removes_what_it_left_there() {
    let Some(setting) = Setting::relayed("bare") else {
        return;
    };
    let prune = || setting.project.toolbox(&["prune", "--yes"]).exits(0);
    prune().prints("vm: nothing to remove");
    setting.project.toolbox(&["deploy"]).exits(0);
    setting.project.toolbox(&["down", "--volumes"]).exits(0);
    prune().prints("toolbox-relay:");
    let images = setting.machine.engine().docker(&["image", "ls", "--format", "{{.Repository}}"]);
    assert_eq!(images, setting.project.name, "a name that a person gave stays");
    prune().prints("vm: nothing to remove");
}
