//! A running relay, and words to it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longer than anything here takes on a machine that is busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

static RELAYS: AtomicUsize = AtomicUsize::new(0);

/// The program with a command.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolbox-relay"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// A relay process; it is killed when this is dropped.
pub(crate) struct Relay {
    pub(crate) child: Child,
    pub(crate) port: u16,
    state: TempDir,
    socket: String,
    config: Value,
}

impl Relay {
    pub(crate) async fn start(targets: &[&str]) -> Self {
        Self::start_with(targets, json!({})).await
    }

    /// With further keys of the configuration.
    pub(crate) async fn start_with(targets: &[&str], more: Value) -> Self {
        let port = free_port();
        let mut config = json!({ "listen": [{ "port": port, "to": 1 }], "targets": targets });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let state = tempfile::tempdir().unwrap();
        let count = RELAYS.fetch_add(1, Ordering::SeqCst);
        let socket = format!("toolbox-relay-test-{}-{count}", std::process::id());
        let child = serve(&config, &state, &socket);
        let relay = Self { child, port, state, socket, config };
        relay.status().await;
        relay
    }

    /// Kills it and starts it again with the environment that it had.
    pub(crate) async fn restart(&mut self) {
        self.child.kill().await.unwrap();
        self.child = serve(&self.config, &self.state, &self.socket);
        self.status().await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// The answer to one request, and the exit status.
    pub(crate) async fn ask(&self, request: Value) -> (Value, i32) {
        control(&self.socket, &request.to_string()).await
    }

    pub(crate) async fn status(&self) -> Value {
        self.done(json!({ "do": "status" })).await
    }

    pub(crate) async fn switch(&self, targets: &[&str]) -> Value {
        self.done(json!({ "do": "switch", "targets": targets })).await
    }

    /// How many connections are left.
    pub(crate) async fn drain(&self, targets: &[&str], limit_ms: u64) -> u64 {
        let answer = self.done(json!({ "do": "drain", "targets": targets, "limit_ms": limit_ms })).await;
        answer["left"].as_u64().unwrap()
    }

    async fn done(&self, request: Value) -> Value {
        let (answer, status) = self.ask(request).await;
        assert_eq!(status, 0, "{answer}");
        answer
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Value) -> bool) {
        let reached = async { while !wanted(&self.status().await) {} };
        timeout(DEADLINE, reached).await.expect("the status was never as wanted");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        signal_to(&self.child, signal);
    }
}

pub(crate) fn signal_to(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn serve(config: &Value, state: &TempDir, socket: &str) -> Child {
    let mut command = program(&["serve"]);
    command.env("RELAY_CONFIG", config.to_string()).env("RELAY_STATE", state.path()).env("RELAY_SOCKET", socket);
    command.spawn().unwrap()
}

/// What `control` prints, and its exit status.
pub(crate) async fn control(socket: &str, request: &str) -> (Value, i32) {
    let mut child = program(&["control"]).env("RELAY_SOCKET", socket).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    let output = timeout(DEADLINE, child.wait_with_output()).await.expect("no answer").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (serde_json::from_str(&text).unwrap(), output.status.code().unwrap())
}

/// Reads until the text ends so.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let read = async {
        while !text.ends_with(end.as_bytes()) {
            match stream.read_u8().await {
                Ok(byte) => text.push(byte),
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
    };
    timeout(DEADLINE, read).await.expect("the text never came");
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads to the end.
pub(crate) async fn read_all(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the end never came")?;
    Ok(bytes)
}
