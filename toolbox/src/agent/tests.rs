//! The agent against its real clients: OpenSSH's tools over a socket, russh's over a stream in memory.

use std::path::PathBuf;
use std::process::Output;

use russh::keys::agent::{AgentIdentity, Constraint, client::AgentClient};
use russh::keys::signature::Verifier as _;
use ssh_key::encoding::Decode as _;
use ssh_key::{HashAlg, Signature};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Command;

use super::*;

mod certificates;
mod confirm;
mod destinations;
mod fido;
mod protocol;
mod tokens;

/// The types of key, as `ssh-keygen` names them.
const TYPES: [&[&str]; 5] =
    [&["ed25519"], &["rsa", "-b", "2048"], &["ecdsa", "-b", "256"], &["ecdsa", "-b", "384"], &["ecdsa", "-b", "521"]];

/// A served agent in a directory of its own, with OpenSSH's tools pointed at it.
struct House {
    directory: tempfile::TempDir,
    agent: Agent,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl House {
    fn new() -> Self {
        Self::with(|_| Settings::default())
    }

    /// An agent that behaves as told; the settings may name paths in the house's directory.
    fn with(settings: impl FnOnce(&std::path::Path) -> Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let agent = Agent::with_settings(settings(directory.path()));
        std::fs::create_dir(directory.path().join("run")).unwrap();
        let socket = AgentSocket::bind(&directory.path().join("run/socket")).unwrap();
        let serving = agent.clone();
        let server = tokio::spawn(async move { serving.serve_unix(socket).await.unwrap() });
        Self { directory, agent, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.directory.path());
        command.env("SSH_AUTH_SOCK", self.path("run/socket"));
        command.env("SSH_ASKPASS", self.path("askpass")).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":none");
        command.output().await.unwrap()
    }

    /// Runs a tool that must succeed, and gives what it prints.
    async fn done(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a tool that must fail, and gives its exit status.
    async fn fails(&self, program: &str, arguments: &[&str]) -> i32 {
        let output = self.run(program, arguments).await;
        assert!(!output.status.success(), "{program} {arguments:?} must fail");
        output.status.code().unwrap()
    }

    async fn generate(&self, name: &str, kind: &[&str]) {
        let arguments = [&["-q", "-N", "", "-C", name, "-f", name, "-t"], kind].concat();
        self.done("ssh-keygen", &arguments).await;
    }

    /// One key of each type, generated, in the agent by `ssh-add`.
    async fn with_every_type() -> Self {
        let house = Self::new();
        for (number, kind) in TYPES.iter().enumerate() {
            house.generate(&format!("k{number}"), kind).await;
            house.done("ssh-add", &["-q", &format!("k{number}")]).await;
        }
        house
    }

    /// What `ssh-add` will be told when it asks for a passphrase.
    fn answer(&self, passphrase: &str) {
        self.askpass(&format!("echo '{passphrase}'"));
    }

    /// What the program that asks will do.
    fn askpass(&self, commands: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        // In one step, as a script that is being written cannot be run.
        let script = self.path("askpass.new");
        std::fs::write(&script, format!("#!/bin/sh\n{commands}\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::rename(script, self.path("askpass")).unwrap();
    }

    async fn raw(&self) -> UnixStream {
        UnixStream::connect(self.path("run/socket")).await.unwrap()
    }

    /// The blob of a public key or a certificate in a file.
    fn blob(&self, name: &str) -> Vec<u8> {
        use base64ct::Encoding as _;
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        base64ct::Base64::decode_vec(text.split(' ').nth(1).unwrap()).unwrap()
    }
}

/// Set in a process that a test has started for itself; names its directory.
const INSIDE: &str = "TOOLBOX_TEST_INSIDE";

/// Runs a test of this module again, in a process with these variables: helpers inherit the agent's environment, and a
/// process with threads cannot change its own.
fn again(test: &str, directory: &std::path::Path, variables: &[(&str, &std::path::Path)]) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("agent::tests::{test}"), "--nocapture"]).env(INSIDE, directory);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"), "{told}{error}");
}

/// Sends one message.
async fn send(stream: &mut (impl AsyncWrite + Unpin), body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, body].concat()).await.unwrap();
}

