//! Host keys of a real sshd: whom we believe, and what is said about the others.

use toolbox::ssh::{SshError, Target};

use crate::ssh::{failure, key, open, somewhere};
use crate::sshd::{KeyPair, SshAgent, Sshd, run};

#[tokio::test]
async fn host_keys_on_file_are_accepted_in_every_form() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    let agent = SshAgent::with(&[&key]);
    let [ed25519, rsa] = sshd.host_keys.each_ref().map(KeyPair::public_without_comment);
    let host = format!("[127.0.0.1]:{}", sshd.port);
    for known_hosts in [
        format!("{host} {ed25519}\n"),
        // Only the type on file can be accepted, so it must be asked for.
        format!("# comment\n\n\t{host}\t{rsa} comment\n"),
        format!("[127.0.0.*]:*,!other {rsa}\nnonsense\n"),
    ] {
        open(&sshd.target_with(&known_hosts), &agent).await.unwrap();
    }
    let hashed = sshd.target_with(&format!("{host} {ed25519}\n"));
    run("ssh-keygen", &["-q", "-H", "-f", hashed.known_hosts[0].to_str().unwrap()]);
    assert!(std::fs::read_to_string(&hashed.known_hosts[0]).unwrap().starts_with("|1|"));
    open(&hashed, &agent).await.unwrap();
    let pinned = Target { pinned: vec![rsa], ..sshd.target_with("") };
    open(&pinned, &agent).await.unwrap();
}

#[tokio::test]
async fn a_host_certificate_of_an_authority_on_file_is_accepted() {
    let (directory, key) = key("ed25519");
    let (sshd, authority) = Sshd::certified(directory.path(), &key);
    let agent = SshAgent::with(&[&key]);
    open(&sshd.target_with(&format!("@cert-authority [127.0.0.1]:* {}\n", authority.public)), &agent).await.unwrap();
    let other = sshd.target_with(&format!("@cert-authority * {}\n", key.public));
    assert!(matches!(open(&other, &agent).await, Err(SshError::HostKeyUnknown(_))));
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_with_the_line_that_would_trust_it() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    // There is no agent: a login to a stranger would fail for that reason.
    let unknown = match failure(&sshd.target_with("")).await {
        SshError::HostKeyUnknown(unknown) => unknown,
        other => panic!("{other:?}"),
    };
    assert_eq!(unknown.fingerprint, sshd.host_keys[0].fingerprint());
    open(&sshd.target_with(&unknown.line), &SshAgent::with(&[&key])).await.unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_both_fingerprints() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    let target = sshd.target_with(&format!("\n[127.0.0.1]:{} {}\n", sshd.port, key.public));
    let changed = match open(&target, &SshAgent::with(&[&key])).await {
        Err(SshError::HostKeyChanged(changed)) => changed,
        other => panic!("{other:?}"),
    };
    assert_eq!(changed.fingerprint, sshd.host_keys[0].fingerprint());
    let [(fingerprint, place)] = changed.on_file.as_slice() else { panic!("{changed:?}") };
    assert_eq!(*fingerprint, key.fingerprint());
    assert!(place.to_string().ends_with("known_hosts:2"));
}

#[tokio::test]
async fn a_revoked_host_key_is_refused_whatever_else_is_on_file() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    let public = sshd.host_keys[0].public_without_comment();
    let target = sshd.target_with(&format!("* {public}\n@revoked * {public}\n"));
    let result = open(&target, &SshAgent::with(&[&key])).await;
    assert!(matches!(result, Err(SshError::HostKeyRevoked(_))), "{result:?}");
}

#[tokio::test]
async fn an_unreadable_known_hosts_stops_before_anything_is_sent() {
    let target = Target { known_hosts: vec!["/proc/self".into()], ..somewhere("does-not-exist.invalid", 22) };
    assert!(matches!(failure(&target).await, SshError::KnownHostsUnreadable { .. }));
}
