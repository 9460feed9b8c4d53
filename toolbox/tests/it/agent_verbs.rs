//! `toolbox agent list | add | remove | lock | unlock` with our agent and OpenSSH's, compared with ssh-add.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::agent_process::{Bench, OPENSSH, Started, stderr, stdout};
use crate::sshd::KeyPair;

/// The verb against an agent.
fn asked(bench: &Bench, agent: &Started, arguments: &[&str]) -> Output {
    bench.verb(arguments).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap()
}

/// The same with something on standard input.
fn asked_with(bench: &Bench, agent: &Started, arguments: &[&str], input: &str) -> Output {
    let mut command = bench.verb(arguments);
    command.env("SSH_AUTH_SOCK", &agent.socket).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Our agent and OpenSSH's.
fn agents(bench: &Bench) -> [Started; 2] {
    [bench.started(&[]), Started::by(bench.prepared(Path::new(OPENSSH)).arg("-s"))]
}

fn keys(bench: &Bench) -> Vec<KeyPair> {
    let mut keys: Vec<_> =
        ["rsa", "ed25519", "ecdsa"].map(|kind| KeyPair::generate(&bench.path(""), kind, kind)).into_iter().collect();
    for bits in ["384", "521"] {
        let private = bench.path(bits);
        let path = private.to_str().unwrap();
        crate::sshd::run("ssh-keygen", &["-q", "-t", "ecdsa", "-b", bits, "-N", "", "-C", "two words", "-f", path]);
        let public = fs::read_to_string(private.with_extension("pub")).unwrap().trim().to_owned();
        keys.push(KeyPair { private, public });
    }
    keys
}

#[test]
fn what_is_added_is_listed_as_ssh_add_lists_it() {
    let bench = Bench::new();
    let keys = keys(&bench);
    for agent in agents(&bench) {
        let empty = asked(&bench, &agent, &["list"]);
        assert_eq!((empty.status.code(), stdout(&empty).as_str()), (Some(1), "The agent has no identities.\n"));
        let files: Vec<&str> = keys.iter().map(|key| key.private.to_str().unwrap()).collect();
        let added = asked(&bench, &agent, &[&["add"], files.as_slice()].concat());
        assert!(added.status.success(), "{added:?}");
        assert!(stderr(&added).contains(&format!("Identity added: {} (two words)\n", files[3])));
        for arguments in [&["-l"][..], &["-L"], &["-l", "-E", "md5"], &["-l", "-Esha512"]] {
            let theirs = bench.ssh_add(&agent, arguments);
            let ours = asked(&bench, &agent, &[&["list"], arguments].concat());
            assert_eq!(stdout(&ours), stdout(&theirs), "{arguments:?}");
        }
        let json = stdout(&asked(&bench, &agent, &["list", "--format", "json"]));
        let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(rows.len(), keys.len());
        assert_eq!((&rows[1]["type"], &rows[1]["bits"]), (&"ED25519".into(), &256.into()));
        assert_eq!(rows[1]["fingerprint"], keys[1].fingerprint());
        assert_eq!(rows[1]["public_key"], keys[1].public_without_comment());
        // The keys are whole: OpenSSH signs and verifies with each.
        for key in &keys {
            let tested = bench.ssh_add(&agent, &["-T", &format!("{}.pub", key.private.display())]);
            assert!(tested.status.success(), "{tested:?}");
        }
    }
}

#[test]
fn keys_are_removed_by_either_half_or_all_at_once() {
    let bench = Bench::new();
    let keys = keys(&bench);
    let [rsa, ed25519, ecdsa, ..] = keys.as_slice() else { panic!("there are more keys") };
    let path = |key: &KeyPair| key.private.to_str().unwrap().to_owned();
    for agent in agents(&bench) {
        let add = ["add", "-q", &path(rsa), &path(ed25519), &path(ecdsa)];
        assert_eq!(stderr(&asked(&bench, &agent, &add)), "");
        let removed = asked(&bench, &agent, &["remove", &path(rsa)]);
        assert_eq!(stderr(&removed), format!("Identity removed: {} RSA (rsa)\n", path(rsa)));
        let public = format!("{}.pub", path(ed25519));
        assert!(asked(&bench, &agent, &["remove", "-q", &public]).status.success());
        let listed = stdout(&asked(&bench, &agent, &["list"]));
        assert!(listed.contains(&ecdsa.fingerprint()) && listed.lines().count() == 1, "{listed}");
        assert_eq!(asked(&bench, &agent, &["remove", &path(rsa)]).status.code(), Some(1));
        assert_eq!(asked(&bench, &agent, &["remove", "/etc/passwd"]).status.code(), Some(1));
        assert!(asked_with(&bench, &agent, &["remove", "-"], &format!("# it\n\n{}\n", ecdsa.public)).status.success());
        assert_eq!(asked(&bench, &agent, &["list"]).status.code(), Some(1));
        assert!(asked(&bench, &agent, &add).status.success());
        let all = asked(&bench, &agent, &["remove", "--all"]);
        assert_eq!((all.status.code(), stderr(&all).as_str()), (Some(0), "All identities removed.\n"));
        assert_eq!(asked(&bench, &agent, &["list"]).status.code(), Some(1));
    }
}

#[test]
fn a_lock_hides_the_keys_until_its_passphrase_is_given() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "ed25519");
    for agent in agents(&bench) {
        assert!(asked(&bench, &agent, &["add", key.private.to_str().unwrap()]).status.success());
        let differ = asked_with(&bench, &agent, &["lock"], "one\nother\n");
        assert_eq!((differ.status.code(), stderr(&differ).as_str()), (Some(1), "Passwords do not match.\n"));
        let locked = asked_with(&bench, &agent, &["lock"], "word\nword\n");
        assert_eq!((locked.status.code(), stderr(&locked).as_str()), (Some(0), "Agent locked.\n"));
        assert_eq!(asked(&bench, &agent, &["list"]).status.code(), Some(1));
        assert_eq!(asked_with(&bench, &agent, &["unlock"], "wrong\n").status.code(), Some(1));
        let unlocked = asked_with(&bench, &agent, &["unlock"], "word\n");
        assert_eq!((unlocked.status.code(), stderr(&unlocked).as_str()), (Some(0), "Agent unlocked.\n"));
        assert!(asked(&bench, &agent, &["list"]).status.success());
    }
}

