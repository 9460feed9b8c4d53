//! Who has the lock, and who gets it next.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::relay::{DEADLINE, program};

struct Locker {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Locker {
    async fn start(directory: &Path, claim: Value) -> Self {
        let mut child = program(&["lock"]).env("RELAY_STATE", directory).spawn().unwrap();
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        input.write_all(format!("{claim}\n").as_bytes()).await.unwrap();
        Self { child, input: Some(input), output: BufReader::new(output).lines() }
    }

    async fn says(&mut self) -> Value {
        let line = timeout(DEADLINE, self.output.next_line()).await.expect("no answer").unwrap();
        serde_json::from_str(&line.expect("it ended without a word")).unwrap()
    }

    async fn status(&mut self) -> Option<i32> {
        timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap().code()
    }
}

fn claim(who: &str, wait_ms: u64) -> Value {
    json!({ "who": who, "since": "2026-11-22T17:54:37Z", "wait_ms": wait_ms })
}

#[tokio::test]
async fn one_has_it_and_others_are_told_who_and_since_when() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Locker::start(directory.path(), claim("ann", 0)).await;
    assert_eq!(first.says().await, json!({ "locked": true }));
    let mut second = Locker::start(directory.path(), claim("bob", 0)).await;
    let told = json!({ "locked": false, "who": "ann", "since": "2026-11-22T17:54:37Z" });
    assert_eq!(second.says().await, told);
    assert_eq!(second.status().await, Some(1));
    first.input = None;
    assert_eq!(first.status().await, Some(0));
    assert_eq!(std::fs::read(directory.path().join("lock")).unwrap(), b"");
}

#[tokio::test]
async fn who_waits_gets_it_from_a_holder_that_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Locker::start(directory.path(), claim("ann", 0)).await;
    first.says().await;
    let mut second = Locker::start(directory.path(), claim("bob", 600_000)).await;
    first.child.kill().await.unwrap();
    assert_eq!(second.says().await, json!({ "locked": true }));
    let mut third = Locker::start(directory.path(), claim("cyd", 0)).await;
    assert_eq!(third.says().await["who"], "bob");
}

#[tokio::test]
async fn who_stops_waiting_goes() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Locker::start(directory.path(), claim("ann", 0)).await;
    first.says().await;
    let mut second = Locker::start(directory.path(), claim("bob", 600_000)).await;
    second.input = None;
    assert_eq!(second.says().await["locked"], false);
    assert_eq!(second.status().await, Some(1));
}

#[tokio::test]
async fn silence_loses_it_and_heartbeats_keep_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut silent = claim("ann", 0);
    silent["heartbeat_ms"] = json!(300);
    let mut first = Locker::start(directory.path(), silent).await;
    first.says().await;
    for _ in 0..3 {
        first.input.as_mut().unwrap().write_all(b"\n").await.unwrap();
    }
    let mut second = Locker::start(directory.path(), claim("bob", 600_000)).await;
    assert!(first.says().await["error"].as_str().unwrap().contains("no heartbeat for 300 ms"));
    assert_eq!(first.status().await, Some(1));
    assert_eq!(second.says().await, json!({ "locked": true }));
}

#[tokio::test]
async fn what_claims_nothing_ends_with_2() {
    let directory = tempfile::tempdir().unwrap();
    for line in ["", "{}", "{\"who\":1}"] {
        let mut command = program(&["lock"]);
        let mut child = command.env("RELAY_STATE", directory.path()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
        drop(input);
        assert_eq!(child.wait().await.unwrap().code(), Some(2), "{line}");
    }
}
