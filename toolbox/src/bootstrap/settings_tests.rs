//! What becomes of daemon.json.

use super::*;
use crate::inventory::{AddressPool, LogRotation};

fn wanted() -> EngineSettings {
    EngineSettings {
        live_restore: Some(true),
        log_rotation: Some(LogRotation { max_size: "10m".into(), max_file: Some(3) }),
        address_pools: Some(vec![AddressPool { base: "10.200.0.0/16".into(), size: 24 }]),
    }
}

fn live(on: bool) -> EngineSettings {
    EngineSettings { live_restore: Some(on), ..EngineSettings::default() }
}

fn change(before: &str, wanted: &EngineSettings) -> Result<Option<Change>, SettingsError> {
    Change::between("daemon.json", Some(before.to_owned()), wanted, None)
}

fn after(before: &str, wanted: &EngineSettings) -> Change {
    change(before, wanted).ok().flatten().expect("it differs")
}

#[test]
fn a_host_without_settings_gets_those_that_are_asked_for() {
    let change = Change::between("daemon.json", None, &wanted(), None).ok().flatten().unwrap();
    let settings: Json = serde_json::from_str(&change.after).unwrap();
    let expected = json!({
        "live-restore": true,
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "default-address-pools": [{"base": "10.200.0.0/16", "size": 24}],
    });
    assert_eq!(settings, expected);
    assert!(change.restart);
    assert_eq!(change.fields[..2], ["live-restore: absent -> true", "log-opts.max-size: absent -> \"10m\""]);
}

