//! Hosts behind others: hops, proxy commands, and what ssh_config says of both, with real sshd all along the way.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use toolbox::ssh::{Hop, SshError, Target, Way};
use toolbox::ssh_config::{Algorithms, Arguments, Config, Files, Person, Query, arguments};

use crate::project::Project;
use crate::ssh::{key, open, somewhere};
use crate::sshd::{KeyPair, SshAgent, Sshd, user};

fn behind(target: Target, hop: Target) -> Target {
    Target { way: Way::Hop(Hop::new(hop)), ..target }
}

/// The lists that these arguments of ssh give.
fn algorithms(words: &[&str]) -> Algorithms {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let found: Arguments = arguments(&words).unwrap();
    let query = Query { host: "x", arguments: &found, default_user: "root", exec: None };
    Config::read(&Files::Off, Person::default()).unwrap().resolve(&query).unwrap().algorithms
}

fn logins(sshd: &Sshd) -> usize {
    sshd.log().matches("Accepted publickey").count()
}

#[tokio::test]
async fn a_host_is_reached_through_one_hop_and_through_two() {
    let (_directory, key) = key("ed25519");
    let agent = SshAgent::with(&[&key]);
    let (outer, inner, host) = (Sshd::start(&key, &[]), Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let one = open(&behind(host.target(), outer.target()), &agent).await.unwrap();
    assert_eq!(one.exec("echo hello", b"").await.unwrap().stdout_text(), "hello");
    assert_eq!((logins(&outer), logins(&inner), logins(&host)), (1, 0, 1));
    let two = open(&behind(host.target(), behind(inner.target(), outer.target())), &agent).await.unwrap();
    assert_eq!(two.exec("echo hello", b"").await.unwrap().stdout_text(), "hello");
    assert_eq!((logins(&outer), logins(&inner), logins(&host)), (2, 1, 2));
    let environment = two.exec("env", b"").await.unwrap().stdout_text();
    assert!(!environment.contains("SSH_AUTH_SOCK"), "no agent is forwarded: {environment}");
}

#[tokio::test]
async fn connections_to_hosts_behind_one_hop_share_its_connections() {
    let (_directory, key) = key("ed25519");
    let agent = SshAgent::with(&[&key]);
    // One session, as for a hop that is for jumping alone: channels to other hosts are none.
    let (bastion, first, second) =
        (Sshd::start(&key, &["MaxSessions 1"]), Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let hop = Hop::new(bastion.target());
    let through = |target: Target| Target { way: Way::Hop(hop.clone()), ..target };
    let (first, second) = (through(first.target()), through(second.target()));
    let dialer = agent.dialer();
    let bulk = |target| toolbox::ssh::Connection::open_bulk(target, &dialer);
    let (a, b, c, d) = tokio::join!(open(&first, &agent), open(&second, &agent), bulk(&first), bulk(&second));
    let connections = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap()];
    for connection in &connections {
        assert!(connection.exec("true", b"").await.unwrap().success());
    }
    assert_eq!(logins(&bastion), 2, "one for control, one for bulk data");
    // When the last is gone the hop's goes too, and the next one opens it anew.
    for connection in connections {
        connection.close().await;
    }
    assert!(open(&first, &agent).await.unwrap().exec("true", b"").await.unwrap().success());
}

#[tokio::test]
async fn a_hop_whose_key_is_not_known_is_not_logged_into() {
    let (_directory, key) = key("ed25519");
    let agent = SshAgent::with(&[&key]);
    let (bastion, host) = (Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let target = behind(host.target(), bastion.target_with(""));
    let error = open(&target, &agent).await.unwrap_err();
    let SshError::Hop { hop, source } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, SshError::HostKeyUnknown(_)), "{source:?}");
    assert!(hop.ends_with(&format!("@127.0.0.1:{}", bastion.port)), "{hop}");
    assert!(error.hint().unwrap().contains("known_hosts"));
    assert_eq!((logins(&bastion), host.connections()), (0, 0));
}

#[tokio::test]
async fn a_changed_key_at_the_second_hop_stops_there_and_is_told_as_that_hops() {
    let (_directory, key) = key("ed25519");
    let agent = SshAgent::with(&[&key]);
    let (outer, inner, host) = (Sshd::start(&key, &[]), Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let other = format!("[127.0.0.1]:{} {}\n", inner.port, outer.host_keys[0].public);
    let target = behind(host.target(), behind(inner.target_with(&other), outer.target()));
    let error = open(&target, &agent).await.unwrap_err();
    let SshError::Hop { hop, source } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, SshError::HostKeyChanged(_)), "{source:?}");
    assert!(hop.ends_with(&format!(":{}", inner.port)), "{hop}");
    assert_eq!((logins(&outer), logins(&inner), host.connections()), (1, 0, 0));
}