#[test]
fn certificates_and_constraints_are_what_openssh_s_agent_takes() {
    let bench = Bench::new();
    let authority = KeyPair::generate(&bench.path(""), "authority", "ed25519");
    let agent = Started::by(bench.prepared(Path::new(OPENSSH)).arg("-s"));
    for key in keys(&bench) {
        key.certify(&authority, &["-n", "me"]);
        let added = asked(&bench, &agent, &["add", "-t", "1h", "-c", key.private.to_str().unwrap()]);
        let said = stderr(&added);
        assert!(added.status.success() && said.contains("Certificate added: "), "{said}");
        assert_eq!(said.matches("Lifetime set to 3600 seconds\n").count(), 2, "{said}");
        assert_eq!(said.matches("The user must confirm each use of the key\n").count(), 2, "{said}");
    }
    let (theirs, ours) = (bench.ssh_add(&agent, &["-l"]), asked(&bench, &agent, &["list"]));
    assert_eq!(stdout(&ours), stdout(&theirs));
    assert_eq!(stdout(&ours).lines().count(), 10);
}

#[test]
fn destinations_are_looked_up_and_taken_by_openssh_s_agent() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "ed25519");
    let path = key.private.to_str().unwrap();
    let agent = Started::by(bench.prepared(Path::new(OPENSSH)).arg("-s"));
    let known = bench.path("known_hosts");
    fs::write(&known, format!("jump,web {}\n", key.public_without_comment())).unwrap();
    crate::sshd::run("ssh-keygen", &["-q", "-H", "-f", known.to_str().unwrap()]);
    let known = known.to_str().unwrap();
    let added = asked(&bench, &agent, &["add", "-H", known, "-h", "jump", "-h", "jump>me@web", path]);
    assert!(added.status.success(), "{added:?}");
    let unknown = asked(&bench, &agent, &["add", "-H", known, "-h", "other", path]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("no host key is known for `other`"), "{unknown:?}");
}

#[test]
fn without_an_agent_the_status_is_2() {
    let bench = Bench::new();
    let none = bench.verb(&["list"]).output().unwrap();
    let said = stderr(&none);
    assert_eq!(
        (none.status.code(), said.as_str()),
        (Some(2), "Could not open a connection to your authentication agent.\n")
    );
    let dead = bench.verb(&["list"]).env("SSH_AUTH_SOCK", "/no/such/socket").output().unwrap();
    let theirs = bench.prepared(Path::new("ssh-add")).arg("-l").env("SSH_AUTH_SOCK", "/no/such/socket").output();
    assert_eq!((dead.status.code(), stderr(&dead)), (Some(2), stderr(&theirs.unwrap())));
}

#[test]
fn the_verb_is_listed_explained_and_takes_no_option_of_the_deployer_s() {
    let toolbox = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_toolbox")).args(arguments).output().unwrap();
    assert!(stdout(&toolbox(&["--help"])).contains("\n  agent"));
    for help in [&["agent", "--help"][..], &["help", "agent"]] {
        let text = stdout(&toolbox(help));
        assert!(
            ["-t <LIFE>", "--key <FILE>", "unlock", "[COMMAND]..."].iter().all(|word| text.contains(word)),
            "{text}"
        );
        assert!(!text.contains("--inventory"), "{text}");
    }
    for refused in
        [&["agent", "-x"][..], &["agent", "-i", "x"], &["-q", "agent"], &["agent", "-t", "1x"], &["agent", "-cs"]]
    {
        assert_eq!(toolbox(refused).status.code(), Some(2), "{refused:?}");
    }
}

#[test]
fn behind_two_dashes_a_verb_s_name_is_a_command() {
    let bench = Bench::new();
    std::os::unix::fs::symlink("/bin/echo", bench.path("bin/list")).unwrap();
    let output = bench.verb(&["-t5", "--", "list", "-L"]).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "-L\n"), "{output:?}");
}
