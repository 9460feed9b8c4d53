//! Under load, over many switches, not one request fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backend::Backend;
use crate::relay::{DEADLINE, Relay, read_until};

const SWITCHES: usize = 50;
/// Requests between two switches.
const BETWEEN: usize = 60;
/// Requests in one go, when they are pipelined.
const PIPELINE: usize = 10;
const BODY: usize = 300_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Load {
    address: SocketAddr,
    over: AtomicBool,
    good: AtomicUsize,
}

impl Load {
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        sender.ready().await?;
        let request = Request::builder().method(method).uri(path).header("host", "test").body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        if response.status() != 200 {
            return Err(format!("status {}", response.status()).into());
        }
        let body = response.into_body().collect().await?.to_bytes();
        self.good.fetch_add(1, Ordering::SeqCst);
        Ok(body)
    }

    fn is_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }
}

async fn keep_alive(load: Arc<Load>) -> Result<(), Failure> {
    let mut sender = load.connect().await?;
    while load.is_on() {
        load.ask(&mut sender, Method::GET, "/who", Bytes::new()).await?;
        load.ask(&mut sender, Method::HEAD, "/who", Bytes::new()).await?;
        load.ask(&mut sender, Method::GET, "/chunked", Bytes::new()).await?;
    }
    Ok(())
}

async fn one_by_one(load: Arc<Load>) -> Result<(), Failure> {
    while load.is_on() {
        let mut sender = load.connect().await?;
        load.ask(&mut sender, Method::GET, "/who", Bytes::new()).await?;
    }
    Ok(())
}

async fn bodies(load: Arc<Load>) -> Result<(), Failure> {
    let mut sender = load.connect().await?;
    for byte in (0..=u8::MAX).cycle() {
        let body = Bytes::from(vec![byte; BODY]);
        let echo = load.ask(&mut sender, Method::POST, "/echo", body.clone()).await?;
        if echo != body {
            return Err("another body came back".into());
        }
        if !load.is_on() {
            break;
        }
    }
    Ok(())
}

async fn pipelined(load: Arc<Load>) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(load.address).await?;
    let echo = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n[x]";
    while load.is_on() {
        stream.write_all(echo.repeat(PIPELINE).as_bytes()).await?;
        for _ in 0..PIPELINE {
            let answer = read_until(&mut stream, "[x]").await;
            if !answer.starts_with("HTTP/1.1 200 OK\r\n") || answer.matches("HTTP").count() != 1 {
                return Err(answer.into());
            }
            load.good.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// Waits for so many requests more.
async fn progress(load: &Load) {
    let wanted = load.good.load(Ordering::SeqCst) + BETWEEN;
    let reached = async {
        while load.good.load(Ordering::SeqCst) < wanted {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, reached).await.expect("requests are no longer answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_switches_under_load_lose_no_request() {
    let mut old = Backend::start(0).await;
    let relay = Relay::start(&[&old.target()]).await;
    let load = Arc::new(Load { address: relay.address(), over: false.into(), good: 0.into() });
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(keep_alive(Arc::clone(&load)));
        clients.spawn(one_by_one(Arc::clone(&load)));
    }
    for _ in 0..2 {
        clients.spawn(bodies(Arc::clone(&load)));
        clients.spawn(pipelined(Arc::clone(&load)));
    }
    for round in 1..=SWITCHES {
        progress(&load).await;
        let new = Backend::start(round).await;
        relay.switch(&[&new.target()]).await;
        assert_eq!(relay.drain(&[&old.target()], 30_000).await, 0);
        assert!(std::mem::replace(&mut old, new).kill().await > 0, "round {round} was not under load");
    }
    progress(&load).await;
    load.over.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap().expect("a request failed");
    }
}
