//! `toolbox hosts`, `hosts check` and `hosts trust` with a real sshd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value as Json;

use crate::project::Project;
use crate::ssh::key;
use crate::sshd::{KeyPair, Sshd};

/// An sshd, a project that reaches it, and an empty known_hosts.
fn stranger(test: &str) -> (tempfile::TempDir, Sshd, Project) {
    let (directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    let project = Project::through(test, &sshd, &key.private);
    fs::remove_file(project.path("known_hosts")).unwrap();
    (directory, sshd, project)
}

/// The lines of known_hosts for its keys.
fn lines_of(sshd: &Sshd) -> String {
    let line = |key: &KeyPair| format!("[127.0.0.1]:{} {}\n", sshd.port, key.public_without_comment());
    sshd.host_keys.iter().map(line).collect()
}

fn known_hosts(project: &Project) -> String {
    fs::read_to_string(project.path("known_hosts")).unwrap_or_default()
}

#[test]
fn hosts_are_listed_with_login_and_groups_without_asking_them() {
    let project = Project::new("hosts-list");
    project.write("inventory.ini", "[web]\nweb[1:2] ansible_user=deploy\n[eu:children]\nweb\n[db]\ndb1:2222\n");
    let listed = project.toolbox(&["hosts", "--limit", "web"]);
    assert_eq!(listed.status, Some(0), "{}", listed.stderr);
    assert_eq!(
        listed.stdout,
        "HOST  ADDRESS  USER    PORT  GROUPS\nweb1  web1     deploy  22    eu, web\nweb2  web2     deploy  22    eu, web\n"
    );
    let listed = project.toolbox(&["hosts", "--format", "json"]);
    let rows: Json = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(
        rows[0],
        serde_json::json!({"name": "db1", "address": "db1", "user": "root", "port": 2222, "groups": ["db"]})
    );
    assert_eq!(rows.as_array().unwrap().len(), 3);
}

#[test]
fn keys_are_shown_and_nothing_is_written_until_told() {
    let (_directory, sshd, project) = stranger("hosts-trust");
    let shown = project.toolbox(&["hosts", "trust"]);
    assert_eq!(shown.status, Some(0), "{}", shown.stderr);
    for key in &sshd.host_keys {
        assert!(shown.stdout.contains(&key.fingerprint()), "{}", shown.stdout);
    }
    assert!(shown.stderr.contains("nothing was written") && !project.path("known_hosts").exists(), "{}", shown.stderr);
    assert!(!sshd.log().contains("Accepted"), "nobody logs in");

    let added = project.toolbox(&["hosts", "trust", "--yes"]);
    assert_eq!(added.status, Some(0), "{}", added.stderr);
    assert_eq!(known_hosts(&project), lines_of(&sshd));
    assert_eq!(fs::metadata(project.path("known_hosts")).unwrap().permissions().mode() & 0o777, 0o644);

    let again = project.toolbox(&["hosts", "trust", "--yes"]);
    assert!(again.stderr.contains("on file: ./known_hosts:1, ./known_hosts:2"), "{}", again.stderr);
    assert_eq!(known_hosts(&project), lines_of(&sshd));
}

#[test]
fn another_key_on_file_stops_with_both_fingerprints_and_the_way_to_remove_it() {
    let (directory, sshd, project) = stranger("hosts-changed");
    let old = KeyPair::generate(directory.path(), "old", "ed25519");
    let line = format!("# kept\n[127.0.0.1]:{} {}\n", sshd.port, old.public_without_comment());
    project.write("known_hosts", &line);
    let refused = project.toolbox(&["hosts", "trust", "--yes"]);
    assert_eq!(refused.status, Some(1), "{}", refused.stdout);
    let removal = format!("ssh-keygen -R '[127.0.0.1]:{}' -f ", sshd.port);
    for part in [&old.fingerprint(), &sshd.host_keys[0].fingerprint(), &removal] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(known_hosts(&project), line);
}

#[test]
fn a_key_of_another_type_is_added_to_no_host_that_has_one() {
    let (_directory, sshd, project) = stranger("hosts-partly");
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_keys[1].public_without_comment());
    project.write("known_hosts", &line);
    let settled = project.toolbox(&["hosts", "trust", "--yes"]);
    assert_eq!(settled.status, Some(0), "{}", settled.stderr);
    assert_eq!(known_hosts(&project), line);
}

