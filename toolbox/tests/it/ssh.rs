//! Opening a connection to a real sshd: who is let in, and what stands in the way.

use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use toolbox::ssh::{AgentDialer, AuthRefusal, Connection, SshError, Target, Timeouts};

use crate::sshd::{KeyPair, SshAgent, Sshd};

pub(crate) fn key(kind: &str) -> (TempDir, KeyPair) {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "id", kind);
    (directory, key)
}

pub(crate) async fn open(target: &Target, agent: &SshAgent) -> Result<Connection, SshError> {
    let (target, agent) = (target.clone(), agent.dialer());
    // In a task, as the deployer does it for many hosts.
    let opening = async move { Connection::open(&target, &agent).await };
    tokio::spawn(opening).await.unwrap()
}

async fn refusal(sshd: &Sshd, agent: &SshAgent) -> AuthRefusal {
    match open(&sshd.target(), agent).await {
        Err(SshError::AuthRefused(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

/// The error on a target to which no connection can be had, so that no agent is asked.
pub(crate) async fn failure(target: &Target) -> SshError {
    let agent = AgentDialer::unix_socket("/nonexistent/agent");
    let timeouts = Timeouts { handshake: Duration::from_secs(2), ..Timeouts::default() };
    Connection::open(&Target { timeouts, ..target.clone() }, &agent).await.unwrap_err()
}

#[tokio::test]
async fn keys_of_every_type_let_in() {
    for kind in ["rsa", "ed25519", "ecdsa"] {
        let (_directory, key) = key(kind);
        let sshd = Sshd::start(&key, &[]);
        let connection = open(&sshd.target(), &SshAgent::with(&[&key])).await.unwrap();
        assert!(connection.exec("true", b"").await.unwrap().success(), "{kind}");
    }
}

#[tokio::test]
async fn rsa_never_signs_with_sha1() {
    let (_directory, key) = key("rsa");
    let modern = Sshd::start(&key, &["PubkeyAcceptedAlgorithms rsa-sha2-512"]);
    open(&modern.target(), &SshAgent::with(&[&key])).await.unwrap();
    // This one would let in who signs with SHA-1, and nobody else.
    let old = Sshd::start(&key, &["PubkeyAcceptedAlgorithms ssh-rsa"]);
    assert_eq!(refusal(&old, &SshAgent::with(&[&key])).await.tried.len(), 1);
}

#[tokio::test]
async fn a_user_certificate_lets_in() {
    let (directory, key) = key("ed25519");
    let authority = KeyPair::generate(directory.path(), "authority", "ed25519");
    let (_other, authorized) = self::key("ed25519");
    let setting = format!("TrustedUserCAKeys {}.pub", authority.private.display());
    let sshd = Sshd::start(&authorized, &[&setting]);
    key.certify(&authority, &["-n", &sshd.target().user]);
    open(&sshd.target(), &SshAgent::with(&[&key])).await.unwrap();
    assert!(sshd.log().contains("Accepted publickey"));
}

#[tokio::test]
async fn the_right_key_is_found_behind_a_wrong_one() {
    let (directory, key) = key("ed25519");
    let wrong = KeyPair::generate(directory.path(), "wrong", "rsa");
    let sshd = Sshd::start(&key, &[]);
    let connection = open(&sshd.target(), &SshAgent::with(&[&wrong, &key])).await.unwrap();
    let right = russh::keys::PublicKey::from_openssh(&key.public).unwrap();
    assert_eq!(connection.identity().key_data(), right.key_data());
}

#[tokio::test]
async fn a_refused_key_is_named_with_what_the_server_would_take() {
    let (directory, key) = key("ed25519");
    let wrong = KeyPair::generate(directory.path(), "wrong", "ed25519");
    let banner = directory.path().join("banner");
    std::fs::write(&banner, "authorised people only\n").unwrap();
    let sshd = Sshd::start(&key, &[&format!("Banner {}", banner.display())]);
    let refusal = refusal(&sshd, &SshAgent::with(&[&wrong])).await;
    assert_eq!(refusal.user, sshd.target().user);
    assert_eq!(refusal.methods, ["publickey"]);
    assert_eq!(refusal.banner.as_deref(), Some("authorised people only"));
    let [tried] = refusal.tried.as_slice() else { panic!("{refusal:?}") };
    assert_eq!((&tried.fingerprint, tried.comment.as_str()), (&wrong.fingerprint(), "wrong"));
}

#[tokio::test]
async fn too_many_keys_end_with_the_servers_words() {
    let (directory, key) = key("ed25519");
    let wrong = ["a", "b", "c", "d"].map(|name| KeyPair::generate(directory.path(), name, "ed25519"));
    let sshd = Sshd::start(&key, &["MaxAuthTries 2"]);
    let refusal = refusal(&sshd, &SshAgent::with(&wrong.each_ref())).await;
    assert!(refusal.hung_up.as_ref().unwrap().contains("Too many authentication failures"), "{refusal}");
    assert_eq!((refusal.tried.len(), refusal.left), (2, 2), "nothing is offered to a server that hung up");
    assert!(refusal.to_string().contains("it hung up after 2 of 4: "), "{refusal}");
    assert!(refusal.to_string().contains(&format!("{} a: refused", wrong[0].fingerprint())), "{refusal}");
    let hint = SshError::AuthRefused(Box::new(refusal)).hint().unwrap();
    assert!(hint.contains("MaxAuthTries") && hint.contains("ansible_ssh_private_key_file"), "{hint}");
    assert_eq!(sshd.connections(), 1, "nobody comes back to go on guessing");
}

#[tokio::test]
async fn a_named_key_is_offered_before_the_agents_others() {
    let (directory, key) = key("ed25519");
    let wrong = ["a", "b", "c", "d"].map(|name| KeyPair::generate(directory.path(), name, "ed25519"));
    let sshd = Sshd::start(&key, &["MaxAuthTries 2"]);
    let agent = SshAgent::with(&wrong.iter().chain([&key]).collect::<Vec<_>>());
    let named = |key: &KeyPair| russh::keys::PublicKey::from_openssh(&key.public).unwrap();
    let target = Target { identities: vec![named(&key)], ..sshd.target() };
    open(&target, &agent).await.unwrap();
    assert!(!sshd.log().contains("Failed publickey"), "{}", sshd.log());
    let target = Target { identities: vec![named(&wrong[3]), named(&key)], ..sshd.target() };
    open(&target, &agent).await.unwrap();
    assert_eq!(sshd.log().matches("Failed publickey").count(), 1);
}

#[tokio::test]
async fn a_certificate_is_offered_before_its_key() {
    let (directory, key) = key("ed25519");
    let authority = KeyPair::generate(directory.path(), "authority", "ed25519");
    let (_other, authorized) = self::key("ed25519");
    let sshd = Sshd::start(&authorized, &[&format!("TrustedUserCAKeys {}.pub", authority.private.display())]);
    key.certify(&authority, &["-n", &sshd.target().user]);
    // The agent lists the key before its certificate.
    open(&sshd.target(), &SshAgent::with(&[&key])).await.unwrap();
    assert!(!sshd.log().contains("Failed publickey"), "{}", sshd.log());
}

#[tokio::test]
async fn an_agent_without_keys_and_no_agent_are_told_apart() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    let empty = open(&sshd.target(), &SshAgent::with(&[])).await;
    assert!(matches!(empty, Err(SshError::NoIdentities { .. })), "{empty:?}");
    let none = failure(&sshd.target()).await;
    assert!(matches!(none, SshError::AgentUnreachable { .. }), "{none:?}");
}

#[tokio::test]
async fn a_key_restricted_to_one_host_opens_that_host_only() {
    let (directory, key) = key("ed25519");
    let (here, elsewhere) = (Sshd::start(&key, &[]), Sshd::start(&key, &[]));
    let known_hosts = directory.path().join("known_hosts");
    std::fs::write(&known_hosts, format!("here {}\n", here.host_keys[0].public)).unwrap();
    let agent = SshAgent::with(&[]);
    agent.add_with(&key, &["-h", "here", "-H", known_hosts.to_str().unwrap()]);
    open(&here.target(), &agent).await.unwrap();
    let result = open(&elsewhere.target(), &agent).await;
    assert!(matches!(result, Err(SshError::NoIdentities { .. } | SshError::AuthRefused(_))), "{result:?}");
}

#[tokio::test]
async fn an_agent_that_hangs_up_is_named() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &[]);
    let agent = AgentDialer::new(|| async { Ok(tokio::io::duplex(64).0) });
    let result = Connection::open(&sshd.target(), &agent).await;
    assert!(matches!(result, Err(SshError::AgentProtocol { .. })), "{result:?}");
}

#[tokio::test]
async fn of_what_both_sides_know_the_cheapest_is_taken() {
    let (_directory, key) = key("ed25519");
    for (ciphers, taken) in [
        (
            "Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com",
            "aes128-gcm@openssh.com",
        ),
        ("Ciphers aes256-ctr", "aes256-ctr MAC: hmac-sha2-256-etm@openssh.com"),
    ] {
        let sshd = Sshd::start(&key, &["LogLevel DEBUG1", ciphers]);
        open(&sshd.target(), &SshAgent::with(&[&key])).await.unwrap();
        let line = format!("client->server cipher: {taken}");
        assert!(sshd.log().contains(&line), "{line}: {}", sshd.log());
    }
}

#[tokio::test]
async fn no_common_cipher_names_both_lists() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &["Ciphers aes128-cbc"]);
    match failure(&sshd.target()).await {
        SshError::NoCommonAlgorithm { kind: "cipher", theirs, .. } => assert_eq!(theirs, ["aes128-cbc"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    let (_directory, key) = key("ed25519");
    // localhost may be ::1 first, where this sshd does not listen.
    let sshd = Sshd::start(&key, &[]);
    let known_hosts = format!("[localhost]:{} {}\n", sshd.port, sshd.host_keys[0].public);
    let target = Target { address: "localhost".to_owned(), ..sshd.target_with(&known_hosts) };
    open(&target, &SshAgent::with(&[&key])).await.unwrap();
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = failure(&somewhere("127.0.0.1", port)).await;
    assert!(matches!(error, SshError::Refused { port: refused, .. } if refused == port), "{error:?}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_unresolvable() {
    let error = failure(&somewhere("does-not-exist.invalid", 22)).await;
    assert!(
        matches!(&error, SshError::Unresolvable { address, .. } if address == "does-not-exist.invalid"),
        "{error:?}"
    );
}

#[tokio::test]
async fn servers_that_are_not_ssh_are_shown_with_their_words() {
    for (words, shown) in [
        ("HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("SSH-1.5-old\r\n", "SSH-1.5-old"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = somewhere("127.0.0.1", listener.local_addr().unwrap().port());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(words.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // What the client sends is read, else closing would reset the connection.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
        match failure(&target).await {
            SshError::NotSsh { said, .. } => assert_eq!(said, shown),
            other => panic!("{words:?}: {other:?}"),
        }
        serving.abort();
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_without_a_word_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = somewhere("127.0.0.1", listener.local_addr().unwrap().port());
    let serving = async {
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap()
    };
    let (error, _) = tokio::join!(failure(&target), serving);
    assert!(matches!(&error, SshError::NotSsh { said, .. } if said.starts_with("HTTP/1.1 400")), "{error:?}");
}

#[tokio::test]
async fn an_sshd_with_too_many_logins_under_way_is_asked_again() {
    let (_directory, key) = key("ed25519");
    let sshd = Sshd::start(&key, &["MaxStartups 1:100:1"]);
    let mut other = TcpStream::connect(("127.0.0.1", sshd.port)).await.unwrap();
    // Its banner: that login is under way.
    other.read_exact(&mut [0; 4]).await.unwrap();
    let (target, agent) = (sshd.target(), SshAgent::with(&[&key]));
    let opening = open(&target, &agent);
    let room = async {
        while !sshd.log().contains("past MaxStartups") {
            tokio::task::yield_now().await;
        }
        drop(other);
    };
    let (opened, ()) = crate::ssh_channels::soon(async { tokio::join!(opening, room) }).await;
    opened.unwrap();
}

#[tokio::test]
async fn a_server_that_falls_silent_after_its_banner_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = somewhere("127.0.0.1", listener.local_addr().unwrap().port());
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-silent\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        error = failure(&target) => assert!(matches!(error, SshError::HandshakeTimedOut { .. }), "{error:?}"),
        () = serving => unreachable!(),
    }
}

pub(crate) fn somewhere(address: &str, port: u16) -> Target {
    Target { name: "vm".to_owned(), ..Target::new(address, port, "root") }
}