#[tokio::test]
async fn a_hop_that_forbids_forwarding_is_named_with_the_setting() {
    let (_directory, key) = key("ed25519");
    let agent = SshAgent::with(&[&key]);
    let host = Sshd::start(&key, &[]);
    for setting in ["AllowTcpForwarding no", "PermitOpen 192.0.2.1:22", "DisableForwarding yes"] {
        let bastion = Sshd::start(&key, &[setting]);
        let error = open(&behind(host.target(), bastion.target()), &agent).await.unwrap_err();
        let SshError::HopRefused { hop, port, .. } = &error else { panic!("{setting}: {error:?}") };
        assert!(hop.ends_with(&format!(":{}", bastion.port)) && *port == host.port, "{error}");
        assert!(error.hint().unwrap().contains("AllowTcpForwarding"), "{error}");
    }
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn a_host_that_does_not_answer_the_hop_is_told_with_both() {
    let (_directory, key) = key("ed25519");
    let bastion = Sshd::start(&key, &[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = Target { pinned: vec![bastion.host_keys[0].public.clone()], ..somewhere("127.0.0.1", free) };
    let error = open(&behind(target, bastion.target()), &SshAgent::with(&[&key])).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains(&bastion.port.to_string()) && said.contains(&free.to_string()), "{said}");
    assert!(error.hint().unwrap().contains("ssh-keyscan"), "{error:?}");
}

#[tokio::test]
async fn a_proxy_command_is_the_way_and_ends_with_the_connection() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    let (id, config) = (sshd.path("id"), sshd.path("sshd_config"));
    let command = format!("sh -c 'echo $$ > {}; exec /usr/sbin/sshd -i -f {}'", id.display(), config.display());
    let target = Target { way: Way::Command(command), ..sshd.target() };
    let connection = open(&target, &SshAgent::with(&[&key])).await.unwrap();
    assert_eq!(connection.exec("echo hello", b"").await.unwrap().stdout_text(), "hello");
    assert_eq!(sshd.connections(), 0, "nobody came by TCP");
    let process = Path::new("/proc").join(fs::read_to_string(id).unwrap().trim());
    assert!(process.exists());
    connection.close().await;
    drop(connection);
    let deadline = Instant::now() + Duration::from_secs(30);
    while process.exists() {
        assert!(Instant::now() < deadline, "the command is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_proxy_command_that_fails_is_told_with_its_words() {
    let (_directory, key) = key("ed25519");
    let way = Way::Command("sh -c 'echo no way >&2; exit 3'".to_owned());
    let pinned = vec![key.public_without_comment()];
    let target = Target { way, pinned, ..somewhere("192.0.2.1", 22) };
    let error = open(&target, &SshAgent::with(&[&key])).await.unwrap_err();
    let SshError::ProxyEnded { status, stderr, .. } = &error else { panic!("{error:?}") };
    assert!(status.contains('3') && stderr == "no way", "{error}");
}

#[tokio::test]
async fn an_alias_is_the_name_in_known_hosts() {
    let (_directory, key) = key("ed25519");
    let agent = SshAgent::with(&[&key]);
    let sshd = Sshd::start(&key, &[]);
    let known = format!("the-alias {}\n", sshd.host_keys[0].public);
    let named = |alias: Option<&str>| Target { host_key_alias: alias.map(str::to_owned), ..sshd.target_with(&known) };
    assert!(open(&named(Some("The-Alias")), &agent).await.is_ok());
    assert!(matches!(open(&named(None), &agent).await, Err(SshError::HostKeyUnknown(_))));
    assert!(matches!(open(&named(Some("another")), &agent).await, Err(SshError::HostKeyUnknown(_))));
}

#[tokio::test]
async fn nothing_but_the_named_key_is_offered_where_that_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let keys: Vec<KeyPair> = (0..4).map(|i| KeyPair::generate(directory.path(), &format!("k{i}"), "ed25519")).collect();
    let agent = SshAgent::with(&keys.iter().collect::<Vec<_>>());
    let sshd = Sshd::start(&keys[3], &["MaxAuthTries 1"]);
    let named = |index: usize| vec![keys[index].public.parse().unwrap()];
    let only = |index| Target { identities: named(index), identities_only: true, ..sshd.target() };
    open(&only(3), &agent).await.unwrap();
    let Err(SshError::AuthRefused(refusal)) = open(&only(0), &agent).await else { panic!("it was let in") };
    assert_eq!(refusal.tried.len(), 1);
    let none = Target { identities_only: true, ..sshd.target() };
    assert!(matches!(open(&none, &agent).await, Err(SshError::NoIdentities { .. })));
}

#[tokio::test]
async fn algorithms_are_those_of_the_configuration() {
    let (_directory, key) = key("ed25519");
    let agent = SshAgent::with(&[&key]);
    let settings = [
        "Ciphers aes192-ctr",
        "MACs hmac-sha2-512",
        "KexAlgorithms ecdh-sha2-nistp521",
        "HostKeyAlgorithms rsa-sha2-256",
    ];
    let sshd = Sshd::start(&key, &settings);
    let with = |words: &[&str]| Target { algorithms: algorithms(words), ..sshd.target() };
    assert!(matches!(open(&with(&[]), &agent).await, Err(SshError::NoCommonAlgorithm { .. })));
    let all = ["-oCiphers=+aes192-*", "-oMACs=^hmac-sha2-512", "-oKexAlgorithms=ecdh-*"];
    open(&with(&all), &agent).await.unwrap();
    let without_rsa = [&all[..], &["-oHostKeyAlgorithms=-rsa-*"]].concat();
    assert!(matches!(open(&with(&without_rsa), &agent).await, Err(SshError::NoCommonAlgorithm { .. })));
    let nothing = open(&with(&["-oCiphers=blowfish-cbc"]), &agent).await.unwrap_err();
    assert!(matches!(nothing, SshError::NoAlgorithm { key: "Ciphers", .. }), "{nothing:?}");
    let refused = open(&with(&[&all[..], &["-oPubkeyAcceptedAlgorithms=rsa-*"]].concat()), &agent).await;
    let Err(SshError::AuthRefused(refusal)) = refused else { panic!("{refused:?}") };
    assert!(refusal.tried[0].outcome.contains("PubkeyAcceptedAlgorithms"), "{refusal}");
}

/// A project whose host `vm` is called `inside` and stands behind `bastion`, as ssh_config beside compose.yaml says.
fn project_behind(test: &str, bastion: &Sshd, host: &Sshd, key: &Path, more: &str) -> Project {
    let project = Project::through(test, host, key).with_key(None);
    project.write("inventory.yaml", "all:\n  hosts:\n    vm:\n      ansible_host: inside\n");
    let known = [bastion, host].map(|sshd| fs::read_to_string(&sshd.target().known_hosts[0]).unwrap()).concat();
    project.write("known_hosts", &known);
    let (user, key) = (user(), key.display());
    project.write(
        "ssh_config",
        &format!(
            "{more}\nHost *\n User {user}\n IdentityFile {key}\n IdentityFile /nonexistent/key\n IdentitiesOnly yes\n\
             Host inside\n HostName 127.0.0.1\n Port {}\n ProxyJump bastion\n\
             Host bastion\n HostName 127.0.0.1\n Port {}\n",
            host.port, bastion.port
        ),
    );
    project.compose("services:\n  web:\n    image: web\n");
    project
}

#[test]
fn ssh_config_beside_the_project_leads_through_a_bastion_with_its_keys() {
    let (_directory, key) = key("ed25519");
    let (bastion, host) = (Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let project = project_behind("bastion", &bastion, &host, &key.private, "ForwardAgent yes\n");
    let run = project.toolbox(&["down"]);
    assert!(logins(&bastion) >= 1 && logins(&host) >= 1, "{}", run.both());
    run.tells("no agent is ever forwarded");
    let before = logins(&bastion);
    project.toolbox(&["down", "--ssh-config", "none"]).exits(2).error(&["no SSH key was given"]);
    assert_eq!(logins(&bastion), before);
}

#[test]
fn keys_of_a_host_behind_a_bastion_are_shown_by_one_login_at_the_bastion() {
    let (_directory, key) = key("ed25519");
    let (bastion, host) = (Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let project = project_behind("trust-behind", &bastion, &host, &key.private, "");
    let trusted = fs::read_to_string(&bastion.target().known_hosts[0]).unwrap();
    project.write("known_hosts", &trusted);
    project.toolbox(&["hosts", "trust", "--yes"]).exits(0);
    assert_eq!((logins(&bastion), logins(&host)), (1, 0));
    let added = fs::read_to_string(project.path("known_hosts")).unwrap();
    let lines = added.strip_prefix(&trusted).unwrap();
    for key in &host.host_keys {
        assert!(lines.contains(&key.public_without_comment()), "{lines}");
    }
    project.write("known_hosts", "");
    project.toolbox(&["hosts", "trust", "--yes"]).exits(1).error(&["the hop", "not known"]);
    assert_eq!(fs::read_to_string(project.path("known_hosts")).unwrap(), "");
}

#[test]
fn what_is_wrong_with_ssh_config_is_shown_before_any_host_is_asked() {
    let (_directory, key) = key("ed25519");
    let (bastion, host) = (Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let project = project_behind("circle", &bastion, &host, &key.private, "Host bastion\n ProxyJump inside\n");
    project.toolbox(&["down"]).exits(2).error(&["ssh_config:", "ProxyJump", "inside -> bastion -> inside"]);
    project.write("ssh_config", "Host inside\n Prot 22\n Port x\n");
    let run = project.toolbox(&["down"]).exits(2).error(&["ssh_config:2", "Prot"]);
    assert_eq!(run.errors(), 2, "{}", run.both());
    assert_eq!((bastion.connections(), host.connections()), (0, 0));
}