#[test]
fn where_nothing_can_be_written_the_lines_are_printed() {
    let (_directory, sshd, project) = stranger("hosts-readonly");
    // A directory of this name cannot be replaced, by root neither.
    fs::create_dir(project.path("known_hosts")).unwrap();
    let fails = project.toolbox(&["hosts", "trust", "--yes", "--known-hosts", "other"]);
    assert_eq!(fails.status, Some(2), "{}", fails.stderr);
    fs::remove_dir(project.path("known_hosts")).unwrap();
    let read_only = ["unshare", "--mount", "sh", "-c", "mount --bind -o ro . . && cd \"$PWD\" && exec \"$@\"", "sh"];
    let project = project.run_by(&read_only);
    let printed = project.toolbox(&["hosts", "trust", "--yes"]);
    assert_eq!(printed.status, Some(1), "{} {}", printed.stdout, printed.stderr);
    // Nothing else, so that the output can be added to the file.
    assert_eq!(printed.stdout, lines_of(&sshd));
    assert!(printed.stderr.contains("mounted read-only"), "{}", printed.stderr);
    assert!(!project.path("known_hosts").exists());
}

#[test]
fn a_check_says_what_a_host_is_and_fails_for_one_that_cannot_be_reached() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &["AllowTcpForwarding no", "MaxSessions 1"]);
    let project = Project::through("hosts-check", &sshd, &key.private);
    let alone = project.toolbox(&["hosts", "check", "--format", "json"]);
    let rows: Json =
        serde_json::from_str(&alone.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", alone.stdout, alone.stderr));
    let row = &rows[0];
    assert_eq!(
        (&row["host"], &row["host_key"], &row["login_key"]),
        (&"vm".into(), &"ssh-ed25519".into(), &"ssh-ed25519".into())
    );
    assert_eq!(row["rights"], if crate::sshd::user() == "root" { "root" } else { "none" }, "{row}");
    assert!(row["os"].is_string() && row["architecture"].is_string() && row["free_bytes"].is_u64(), "{row}");
    let warnings = row["warnings"].to_string();
    assert!(warnings.contains("AllowTcpForwarding") && warnings.contains("MaxSessions 1"), "{warnings}");

    project.write("more.ini", "gone ansible_host=127.0.0.1 ansible_port=1\n");
    let both = project.toolbox(&["-i", "inventory.yaml", "-i", "more.ini", "hosts", "check"]);
    assert_eq!(both.status, Some(1), "{}", both.stdout);
    assert!(both.stderr.contains("gone: 127.0.0.1 refused the connection to port 1"), "{}", both.stderr);
    assert!(both.stdout.contains("hosts=2 ") && both.stdout.contains("gone  root@127.0.0.1:1"), "{}", both.stdout);
}

#[test]
fn sockets_that_sshd_refuses_are_named() {
    let (_directory, key) = key("rsa");
    let sshd = Sshd::start(&key, &["AllowStreamLocalForwarding no"]);
    let project = Project::through("hosts-sockets", &sshd, &key.private);
    // The socket of an engine that is gone: it is there, and may be opened.
    let socket = project.path("engine.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    project.host(&crate::sshd::user(), sshd.port, &format!("      toolbox_socket: {}\n", socket.display()));
    let checked = project.toolbox(&["hosts", "check", "--format", "json"]);
    let rows: Json = serde_json::from_str(&checked.stdout).unwrap();
    assert!(rows[0]["warnings"].to_string().contains("AllowStreamLocalForwarding"), "{rows}");
    assert!(rows[0]["clock_seconds"].as_i64().unwrap().abs() <= 2, "{rows}");
    assert_eq!((checked.status, &rows[0]["ok"]), (Some(1), &Json::Bool(false)), "{rows}");
}

#[test]
fn an_authority_may_be_pinned_in_the_inventory() {
    let (directory, key) = key("ed25519");
    let (sshd, authority) = Sshd::certified(directory.path(), &key);
    let project = Project::through("hosts-authority", &sshd, &key.private);
    fs::remove_file(project.path("known_hosts")).unwrap();
    let pins = format!(
        "      toolbox_host_key:\n        - '@cert-authority {}'\n        - {}\n",
        authority.public,
        key.public_without_comment()
    );
    project.host(&crate::sshd::user(), sshd.port, &pins);
    let checked = project.toolbox(&["hosts", "check", "--format", "json"]);
    let rows: Json = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(rows[0]["host_key"], "ssh-ed25519 certificate", "{rows}");
}
