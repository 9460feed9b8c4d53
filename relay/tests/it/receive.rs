//! Receivers and their sessions as processes.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixListener;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::{sleep, timeout};
use toolbox_wire::{Codec, DiffId, Entry, ErrorKind, Held, Layer, Reply, Request, write_frame};

use crate::relay::{DEADLINE, program};

const ID: DiffId = DiffId([7; 32]);

struct Session {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

fn command(arguments: &[&str], spool: &Path, receiver: &str) -> Child {
    let mut program = program(arguments);
    program.env("RELAY_SPOOL", spool).env("RELAY_RECEIVER", receiver).env("RELAY_ENGINE", "/nowhere/engine.sock");
    program.spawn().unwrap()
}

impl Session {
    fn start(spool: &Path, receiver: &str) -> Self {
        let mut child = command(&["receive"], spool, receiver);
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output).lines() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).await.unwrap();
    }

    async fn says(&mut self) -> Reply {
        let line = timeout(DEADLINE, self.output.next_line()).await.expect("no answer").unwrap();
        serde_json::from_str(&line.expect("it ended without a word")).unwrap()
    }

    async fn ask(&mut self, request: Request, payload: &[u8]) -> Reply {
        self.send(&frame(&request, payload)).await;
        self.says().await
    }

    async fn status(mut self) -> Option<i32> {
        drop(self.input);
        timeout(DEADLINE, self.child.wait()).await.expect("it does not end").unwrap().code()
    }
}

fn frame(request: &Request, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, request, payload).unwrap();
    bytes
}

fn put(offset: u64, payload: &[u8]) -> Request {
    let length = payload.len() as u64;
    Request::Put { diff_id: ID, size: 1 << 20, offset, length, codec: Codec::Raw, payload: length }
}

fn have() -> Request {
    Request::Have { layers: vec![Layer { diff_id: ID, size: 1 << 20 }] }
}

fn held(ranges: &[(u64, u64)]) -> Reply {
    Reply::Have(vec![Held { diff_id: ID, ranges: ranges.to_vec() }])
}

#[tokio::test]
async fn what_a_killed_session_has_stored_is_there_for_the_next() {
    let spool = TempDir::new().unwrap();
    let mut session = Session::start(spool.path(), "one");
    session.ask(put(0, &[1; 5000]), &[1; 5000]).await;
    session.send(&frame(&put(5000, &[2; 5000]), &[2; 5000])[..3000]).await;
    session.child.kill().await.unwrap();
    let mut next = Session::start(spool.path(), "two");
    assert_eq!(next.ask(have(), &[]).await, held(&[(0, 5000)]));
    assert_eq!(next.status().await, Some(0));
}

#[tokio::test]
async fn an_input_that_is_cut_or_breaks_the_rules_is_said_by_the_status() {
    let spool = TempDir::new().unwrap();
    let mut cut = Session::start(spool.path(), "one");
    cut.send(&[0, 0]).await;
    assert_eq!(cut.status().await, Some(1));
    let mut wrong = Session::start(spool.path(), "one");
    wrong.send(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(matches!(wrong.says().await, Reply::Error { kind: ErrorKind::Protocol, .. }));
    assert_eq!(wrong.status().await, Some(1));
}

#[tokio::test]
async fn a_load_waits_no_longer_than_its_deployer_lives() {
    let (spool, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let socket = directory.path().join("engine.sock");
    let engine = UnixListener::bind(&socket).unwrap();
    let mut child =
        program(&["receive"]).env("RELAY_SPOOL", spool.path()).env("RELAY_ENGINE", &socket).spawn().unwrap();
    let path = format!("blobs/sha256/{}", ID.hex());
    let load = Request::Load { entries: vec![Entry::Layer { path, diff_id: ID, size: 5 }], size: 6 * 512 };
    let mut input = child.stdin.take().unwrap();
    input.write_all(&frame(&load, &[])).await.unwrap();
    let (mut stream, _) = engine.accept().await.unwrap();
    drop(input);
    let mut tarball = Vec::new();
    timeout(DEADLINE / 2, stream.read_to_end(&mut tarball)).await.expect("it still waits").unwrap();
    drop(stream);
    let output = timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"missing\""));
}

#[tokio::test]
async fn a_receiver_ends_after_its_last_session_only() {
    let spool = TempDir::new().unwrap();
    let mut other = Session::start(spool.path(), "other");
    other.ask(have(), &[]).await;
    let mut session = Session::start(spool.path(), "one");
    session.ask(have(), &[]).await;
    let dead = spool.path().join(".sessions-dead");
    std::fs::write(&dead, "").unwrap();
    let mut receiver = command(&["receiver", "0"], spool.path(), "one");
    let swept = async {
        while dead.exists() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, swept).await.expect("it does not sweep");
    session.ask(have(), &[]).await;
    assert!(receiver.try_wait().unwrap().is_none());
    // Half of a frame keeps nothing alive, nor does a session of another receiver.
    session.send(&frame(&put(0, &[1; 9]), &[1; 9])[..50]).await;
    session.child.kill().await.unwrap();
    let ended = timeout(DEADLINE, receiver.wait()).await.expect("it does not end").unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(other.status().await, Some(0));
}
