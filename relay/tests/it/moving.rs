//! When a connection moves to another target, and when it must not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::backend::{Backend, HALF, Raw};
use crate::relay::{Relay, read_all, read_until};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn two() -> (Backend, Backend, Relay) {
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    let relay = Relay::start(&[&old.target()]).await;
    (old, new, relay)
}

async fn ask(client: &mut TcpStream, name: &str) {
    client.write_all(GET).await.unwrap();
    assert!(read_until(client, name).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn an_idle_client_is_not_cut_and_its_next_request_goes_to_the_new_target() {
    let (old, new, relay) = two().await;
    let mut client = relay.client().await;
    ask(&mut client, "old").await;
    relay.switch(&[&new.target()]).await;
    assert_eq!(relay.drain(&[&old.target()], 30_000).await, 0);
    old.kill().await;
    ask(&mut client, "new").await;
}

#[tokio::test]
async fn a_client_that_has_not_spoken_moves_at_once() {
    let (old, new, relay) = two().await;
    let mut client = relay.client().await;
    relay.until(|status| status["connections"][old.target()]["open"] == 1).await;
    relay.switch(&[&new.target()]).await;
    relay.until(|status| status["connections"][new.target()]["open"] == 1).await;
    assert_eq!(relay.drain(&[&old.target()], 30_000).await, 0);
    ask(&mut client, "new").await;
}

#[tokio::test]
async fn a_download_survives_and_the_drain_waits_for_it() {
    let (old, new, relay) = two().await;
    let mut client = relay.client().await;
    client.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut client, "xxx").await;
    relay.switch(&[&new.target()]).await;
    let status = relay.status().await;
    assert_eq!(status["connections"][old.target()]["busy"], 1, "{status}");
    assert_eq!(relay.drain(&[&old.target()], 1).await, 1);
    ask(&mut relay.client().await, "new").await;
    old.go_on();
    let end = async {
        let rest = read_until(&mut client, "0\r\n\r\n").await;
        assert_eq!(rest.matches('y').count(), HALF);
        ask(&mut client, "new").await;
    };
    let targets = [old.target()];
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let (left, ()) = tokio::join!(relay.drain(&targets, 60_000), end);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_request_that_has_begun_stays_with_its_target() {
    let (old, new) = (Raw::start().await, Backend::start("new").await);
    let relay = Relay::start(&[&old.target()]).await;
    let mut client = relay.client().await;
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc").await.unwrap();
    let mut target = old.accept().await;
    read_until(&mut target, "abc").await;
    relay.switch(&[&new.target()]).await;
    client.write_all(b"def").await.unwrap();
    assert_eq!(read_until(&mut target, "def").await, "def");
    target.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    read_until(&mut client, "ok").await;
    assert_eq!(target.read(&mut [0]).await.unwrap(), 0, "the relay parts from it");
    ask(&mut client, "new").await;
}

#[tokio::test]
async fn requests_that_wait_behind_others_go_to_the_new_target() {
    let (old, new) = (Raw::start().await, Backend::start("new").await);
    let relay = Relay::start(&[&old.target()]).await;
    let mut client = relay.client().await;
    client.write_all(GET).await.unwrap();
    let mut target = old.accept().await;
    read_until(&mut target, "\r\n\r\n").await;
    relay.switch(&[&new.target()]).await;
    client.write_all(&GET.repeat(2)).await.unwrap();
    target.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold").await.unwrap();
    assert_eq!(read_all(&mut target).await.unwrap(), b"", "it gets none of them");
    for name in ["old", "new", "new"] {
        read_until(&mut client, name).await;
    }
}

#[tokio::test]
async fn a_body_is_asked_for_through_the_relay() {
    let (old, new, relay) = two().await;
    let mut client = relay.client().await;
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write_all(head).await.unwrap();
    assert_eq!(read_until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    relay.switch(&[&new.target()]).await;
    client.write_all(b"hello").await.unwrap();
    read_until(&mut client, "hello").await;
    assert_eq!(relay.drain(&[&old.target()], 30_000).await, 0);
    ask(&mut client, "new").await;
}

#[tokio::test]
async fn a_target_that_closes_between_two_requests_costs_none() {
    let (first, relay) = (Raw::start().await, Relay::start(&[]).await);
    relay.switch(&[&first.target()]).await;
    let mut client = relay.client().await;
    for _ in 0..2 {
        client.write_all(GET).await.unwrap();
        let mut target = first.accept().await;
        read_until(&mut target, "\r\n\r\n").await;
        target.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        read_until(&mut client, "ok").await;
        drop(target);
        relay.until(|status| status["connections"][first.target()]["open"] == 0).await;
    }
}

#[tokio::test]
async fn a_close_that_was_announced_reaches_the_client() {
    let (backend, _, relay) = two().await;
    let mut client = relay.client().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_all(&mut client).await.unwrap().ends_with(b"old"));
    relay.until(|status| status["connections"][backend.target()]["open"] == 0).await;
}

#[tokio::test]
async fn targets_share_connections_and_one_that_is_dead_is_passed_over() {
    let (one, dead) = (Backend::start("old").await, Backend::start("dead").await);
    let relay = Relay::start(&[&dead.target(), &one.target()]).await;
    dead.kill().await;
    for _ in 0..4 {
        ask(&mut relay.client().await, "old").await;
    }
}

#[tokio::test]
async fn clients_wait_for_a_target_that_is_not_there_yet() {
    let (relay, new) = (Relay::start(&[]).await, Backend::start("new").await);
    let mut client = relay.client().await;
    client.write_all(GET).await.unwrap();
    relay.switch(&[&new.target()]).await;
    read_until(&mut client, "new").await;
}
