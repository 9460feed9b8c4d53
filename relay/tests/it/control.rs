//! What is said to a relay, and what it says; its start and its end.

use std::net::TcpListener;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::backend::{Backend, HALF};
use crate::relay::{DEADLINE, Relay, control, free_port, program, read_all, read_until, signal_to};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn the_status_says_ports_targets_and_connections() {
    let backend = Backend::start("a").await;
    let relay = Relay::start(&[&backend.target()]).await;
    let _client = relay.client().await;
    relay.until(|status| status["connections"][backend.target()]["open"] == 1).await;
    let wanted = json!({
        "listen": [{ "port": relay.port, "to": 1 }],
        "targets": [backend.target()],
        "connections": { backend.target(): { "open": 1, "busy": 0 } },
    });
    assert_eq!(relay.status().await, wanted);
}

#[tokio::test]
async fn a_switch_is_answered_with_what_is_so_then() {
    let relay = Relay::start(&["127.0.0.2"]).await;
    let answer = relay.switch(&["127.0.0.3", "127.0.0.4:80"]).await;
    assert_eq!(answer["targets"], json!(["127.0.0.3", "127.0.0.4:80"]));
    assert_eq!(answer, relay.status().await);
}

#[tokio::test]
async fn a_switch_survives_a_restart() {
    let mut relay = Relay::start(&["127.0.0.2"]).await;
    relay.switch(&["127.0.0.3"]).await;
    let before = relay.status().await;
    relay.restart().await;
    assert_eq!(relay.status().await, before);
}

#[tokio::test]
async fn ports_open_and_close_with_a_switch_and_their_connections_stay() {
    let backend = Backend::start("name").await;
    let relay = Relay::start(&[&backend.target()]).await;
    let mut client = relay.client().await;
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "name").await;
    let (port, to) = (free_port(), backend.address.port());
    for port in [relay.port, port] {
        let listen = json!([{ "port": port, "to": to }]);
        let request = json!({ "do": "switch", "targets": ["127.0.0.2"], "listen": listen });
        assert_eq!(relay.ask(request).await.0["listen"], listen);
    }
    assert!(TcpStream::connect(relay.address()).await.is_err());
    let mut other = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    for client in [&mut client, &mut other] {
        client.write_all(GET).await.unwrap();
        read_until(client, "name").await;
    }
}

#[tokio::test]
async fn a_port_that_cannot_be_had_changes_nothing() {
    let relay = Relay::start(&["127.0.0.2"]).await;
    let before = relay.status().await;
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let listen = json!([{ "port": free_port(), "to": 1 }, { "port": port, "to": 1 }]);
    let (answer, status) = relay.ask(json!({ "do": "switch", "targets": ["127.0.0.3"], "listen": listen })).await;
    assert!(answer["error"].as_str().unwrap().contains(&format!("cannot listen on port {port}")), "{answer}");
    assert_eq!(status, 1);
    assert_eq!(relay.status().await, before);
}

#[tokio::test]
async fn requests_that_mean_nothing_are_refused() {
    let relay = Relay::start(&["127.0.0.2"]).await;
    for request in [
        json!({ "do": "stop" }),
        json!({ "do": "status", "more": 1 }),
        json!({ "do": "switch" }),
        json!({ "do": "switch", "targets": ["a b"] }),
        json!({ "do": "switch", "targets": ["a"], "listen": [{ "port": 0x10000, "to": 1 }] }),
        json!({ "do": "switch", "targets": ["a"], "listen": [{ "port": 80, "to": 1 }, { "port": 80, "to": 2 }] }),
        json!("status"),
    ] {
        let (answer, status) = relay.ask(request.clone()).await;
        assert!(answer["error"].is_string() && status == 1, "{request} {answer}");
    }
    assert_eq!(relay.status().await["targets"], json!(["127.0.0.2"]));
}

#[tokio::test]
async fn where_no_relay_is_the_answer_is_an_error() {
    let (answer, status) = control("toolbox-relay-test-nobody", r#"{"do":"status"}"#).await;
    assert!(answer["error"].as_str().unwrap().contains("no relay listens on @toolbox-relay-test-nobody"), "{answer}");
    assert_eq!(status, 1);
}

#[tokio::test]
async fn sigterm_lets_requests_end_and_takes_no_more() {
    let backend = Backend::start("a").await;
    let mut relay = Relay::start_with(&[&backend.target()], json!({ "grace_ms": 60_000 })).await;
    let (mut busy, mut idle) = (relay.client().await, relay.client().await);
    busy.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut busy, "xxx").await;
    relay.signal(Signal::TERM);
    assert_eq!(read_all(&mut idle).await.unwrap(), b"");
    assert!(TcpStream::connect(relay.address()).await.is_err());
    backend.go_on();
    let rest = read_all(&mut busy).await.unwrap();
    assert_eq!(rest.iter().filter(|byte| **byte == b'y').count(), HALF);
    assert!(timeout(DEADLINE, relay.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn after_the_grace_what_is_left_is_cut() {
    let backend = Backend::start("a").await;
    let mut relay = Relay::start_with(&[&backend.target()], json!({ "grace_ms": 1 })).await;
    let mut busy = relay.client().await;
    busy.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut busy, "xxx").await;
    relay.signal(Signal::TERM);
    assert!(timeout(DEADLINE, relay.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn the_keeper_stays_until_it_is_told_to_end() {
    let mut keeper = program(&["keep"]).spawn().unwrap();
    assert!(keeper.try_wait().unwrap().is_none());
    let taken = async {
        let status = format!("/proc/{}/status", keeper.id().unwrap());
        // SigCgt, the signals that are caught: bit 14 is SIGTERM.
        let catches = |text: &str| {
            let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0
        };
        while !catches(&std::fs::read_to_string(&status).unwrap()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, taken).await.unwrap();
    signal_to(&keeper, Signal::TERM);
    assert!(timeout(DEADLINE, keeper.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn wrong_commands_and_configurations_end_with_2() {
    let wrong = json!({ "listen": [], "targets": [], "more": 1 }).to_string();
    for (arguments, config) in [(vec![], ""), (vec!["help"], ""), (vec!["serve"], "{"), (vec!["serve"], &wrong)] {
        let mut command = program(&arguments);
        let status = command.env("RELAY_CONFIG", config).stderr(Stdio::null()).status().await.unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?} {config}");
    }
}