/// Receives one message; `None` at the end of the stream.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let length = stream.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    Some(body)
}

/// Sends one message and gives the answer.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), body: &[u8]) -> Vec<u8> {
    send(stream, body).await;
    receive(stream).await.unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    private_wire::put_string(&mut out, bytes);
    out
}

/// A sign request.
fn sign(blob: &[u8], data: &[u8]) -> Vec<u8> {
    [&[13][..], &string(blob), &string(data), &[0; 4]].concat()
}

/// Waits for a state.
async fn until(mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the state was not reached");
}

#[tokio::test]
async fn ssh_add_lists_removes_and_empties() {
    let house = House::with_every_type().await;
    let listed = house.done("ssh-add", &["-L"]).await;
    let public: Vec<String> = (0..TYPES.len())
        .map(|number| std::fs::read_to_string(house.path(&format!("k{number}.pub"))).unwrap())
        .collect();
    assert_eq!(listed, public.concat());
    assert_eq!(house.done("ssh-add", &["-l"]).await.lines().count(), TYPES.len());
    for number in 0..TYPES.len() {
        house.done("ssh-add", &["-T", &format!("k{number}.pub")]).await;
    }
    house.done("ssh-add", &["-q", "-d", "k1"]).await;
    assert_eq!(house.fails("ssh-add", &["-q", "-d", "k1"]).await, 1);
    assert!(!house.done("ssh-add", &["-l"]).await.contains(" k1 "));
    house.done("ssh-add", &["-q", "-D"]).await;
    assert_eq!(house.fails("ssh-add", &["-l"]).await, 1);
    assert_eq!(house.agent.identities(), []);
}

#[tokio::test]
async fn ssh_keygen_signs_with_every_type_and_verifies() {
    let house = House::with_every_type().await;
    std::fs::write(house.path("text"), "text").unwrap();
    for number in 0..TYPES.len() {
        let name = format!("k{number}");
        // Without the private file only the agent can have signed.
        std::fs::remove_file(house.path(&name)).unwrap();
        house.done("ssh-keygen", &["-q", "-Y", "sign", "-f", &format!("{name}.pub"), "-n", "test", "text"]).await;
        let signed = "ssh-keygen -Y check-novalidate -n test -s text.sig < text";
        let told = house.done("sh", &["-c", signed]).await;
        assert!(told.contains("Good \"test\" signature"), "{told}");
        std::fs::remove_file(house.path("text.sig")).unwrap();
    }
}

#[tokio::test]
async fn ssh_add_locks_and_unlocks() {
    let house = House::with_every_type().await;
    house.answer("word");
    house.done("ssh-add", &["-q", "-x"]).await;
    assert_eq!(house.fails("ssh-add", &["-l"]).await, 1);
    assert_eq!(house.fails("ssh-add", &["-T", "k0.pub"]).await, 1);
    assert_eq!(house.fails("ssh-add", &["-q", "k0"]).await, 1);
    assert_eq!(house.fails("ssh-add", &["-q", "-D"]).await, 1);
    house.answer("other");
    assert_eq!(house.fails("ssh-add", &["-q", "-X"]).await, 1);
    house.answer("word");
    house.done("ssh-add", &["-q", "-X"]).await;
    assert_eq!(house.done("ssh-add", &["-l"]).await.lines().count(), TYPES.len());
}

#[tokio::test]
async fn expired_identity_is_wiped_while_nobody_asks() {
    let house = House::new();
    house.generate("key", TYPES[0]).await;
    house.done("ssh-add", &["-q", "-t", "1h", "key"]).await;
    assert_eq!(house.agent.identities().len(), 1);
    let blob = house.blob("key.pub");
    let holder = |agent: &Agent| agent.keyring().find(&blob, Instant::now()).map(|found| found.holder.downgrade());
    // A shorter lifetime comes after a longer one, and is not missed.
    let key = std::fs::read(house.path("key")).unwrap();
    house.agent.add(parse(&key, None).unwrap(), Some(Duration::from_millis(500))).await.unwrap();
    let held = holder(&house.agent).unwrap();
    until(|| held.strong_count() == 0).await;
    assert_eq!(house.agent.identities(), []);
}

