//! Keys that are not there, do not open or may not be read: refused before any host is asked, exit status 2.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::project::Project;
use crate::sshd::{KeyPair, Sshd, run};

/// A project whose host nobody is to reach.
fn project(test: &str) -> Project {
    let project = Project::new(test);
    project.compose("services:\n  web:\n    image: web\n");
    project.host("root", 1, "");
    project
}

/// A key with the passphrase `open sesame`.
fn encrypted(directory: &Path) -> KeyPair {
    let key = KeyPair::generate(directory, "encrypted", "ed25519");
    let path = key.private.to_str().unwrap();
    run("ssh-keygen", &["-q", "-p", "-P", "", "-N", "open sesame", "-f", path]);
    key
}

#[test]
fn without_a_key_the_ways_to_give_one_are_told() {
    for verb in ["deploy", "plan", "status", "down"] {
        project("nokey").toolbox(&[verb]).exits(2).error(&["no SSH key was given"]).hint(&[
            "--key FILE",
            "--key -",
            "TOOLBOX_SSH_KEY_FILE",
        ]);
    }
}

#[test]
fn dev_null_stands_for_no_key() {
    project("null")
        .with_variable("TOOLBOX_SSH_KEY_FILE", "/dev/null")
        .toolbox(&["deploy"])
        .exits(2)
        .error(&["no key: /dev/null is empty"])
        .hint(&["TOOLBOX_KEY_FILE=FILE in .env", "--key - < FILE"]);
}

#[test]
fn key_file_that_is_not_there_is_named() {
    project("missing")
        .with_key(Some(Path::new("/nowhere/key")))
        .toolbox(&["deploy"])
        .exits(2)
        .error(&["/nowhere/key does not exist"]);
}

#[test]
fn encrypted_key_without_a_passphrase_is_refused_with_the_ways_to_give_one() {
    let directory = tempfile::tempdir().unwrap();
    let key = encrypted(directory.path());
    project("locked")
        .with_key(Some(&key.private))
        .toolbox(&["deploy"])
        .exits(2)
        .error(&["encrypted: the private key is encrypted and no passphrase was given"])
        .hint(&["TOOLBOX_SSH_PASSPHRASE_FILE"]);
}

#[test]
fn wrong_passphrase_is_told_from_a_file_and_on_standard_input_and_never_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let key = encrypted(directory.path());
    let passphrase = directory.path().join("passphrase");
    fs::write(&passphrase, "open barley\n").unwrap();
    run("chmod", &["600", passphrase.to_str().unwrap()]);
    let from_file = project("wrong")
        .with_key(Some(&key.private))
        .with_variable("TOOLBOX_SSH_PASSPHRASE_FILE", passphrase.to_str().unwrap())
        .toolbox(&["deploy"]);
    let text = fs::read_to_string(&key.private).unwrap() + "open barley\n";
    let from_input = project("wrong").toolbox_reading(&["deploy", "--key", "-"], text.as_bytes());
    for run in [from_file, from_input] {
        assert!(!run.stderr.contains("barley"), "{}", run.stderr);
        run.exits(2).error(&["the passphrase does not open the private key"]);
    }
}

#[test]
fn key_that_this_uid_may_not_read_is_refused_with_the_pipe_that_helps() {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "ed25519");
    let path = key.private.to_str().unwrap();
    run("chmod", &["000", path]);
    let project = project("denied").with_key(Some(&key.private));
    let uid = run("id", &["-u"]);
    // Root without capabilities, as in a container: it may read what belongs to it, and this belongs to another.
    let project = if uid.trim() == "0" {
        run("chown", &["65534", path]);
        project.run_by(&["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    } else {
        project
    };
    let words = format!("uid {} may not read {path} (owner uid", uid.trim());
    project.toolbox(&["deploy"]).exits(2).error(&[&words]).hint(&["--key - < FILE"]);
}

#[test]
fn key_that_others_can_read_is_refused_with_the_command_that_closes_it() {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "ed25519");
    let path = key.private.to_str().unwrap();
    run("chmod", &["644", path]);
    project("open")
        .with_key(Some(&key.private))
        .toolbox(&["deploy"])
        .exits(2)
        .error(&["permissions 0644", "too open"])
        .hint(&[&format!("chmod 600 {path}")]);
}

#[test]
fn public_key_and_other_text_are_no_private_key() {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "ed25519");
    for (text, words) in [
        (key.public.as_str(), "it is a public key; the private one is wanted"),
        ("hello\n", "there is no private key in it"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "its END line is missing"),
    ] {
        let run = project("text").toolbox_reading(&["deploy", "--key", "-"], text.as_bytes());
        run.exits(2).error(&["standard input", words]);
    }
}

/// An sshd of this machine, and a host behind it whose engine is not there: how far a login gets without touching it.
fn logs_in(project: &Project, input: &[u8], arguments: &[&str]) {
    project.compose("services:\n  web:\n    image: nothing-of-this-name\n");
    let run = project.toolbox_reading(arguments, input);
    run.tells("connect to ").tells(" s\n");
}

#[test]
fn key_on_standard_input_logs_in_with_its_passphrase_on_the_line_after() {
    let directory = tempfile::tempdir().unwrap();
    let plain = KeyPair::generate(directory.path(), "plain", "rsa");
    let encrypted = encrypted(directory.path());
    for (key, after) in [(plain, ""), (encrypted, "open sesame\n")] {
        let sshd = Sshd::start(&key, &[]);
        let project = Project::through("stdin", &sshd, &key.private).with_key(None);
        let text = fs::read_to_string(&key.private).unwrap() + after;
        logs_in(&project, text.as_bytes(), &["down", "--key", "-"]);
        assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    }
}

#[test]
fn key_in_the_environment_logs_in() {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "ed25519");
    let sshd = Sshd::start(&key, &[]);
    let text = fs::read_to_string(&key.private).unwrap();
    let project =
        Project::through("environment", &sshd, &key.private).with_key(None).with_variable("TOOLBOX_SSH_KEY", &text);
    logs_in(&project, b"", &["down"]);
    assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
}

#[test]
fn program_without_arguments_shows_its_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_toolbox")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: toolbox"));
}