#[test]
fn other_keys_keep_their_place_and_their_text() {
    let before = r#"{"dns": ["1.1.1.1",   "9.9.9.9"], "log-opts": {"labels": "a", "max-size": "5m"}, "mtu": 1e3}"#;
    let change = after(before, &wanted());
    assert!(change.after.contains(r#""dns": ["1.1.1.1",   "9.9.9.9"]"#), "{}", change.after);
    assert!(change.after.contains("\"mtu\": 1e3"), "{}", change.after);
    let at = |key: &str| change.after.find(key).unwrap();
    assert!(at("dns") < at("log-opts") && at("log-opts") < at("mtu"), "{}", change.after);
    assert!(change.after.contains(r#"{"labels":"a","max-size":"10m","max-file":"3"}"#), "{}", change.after);
    assert!(change.fields.contains(&"log-opts.max-size: \"5m\" -> \"10m\"".to_owned()), "{:?}", change.fields);
    assert!(change.fields.iter().all(|field| !field.contains("dns")), "{:?}", change.fields);
}

#[test]
fn what_is_as_asked_is_left_alone() {
    let once = after("{}", &wanted());
    assert!(change(&once.after, &wanted()).unwrap().is_none());
    assert!(change("{\"live-restore\": true}", &EngineSettings::default()).unwrap().is_none());
    assert!(change(" \n", &live(false)).unwrap().is_none(), "Docker's own default needs no line");
}

#[test]
fn live_restore_alone_needs_no_restart() {
    assert!(!after("{}", &live(true)).restart);
    let off = after("{\"live-restore\": true}", &live(false));
    assert_eq!(off.fields, ["live-restore: true -> false"]);
}

#[test]
fn what_is_no_json_is_refused_and_what_it_holds_is_not_shown() {
    for text in ["{\"a\": secret", "[]", "\"x\"", "{\"log-opts\": [\"hidden\"]}"] {
        let error = change(text, &wanted()).err().expect(text);
        assert!(matches!(error, SettingsError::NotJson { .. }), "{error}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("hidden"), "{error}");
        assert!(error.hint().unwrap().contains("mv daemon.json"), "{:?}", error.hint());
    }
}

#[test]
fn logs_that_are_no_files_are_not_rotated() {
    let error = change("{\"log-driver\": \"journald\"}", &wanted()).err().unwrap();
    assert!(matches!(error, SettingsError::Driver { driver } if driver == "journald"));
    assert!(change("{\"log-driver\": \"local\"}", &wanted()).is_ok());
    assert!(Change::between("daemon.json", None, &wanted(), Some("syslog")).is_err());
}

#[test]
fn a_flag_of_the_daemon_is_not_written_into_the_file_too() {
    let arguments = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
    let refused = |line: &str, wanted: &EngineSettings| refuse_flags(&arguments(line), wanted).is_err();
    assert!(refused("dockerd --live-restore", &live(true)));
    assert!(refused("dockerd --log-opt max-size=1m", &wanted()));
    assert!(refused("dockerd --default-address-pool=base=10.0.0.0/8,size=24", &wanted()));
    assert!(!refused("dockerd --log-opt max-size=1m", &live(true)));
    assert!(!refused("dockerd --live-restorer", &live(true)));
    assert_eq!(argument(&arguments("dockerd --config-file /a"), "--config-file"), Some("/a"));
    assert_eq!(argument(&arguments("dockerd --config-file=/b"), "--config-file"), Some("/b"));
    assert_eq!(argument(&arguments("dockerd --config-file"), "--config-file"), None);
}

/// The script's file handling, with a stand-in for the engine.
mod script {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::{Command, Output};

    use super::*;

    fn host(validates: bool) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let validate =
            if validates { "case $* in *--help*) echo '--validate';; *) echo no >&2; exit 1;; esac" } else { ":" };
        program(directory.path(), "dockerd", validate);
        for name in ["systemctl", "service", "rc-service"] {
            program(directory.path(), name, "echo \"$0 $*\" >>\"${0%/*}/calls\"");
        }
        directory
    }

    fn program(directory: &Path, name: &str, script: &str) {
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(host: &Path, change: &Change, what: &str) -> Output {
        let path = format!("{}:{}", host.display(), std::env::var("PATH").unwrap());
        let script = format!("pidfile=/nonexistent/pid\n{}", change.script(what));
        Command::new("sh").args(["-c", &script]).env("PATH", path).output().unwrap()
    }

    fn change_on(host: &Path, before: Option<&str>) -> (std::path::PathBuf, Change) {
        let file = host.join("etc/daemon.json");
        if let Some(before) = before {
            fs::create_dir(host.join("etc")).unwrap();
            fs::write(&file, before).unwrap();
        }
        let change = Change::between(file.to_str().unwrap(), before.map(str::to_owned), &wanted(), None);
        (file, change.ok().flatten().unwrap())
    }

    #[test]
    fn the_file_before_stays_beside_and_comes_back() {
        let host = host(false);
        let before = "{\"dns\": [\"it's\"]}\n";
        let (file, change) = change_on(host.path(), Some(before));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let changed = run(host.path(), &change, "change");
        assert!(changed.status.success(), "{changed:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), change.after.clone() + "\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(file.with_extension("json.toolbox-backup")).unwrap(), before);
        assert!(fs::read_to_string(host.path().join("calls")).unwrap().contains("restart"));
        assert!(run(host.path(), &change, "undo").status.success());
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
        assert!(!file.with_extension("json.toolbox-new").exists());
    }

    #[test]
    fn a_file_that_was_not_there_is_made_and_goes_again() {
        let host = host(false);
        let (file, change) = change_on(host.path(), None);
        assert!(run(host.path(), &change, "change").status.success());
        assert!(file.exists());
        assert!(run(host.path(), &change, "undo").status.success());
        assert!(!file.exists());
    }

    #[test]
    fn what_docker_refuses_or_somebody_changed_meanwhile_is_not_written() {
        let host = host(true);
        let (file, change) = change_on(host.path(), Some("{}"));
        let refused = run(host.path(), &change, "change");
        assert!(!refused.status.success() && fs::read_to_string(&file).unwrap() == "{}", "{refused:?}");
        fs::write(&file, "{\"dns\": []}").unwrap();
        let late = run(host.path(), &change, "change");
        assert!(String::from_utf8_lossy(&late.stderr).contains("changed by somebody else"), "{late:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "{\"dns\": []}");
        assert!(!host.path().join("calls").exists(), "the engine is left alone");
    }
}