#[tokio::test]
async fn the_default_lifetime_is_for_keys_without_one() {
    let default_lifetime = Some(Duration::ZERO);
    let house = House::with(|_| Settings { default_lifetime, ..Settings::default() });
    house.generate("key", TYPES[0]).await;
    house.done("ssh-add", &["-q", "key"]).await;
    assert_eq!(house.agent.identities(), []);
    house.done("ssh-add", &["-q", "-t", "1h", "key"]).await;
    assert_eq!(house.agent.identities().len(), 1);
    house.agent.remove_all();
    assert_eq!(house.agent.identities(), []);
}

#[tokio::test]
async fn russh_adds_lists_and_signs_over_a_stream_in_memory() {
    let house = House::new();
    let mut client = AgentClient::connect(house.agent.connect());
    for (number, kind) in TYPES.iter().enumerate() {
        let name = format!("k{number}");
        house.generate(&name, kind).await;
        let key = parse(&std::fs::read(house.path(&name)).unwrap(), None).unwrap();
        match number % 2 {
            0 => house.agent.add(key, None).await.unwrap(),
            _ => client.add_identity(&key, &[Constraint::KeyLifetime { seconds: 60 }]).await.unwrap(),
        }
    }
    let identities = client.request_identities().await.unwrap();
    assert_eq!(identities.len(), TYPES.len());
    for identity in identities {
        for hash in [None, Some(HashAlg::Sha256), Some(HashAlg::Sha512)] {
            let signed = client.sign_request(&identity, hash, b"data".to_vec()).await.unwrap();
            let AgentIdentity::PublicKey { key, .. } = &identity else { panic!("a plain key") };
            check(&signed, key, hash);
        }
    }
}

/// russh gives the data back with the signature as a string behind it.
fn check(signed: &[u8], key: &ssh_key::PublicKey, hash: Option<HashAlg>) {
    let blob = signed.strip_prefix(b"data").unwrap();
    let signature = Signature::decode(&mut &blob[4..]).unwrap();
    key.key_data().verify(b"data", &signature).unwrap();
    if key.algorithm().is_rsa() {
        assert_eq!(signature.algorithm(), ssh_key::Algorithm::Rsa { hash });
    }
}

#[tokio::test]
async fn a_removed_or_unknown_key_signs_nothing() {
    let house = House::with_every_type().await;
    let mut client = AgentClient::connect(house.agent.connect());
    let identities = client.request_identities().await.unwrap();
    house.done("ssh-add", &["-q", "-d", "k0"]).await;
    assert!(client.sign_request(&identities[0], None, b"data".to_vec()).await.is_err());
    client.sign_request(&identities[2], None, b"data".to_vec()).await.unwrap();
    client.lock(b"word").await.unwrap();
    assert!(client.sign_request(&identities[2], None, b"data".to_vec()).await.is_err());
    client.unlock(b"word").await.unwrap();
    client.sign_request(&identities[2], None, b"data".to_vec()).await.unwrap();
}

#[tokio::test]
async fn keys_are_gone_with_the_last_agent_and_the_last_client() {
    let house = House::new();
    house.generate("key", TYPES[0]).await;
    let agent = Agent::new();
    agent.add(parse(&std::fs::read(house.path("key")).unwrap(), None).unwrap(), Some(Duration::MAX)).await.unwrap();
    let held = Arc::downgrade(&agent.shared);
    let mut client = agent.connect();
    drop(agent);
    send(&mut client, &[11]).await;
    assert!(receive(&mut client).await.unwrap().starts_with(&[12, 0, 0, 0, 1]));
    client.shutdown().await.unwrap();
    // The server's end closes when its session, the last holder, is over.
    assert_eq!(receive(&mut client).await, None);
    assert_eq!(held.strong_count(), 0);
}

#[tokio::test]
async fn rsa_outside_the_sizes_is_refused() {
    let house = House::new();
    house.generate("small", &["rsa", "-b", "1024"]).await;
    let key = parse(&std::fs::read(house.path("small")).unwrap(), None).unwrap();
    assert_eq!(house.agent.add(key, None).await, Err(AddError::RsaSize(1024)));
}
