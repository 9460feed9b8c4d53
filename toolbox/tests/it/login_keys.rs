//! Which keys the deployer reads and offers: those of the inventory first, certificates, several at once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::project::{Project, Run};
use crate::sshd::{KeyPair, SshAgent, Sshd, run};

/// A host that lets one key in, four keys that it does not know, and a project for it.
struct Setting {
    project: Project,
    sshd: Sshd,
    key: KeyPair,
    wrong: [KeyPair; 4],
}

impl Setting {
    fn new(test: &str, settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate(directory.path(), "right", "ed25519");
        let sshd = Sshd::start(&key, settings);
        let project = Project::through(test, &sshd, &key.private).with_key(None);
        project.compose("services:\n  web:\n    image: web\n");
        fs::create_dir(project.path("keys")).unwrap();
        let make = |name: &str| KeyPair::generate(&project.path("keys"), name, "ed25519");
        let (key, wrong) = (make("right"), ["a", "b", "c", "d"].map(make));
        sshd.authorize(&[&key]);
        Self { project, sshd, key, wrong }
    }

    /// The same with variables for the host.
    fn naming(self, variables: &str) -> Self {
        self.project.host(&self.sshd.target().user, self.sshd.port, variables);
        self
    }

    /// `down` logs in, and gets no further.
    fn down(&self, keys: &[&KeyPair]) -> Run {
        let arguments = keys.iter().flat_map(|key| ["--key", key.private.to_str().unwrap()]);
        self.project.toolbox(&["down"].into_iter().chain(arguments).collect::<Vec<_>>())
    }

    #[track_caller]
    fn logged_in(&self, run: &Run, refused: usize) {
        let log = self.sshd.log();
        assert!(log.contains("Accepted publickey"), "{}\n{log}", run.stderr);
        assert_eq!(log.matches("Failed publickey").count(), refused, "{log}");
    }
}

const RIGHT: &str = "      ansible_ssh_private_key_file: keys/right\n";

#[test]
fn named_key_logs_in_where_only_one_refusal_is_allowed_and_others_follow_it() {
    let setting = Setting::new("named", &["MaxAuthTries 2"]).naming(RIGHT);
    let run = setting.down(&setting.wrong.each_ref());
    setting.logged_in(&run, 0);
    let other = Setting::new("others", &[]).naming("      ansible_ssh_private_key_file: keys/a\n");
    let run = other.down(&[&other.key]);
    other.logged_in(&run, 1);
}

#[test]
fn too_many_keys_are_told_with_those_offered_and_nobody_comes_back() {
    let setting = Setting::new("many", &["MaxAuthTries 2"]);
    let [a, b, c, d] = &setting.wrong;
    setting
        .down(&[a, b, c, d, &setting.key])
        .exits(1)
        .error(&["any identity", &a.fingerprint(), &b.fingerprint(), "it hung up after 2 of 5", "Too many"])
        .hint(&["MaxAuthTries", "ansible_ssh_private_key_file: FILE", "--key FILE --no-upstream"]);
    assert_eq!(setting.sshd.connections(), 1);
}

#[test]
fn named_key_that_is_nowhere_is_refused_before_any_host_is_asked() {
    let setting = Setting::new("nowhere", &[]).naming("      ansible_ssh_private_key_file: keys/none\n");
    let path = setting.project.path("keys/none");
    let words = ["keys/none does not exist", "(ansible_ssh_private_key_file of vm)"];
    setting.down(&[&setting.key]).exits(2).error(&words).hint(&["mount it", "ssh-add", "inventory's directory"]);
    // The public half alone is not enough.
    fs::copy(setting.project.path("keys/right.pub"), path.with_extension("pub")).unwrap();
    let alone = ["only the public half is there, and no agent has the private one"];
    setting.down(&[&setting.wrong[0]]).exits(2).error(&alone);
    let setting = setting.naming("      ansible_ssh_private_key_file: keys/none.pub\n");
    setting.down(&[&setting.wrong[0]]).exits(2).error(&alone);
    assert_eq!(setting.sshd.connections(), 0);
    // With the key from elsewhere it says which of several is meant.
    let run = setting.down(&[&setting.wrong[0], &setting.wrong[1], &setting.key]);
    setting.logged_in(&run, 0);
}

