//! Keys that an agent starts with, and what becomes of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::agent_process::{Bench, Started, stderr, stdout, wait_until};
use crate::sshd::{KeyPair, run};

fn listed(bench: &Bench, agent: &Started) -> String {
    stdout(&bench.ssh_add(agent, &["-l"]))
}

#[test]
fn it_starts_with_the_keys_that_a_deploy_would_use() {
    let bench = Bench::new();
    let [one, other] = ["one", "other"].map(|name| KeyPair::generate(&bench.path(""), name, "ed25519"));
    let (one_path, other_path) = (one.private.to_str().unwrap(), other.private.to_str().unwrap());
    let agent = Started::by(&mut bench.verb(&["-s", "--key", one_path, "--key", other_path]));
    assert!(listed(&bench, &agent).contains(&one.fingerprint()));
    assert!(listed(&bench, &agent).contains(&other.fingerprint()));
    for (name, value) in
        [("TOOLBOX_SSH_KEY_FILE", one_path.to_owned()), ("TOOLBOX_SSH_KEY", fs::read_to_string(&one.private).unwrap())]
    {
        let agent = Started::by(bench.ssh_agent().arg("-s").env(name, value));
        assert!(listed(&bench, &agent).contains(&one.fingerprint()), "{name}");
        let environment = fs::read(agent.proc("environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("PRIVATE KEY"), "{name}");
    }
    let mut piped = bench.verb(&["-s", "--key", "-"]);
    let agent = Started::by(piped.stdin(Stdio::from(fs::File::open(&other.private).unwrap())));
    assert!(listed(&bench, &agent).contains(&other.fingerprint()));
}

#[test]
fn no_key_is_fine() {
    let bench = Bench::new();
    let agent = Started::by(bench.verb(&["-s"]).env("TOOLBOX_SSH_KEY_FILE", "/dev/null"));
    assert_eq!(listed(&bench, &agent), "The agent has no identities.\n");
}

#[test]
fn a_command_works_with_the_keys_of_a_deploy() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "rsa");
    let path = key.private.to_str().unwrap();
    let output = bench.verb(&["--key", path, "--", "ssh-add", "-l"]).output().unwrap();
    assert!(output.status.success() && stdout(&output).contains(&key.fingerprint()), "{output:?}");
    let output = bench.verb(&["ssh-add", "-l"]).env("TOOLBOX_SSH_KEY_FILE", path).output().unwrap();
    assert!(stdout(&output).contains(&key.fingerprint()), "{output:?}");
}

#[test]
fn a_key_that_cannot_be_read_leaves_no_agent_behind() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "ed25519");
    let path = key.private.to_str().unwrap();
    run("ssh-keygen", &["-q", "-p", "-P", "", "-N", "open sesame", "-f", path]);
    let open = KeyPair::generate(&bench.path(""), "open", "ed25519");
    fs::set_permissions(&open.private, fs::Permissions::from_mode(0o644)).unwrap();
    for file in [path, open.private.to_str().unwrap(), "/no/such/file"] {
        let socket = bench.path("socket");
        let output = bench.verb(&["-s", "-a", socket.to_str().unwrap(), "--key", file]).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{output:?}");
        assert!(stderr(&output).contains(file) && !socket.exists(), "{output:?}");
    }
}

#[test]
fn a_default_lifetime_ends_keys_that_were_added_without_one() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "ed25519");
    let path = key.private.to_str().unwrap();
    let agent = bench.started(&["-t1"]);
    assert!(bench.ssh_add(&agent, &[path]).status.success());
    wait_until("it is gone", || listed(&bench, &agent) == "The agent has no identities.\n");
    let agent = Started::by(&mut bench.verb(&["-st", "1h30m", "--key", path]));
    assert!(listed(&bench, &agent).contains(&key.fingerprint()));
}

#[test]
fn a_lifetime_holds_for_the_keys_it_starts_with() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "ed25519");
    let agent = Started::by(&mut bench.verb(&["-st1", "--key", key.private.to_str().unwrap()]));
    wait_until("it is gone", || listed(&bench, &agent) == "The agent has no identities.\n");
}
