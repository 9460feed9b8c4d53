//! The proxy, with real sockets: a client of its own words before it, an archive of ours behind it.

use std::sync::Mutex;

use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::super::upstream::Reach;
use super::*;

/// Answers every connection with these words, and keeps what it was asked.
struct Origin {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    async fn that_says(words: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = head(&mut stream).await;
                kept.lock().unwrap().push(head);
                stream.write_all(words.as_bytes()).await.unwrap();
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n---\n")
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn archives(port: u16) -> Archives {
    Archives::parse(&format!("toolbox-archive http://127.0.0.1:{port}/debian\n"))
}

fn direct(port: u16, reach: Reach) -> Supply {
    Supply::Archives(archives(port), Upstream::new(Matcher::builder().build(), reach))
}

/// Starts a proxy; what is sent becomes its clients.
fn proxy(supply: Supply) -> mpsc::UnboundedSender<DuplexStream> {
    let (sender, mut clients) = mpsc::unbounded_channel();
    tokio::spawn(serve(supply, async move || clients.recv().await));
    sender
}

fn client(proxy: &mpsc::UnboundedSender<DuplexStream>) -> DuplexStream {
    let (near, far) = duplex(64 << 10);
    proxy.send(far).unwrap();
    near
}

/// Sends a request and reads all of the answer.
async fn ask(proxy: &mpsc::UnboundedSender<DuplexStream>, request: &str) -> String {
    let mut client = client(proxy);
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

const FILE: &str = "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nContent-Range: bytes 2-5/6\r\nETag: x\r\n\
    Keep-Alive: timeout=5\r\nConnection: close\r\n\r\nbcde";

#[tokio::test]
async fn a_request_keeps_its_conditions_and_loses_what_is_of_one_connection() {
    let origin = Origin::that_says(FILE).await;
    let port = origin.port;
    let proxy = proxy(direct(port, Reach::Everything));
    let answer = ask(
        &proxy,
        &format!(
            "GET http://127.0.0.1:{port}/debian/x.deb HTTP/1.1\r\nHost: other.example\r\nRange: bytes=2-\r\n\
             If-Range: x\r\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\nProxy-Authorization: Basic c2VjcmV0\r\n\
             X-Hop: 1\r\nConnection: X-Hop, close\r\n\r\n"
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 206 Partial Content\r\n") && answer.ends_with("\r\n\r\nbcde"), "{answer}");
    let lower = answer.to_lowercase();
    assert!(lower.contains("content-range: bytes 2-5/6") && !lower.contains("keep-alive"), "{answer}");
    let heard = origin.heard().to_lowercase();
    assert!(heard.starts_with("get /debian/x.deb http/1.1\r\n"), "{heard}");
    for kept in ["range: bytes=2-", "if-range: x", "if-modified-since: sat", &format!("host: 127.0.0.1:{port}\r\n")] {
        assert!(heard.contains(kept), "{kept} in {heard}");
    }
    for lost in ["proxy-authorization", "x-hop", "other.example"] {
        assert!(!heard.contains(lost), "{lost} in {heard}");
    }
}

#[tokio::test]
async fn whatever_is_no_fetch_from_the_hosts_own_archives_is_refused_with_the_reason() {
    let origin = Origin::that_says(FILE).await;
    let port = origin.port;
    let proxy = proxy(direct(port, Reach::Everything));
    let other = port ^ 1;
    for (request, reason) in [
        (format!("GET http://127.0.0.1:{other}/ HTTP/1.1"), "none of the archives"),
        ("GET http://169.254.169.254/latest/meta-data HTTP/1.1".to_owned(), "none of the archives"),
        (format!("GET http://127.0.0.1:{port}@evil.example/ HTTP/1.1"), "http:// URLs and CONNECT only"),
        (format!("GET http://u@127.0.0.1:{port}/ HTTP/1.1"), "http:// URLs and CONNECT only"),
        (format!("GET https://127.0.0.1:{port}/ HTTP/1.1"), "http:// URLs and CONNECT only"),
        (format!("GET ftp://127.0.0.1:{port}/ HTTP/1.1"), "http:// URLs and CONNECT only"),
        ("GET /etc/passwd HTTP/1.1".to_owned(), "http:// URLs and CONNECT only"),
        (format!("CONNECT 127.0.0.1:{other} HTTP/1.1"), "none of the archives"),
        ("CONNECT localhost:22 HTTP/1.1".to_owned(), "none of the archives"),
        (format!("POST http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: 0"), "POST is not"),
        (format!("DELETE http://127.0.0.1:{port}/ HTTP/1.1"), "DELETE is not"),
    ] {
        let answer = ask(&proxy, &format!("{request}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{request}: {answer}");
        let line = answer.lines().next().unwrap();
        assert!(line.contains(reason), "{request}: {line}");
    }
    assert_eq!(origin.heard(), "");
}

#[tokio::test]
async fn a_tunnel_carries_bytes_to_an_archive_and_ends_with_either_side() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    });
    let proxy = proxy(direct(port, Reach::Everything));
    let mut client = client(&proxy);
    client.write_all(format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 200 "));
    client.write_all(b"\x16\x03\x01 not for us").await.unwrap();
    let mut back = [0; 14];
    client.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x16\x03\x01 not for us");
    drop(client);
    echo.await.unwrap();
}

#[tokio::test]
async fn this_machine_is_not_fetched_from_whatever_a_hosts_configuration_names() {
    let origin = Origin::that_says(FILE).await;
    let port = origin.port;
    for reach in [Reach::Public, Reach::Private] {
        let proxy = proxy(direct(port, reach));
        for request in [format!("GET http://127.0.0.1:{port}/ HTTP/1.1"), format!("CONNECT 127.0.0.1:{port} HTTP/1.1")]
        {
            let answer = ask(&proxy, &format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
            let line = answer.lines().next().unwrap();
            assert!(line.starts_with("HTTP/1.1 502 toolbox does not reach 127.0.0.1"), "{line}");
            assert!(line.contains("not fetched from for a host"), "{line}");
        }
    }
    assert_eq!(origin.heard(), "");
}

#[tokio::test]
async fn the_proxy_of_this_machines_network_is_asked_for_what_it_alone_reaches() {
    let corporate = Origin::that_says(FILE).await;
    let url = format!("http://me:word@127.0.0.1:{}", corporate.port);
    let matcher = Matcher::builder().http(url.as_str()).https(url.as_str()).no("direct.example").build();
    let archives = Archives::parse("toolbox-archive http://archive.example/x https://secure.example/y\n");
    let proxy = proxy(Supply::Archives(archives, Upstream::new(matcher, Reach::Public)));
    let answer = ask(&proxy, "GET http://archive.example/x HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("bcde"), "{answer}");
    let heard = corporate.heard().to_lowercase();
    assert!(heard.starts_with("get http://archive.example/x http/1.1\r\n"), "{heard}");
    assert!(heard.contains("proxy-authorization: basic bwu6d29yza=="), "{heard}");
    // That one says 206 to a CONNECT, which is no tunnel.
    let answer = ask(&proxy, "CONNECT secure.example:443 HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n").await;
    assert!(corporate.heard().contains("CONNECT secure.example:443 HTTP/1.1"), "{}", corporate.heard());
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
}

#[tokio::test]
async fn heads_are_limited() {
    let proxy = proxy(direct(1, Reach::Everything));
    let long = format!("GET http://x/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(HEAD_BYTES));
    let many = format!("GET http://x/ HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
    for request in [long, many] {
        let answer = ask(&proxy, &request).await;
        let line = answer.lines().next().unwrap_or_default();
        assert!(line.starts_with("HTTP/1.1 431") || line.starts_with("HTTP/1.1 414"), "{line}");
    }
}

#[tokio::test]
async fn more_clients_than_there_are_places_wait_for_one() {
    let origin = Origin::that_says(FILE).await;
    let proxy = proxy(direct(origin.port, Reach::Everything));
    let request = format!("GET http://127.0.0.1:{}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin.port);
    let idle: Vec<DuplexStream> = (0..CONNECTIONS).map(|_| client(&proxy)).collect();
    let mut late = client(&proxy);
    late.write_all(request.as_bytes()).await.unwrap();
    // Everything that can run has run: nothing here waits for a clock.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.heard(), "");
    drop(idle);
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("bcde"), "{answer}");
}
