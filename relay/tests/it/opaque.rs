//! What is no HTTP/1 passes as it is, and stays.

use std::io::ErrorKind;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::backend::{Backend, Raw};
use crate::relay::{Relay, read_all, read_until};

#[tokio::test]
async fn a_server_may_speak_first_and_its_clients_stay() {
    let (old, new) = (Raw::start().await, Raw::start().await);
    let relay = Relay::start(&[&old.target()]).await;
    let mut client = relay.client().await;
    let mut target = old.accept().await;
    target.write_all(b"220 hello\r\n").await.unwrap();
    read_until(&mut client, "hello\r\n").await;
    relay.switch(&[&new.target()]).await;
    assert_eq!(relay.drain(&[&old.target()], 1).await, 1);
    client.write_all(b"EHLO a\r\n").await.unwrap();
    read_until(&mut target, "EHLO a\r\n").await;
    target.write_all(b"250 a\r\n").await.unwrap();
    read_until(&mut client, "250 a\r\n").await;
    drop(client);
    assert_eq!(read_all(&mut target).await.unwrap(), b"");
    drop(target);
    assert_eq!(relay.drain(&[&old.target()], 60_000).await, 0);
}

#[tokio::test]
async fn who_waits_for_the_greeting_gets_the_new_targets() {
    let (old, new) = (Raw::start().await, Raw::start().await);
    let relay = Relay::start(&[&old.target()]).await;
    let mut client = relay.client().await;
    let mut before = old.accept().await;
    relay.switch(&[&new.target()]).await;
    assert_eq!(before.read(&mut [0]).await.unwrap(), 0);
    new.accept().await.write_all(b"220 new\r\n").await.unwrap();
    assert_eq!(read_until(&mut client, "\n").await, "220 new\r\n");
}

#[tokio::test]
async fn a_websocket_stays_until_it_ends() {
    let (old, new) = (Raw::start().await, Backend::start("new").await);
    let relay = Relay::start(&[&old.target()]).await;
    let mut client = relay.client().await;
    client.write_all(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
    let mut target = old.accept().await;
    read_until(&mut target, "\r\n\r\n").await;
    target.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x01a").await.unwrap();
    read_until(&mut client, "\x01a").await;
    relay.switch(&[&new.target()]).await;
    assert_eq!(relay.drain(&[&old.target()], 1).await, 1);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(read_until(&mut target, "\r\n\r\n").await, "GET / HTTP/1.1\r\n\r\n");
    drop(target);
    assert_eq!(read_all(&mut client).await.unwrap(), b"");
    drop(client);
    assert_eq!(relay.drain(&[&old.target()], 60_000).await, 0);
}

#[tokio::test]
async fn half_closes_pass_both_ways() {
    let raw = Raw::start().await;
    let relay = Relay::start(&[&raw.target()]).await;
    let mut client = relay.client().await;
    client.write_all(b"\0question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut target = raw.accept().await;
    assert_eq!(read_all(&mut target).await.unwrap(), b"\0question");
    target.write_all(b"answer").await.unwrap();
    drop(target);
    assert_eq!(read_all(&mut client).await.unwrap(), b"answer");

    let mut client = relay.client().await;
    let mut target = raw.accept().await;
    target.write_all(b"greeting").await.unwrap();
    target.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await.unwrap(), b"greeting");
    client.write_all(b"late").await.unwrap();
    drop(client);
    assert_eq!(read_all(&mut target).await.unwrap(), b"late");
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_answer_is_no_ordinary_end() {
    let raw = Raw::start().await;
    let relay = Relay::start(&[&raw.target()]).await;
    let mut client = relay.client().await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut target = raw.accept().await;
    read_until(&mut target, "\r\n\r\n").await;
    target.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf").await.unwrap();
    read_until(&mut client, "half").await;
    target.set_zero_linger().unwrap();
    drop(target);
    assert_eq!(read_all(&mut client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let raw = Raw::start().await;
    let relay = Relay::start(&[&raw.target()]).await;
    let (mut reader, mut writer) = relay.client().await.into_split();
    let send = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 50_000_000);
        writer.write_all(head.as_bytes()).await.unwrap();
        // It ends with an error when the server has closed.
        while writer.write_all(&[b'x'; 100_000]).await.is_ok() {}
    });
    let mut target = raw.accept().await;
    read_until(&mut target, "xxx").await;
    let answer = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    target.write_all(answer).await.unwrap();
    drop(target);
    let mut bytes = vec![0; answer.len()];
    reader.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, answer);
    send.await.unwrap();
}

#[tokio::test]
async fn the_target_is_told_the_clients_address() {
    let raw = Raw::start().await;
    let relay = Relay::start_with(&[&raw.target()], json!({ "proxy_protocol": "v1" })).await;
    let mut client = relay.client().await;
    let mut target = raw.accept().await;
    let (own, port) = (client.local_addr().unwrap().port(), relay.port);
    let header = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own} {port}\r\n");
    assert_eq!(read_until(&mut target, "\r\n").await, header);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(read_until(&mut target, "\r\n\r\n").await.starts_with("GET"));
}