#[test]
fn public_half_of_a_named_key_is_enough_where_the_persons_agent_has_the_other() {
    let setting = Setting::new("half", &["MaxAuthTries 2"]).naming(RIGHT);
    let agent = SshAgent::with(&setting.wrong.iter().chain([&setting.key]).collect::<Vec<_>>());
    fs::remove_file(&setting.key.private).unwrap();
    let project = setting.project.with_variable("SSH_AUTH_SOCK", agent.socket().to_str().unwrap());
    let setting = Setting { project, ..setting };
    let run = setting.down(&[]);
    setting.logged_in(&run, 0);
}

/// An askpass program that notes each question and gives this answer.
fn askpass(project: &Project, answer: &str) -> String {
    let (script, log) = (project.path("askpass"), project.path("questions"));
    fs::write(&script, format!("#!/bin/sh\necho \"$1\" >> '{}'\necho '{answer}'\n", log.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    script.display().to_string()
}

fn questions(project: &Project) -> Vec<String> {
    let text = fs::read_to_string(project.path("questions")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn encrypt(key: &Path) {
    run("ssh-keygen", &["-q", "-p", "-P", "", "-N", "open sesame", "-a", "2", "-f", key.to_str().unwrap()]);
}

#[test]
fn file_that_several_hosts_name_is_read_once_with_its_passphrase_from_askpass() {
    let setting = Setting::new("once", &[]);
    encrypt(&setting.key.private);
    let target = setting.sshd.target();
    let host = format!("ansible_host: 127.0.0.1, ansible_port: {}, ansible_user: {}", target.port, target.user);
    setting.project.write(
        "inventory.yaml",
        &format!(
            "all:\n  vars: {{ansible_ssh_private_key_file: ~/keys/right}}\n  hosts:\n    one: {{{host}}}\n    two: {{{host}}}\n"
        ),
    );
    let askpass = askpass(&setting.project, "open sesame");
    let project = setting.project.with_variable("SSH_ASKPASS", &askpass);
    let setting = Setting { project, ..setting };
    let run = setting.down(&[]);
    setting.logged_in(&run, 0);
    assert_eq!(setting.sshd.log().matches("Accepted publickey").count(), 2);
    let key = setting.key.private.display().to_string();
    assert_eq!(questions(&setting.project), [format!("Enter passphrase for {key}: ")]);
}

#[test]
fn askpass_is_asked_three_times_and_not_at_all_where_it_is_not_wanted() {
    let setting = Setting::new("askpass", &[]);
    encrypt(&setting.key.private);
    let script = askpass(&setting.project, "open barley");
    let project = setting.project.with_variable("SSH_ASKPASS", &script);
    let setting = Setting { project, ..setting };
    let told = setting.down(&[&setting.key]).exits(2).error(&["the passphrase does not open the private key"]);
    assert!(!told.stderr.contains("barley"), "{}", told.stderr);
    let asked = questions(&setting.project);
    assert_eq!(asked.len(), 3);
    assert!(asked[2].starts_with("Bad passphrase, try again for "), "{asked:?}");
    let project = setting.project.with_variable("SSH_ASKPASS_REQUIRE", "never");
    let setting = Setting { project, ..setting };
    setting.down(&[&setting.key]).exits(2).error(&["encrypted and no passphrase was given"]).hint(&["SSH_ASKPASS"]);
    assert_eq!(questions(&setting.project).len(), 3);
    assert_eq!(setting.sshd.connections(), 0);
}

#[test]
fn every_bad_key_is_named_before_any_host_is_asked() {
    let setting = Setting::new("bad", &[]).naming("      ansible_ssh_private_key_file: keys/none\n");
    let [truncated, foreign, encrypted, open] = &setting.wrong;
    let text = fs::read_to_string(&truncated.private).unwrap();
    fs::write(&truncated.private, &text[..text.len() / 2]).unwrap();
    fs::write(&foreign.private, "PuTTY-User-Key-File-3: ssh-ed25519\n").unwrap();
    encrypt(&encrypted.private);
    fs::set_permissions(&open.private, fs::Permissions::from_mode(0o644)).unwrap();
    let [a, b, c, d] = &setting.wrong;
    let weak = KeyPair::generate(&setting.project.path("keys"), "weak", "ed25519");
    let path = weak.private.to_str().unwrap();
    run("ssh-keygen", &["-q", "-p", "-P", "", "-N", "open sesame", "-Z", "3des-cbc", "-f", path]);
    let told = setting.down(&[a, b, c, d, &weak, &setting.key]);
    assert_eq!(told.errors(), 6, "{}", told.stderr);
    told.exits(2)
        .error(&["keys/a: the private key is cut off: its END line is missing"])
        .error(&["keys/b: it is a PuTTY key"])
        .error(&["keys/c: the private key is encrypted and no passphrase was given"])
        .error(&["keys/weak: the private key is encrypted with 3des-cbc, which is not supported"])
        .hint(&[&format!("ssh-keygen -p -f {path}")])
        .error(&["permissions 0644 for", "keys/d are too open"])
        .error(&["keys/none does not exist"]);
    assert_eq!(setting.sshd.connections(), 0);
}

#[test]
fn keys_of_a_file_and_of_repeated_arguments_are_all_offered_and_the_same_one_is_told() {
    let setting = Setting::new("several", &[]);
    let both = setting.project.path("both");
    let text = [&setting.wrong[0], &setting.key].map(|key| fs::read_to_string(&key.private).unwrap()).concat();
    fs::write(&both, text).unwrap();
    fs::set_permissions(&both, fs::Permissions::from_mode(0o600)).unwrap();
    let [a, b, ..] = &setting.wrong;
    let arguments = ["down", "--key", b.private.to_str().unwrap(), "--key", both.to_str().unwrap()];
    let run = setting.project.toolbox(&[&arguments[..], &["--key", a.private.to_str().unwrap()]].concat());
    setting.logged_in(&run, 2);
    let message = format!("warning: {} holds the same key as {}", a.private.display(), both.display());
    run.tells(&message);
}

/// A host that trusts an authority and knows no key.
fn trusting(test: &str) -> (Setting, KeyPair, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let authority = KeyPair::generate(directory.path(), "authority", "ed25519");
    let setting = Setting::new(test, &[&format!("TrustedUserCAKeys {}.pub", authority.private.display())]);
    setting.sshd.authorize(&[]);
    (setting, authority, directory)
}

#[test]
fn certificate_beside_the_key_logs_in_and_is_offered_first() {
    let (setting, authority, _directory) = trusting("certificate");
    for name in ["right", "rsa", "ecdsa"] {
        let key = match name {
            "right" => KeyPair { private: setting.key.private.clone(), public: setting.key.public.clone() },
            kind => KeyPair::generate(&setting.project.path("keys"), kind, kind),
        };
        key.certify(&authority, &["-n", &setting.sshd.target().user]);
        let run = setting.down(&[&key]);
        setting.logged_in(&run, 0);
    }
    assert_eq!(setting.sshd.log().matches("Accepted publickey").count(), 3);
    let named = setting.naming(RIGHT);
    let run = named.down(&named.wrong.each_ref());
    named.logged_in(&run, 0);
}

#[test]
fn certificate_of_another_key_is_a_warning_and_the_key_logs_in() {
    let (setting, authority, _directory) = trusting("mismatch");
    setting.sshd.authorize(&[&setting.key]);
    let certificate = setting.wrong[0].certify(&authority, &[]);
    let beside = setting.project.path("keys/right-cert.pub");
    fs::copy(certificate, &beside).unwrap();
    let run = setting.down(&[&setting.key]);
    setting.logged_in(&run, 0);
    let (certificate, key) = (beside.display(), setting.key.private.display());
    run.tells(&format!("warning: certificate {certificate} does not match private key {key}"));
}
