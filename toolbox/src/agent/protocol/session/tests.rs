use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf};

use super::*;

/// What OpenSSH's tools and its ssh-agent (9.2) said to each other, recorded: keys, certificates, signatures,
/// constraints, lock and unlock, tokens. Each request is a line `> hex`, each answer a line `< hex`.
const RECORDED: &str = include_str!("recorded.txt");

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

#[tokio::test]
async fn openssh_s_recorded_conversation_goes_the_same_way() {
    let agent = Agent::new();
    let (mut connection, mut command, mut request) = (Connection::new(None), "", Vec::new());
    for line in RECORDED.lines() {
        match line.split_at(2) {
            ("# ", rest) => command = rest,
            ("> ", rest) => request = bytes(rest),
            ("< ", rest) => {
                let answer = respond(&agent, &mut connection, request.clone().into()).await;
                assert_eq!(answer.body(), bytes(rest), "{command}");
            }
            _ => panic!("{line}"),
        }
    }
}

/// Whatever bytes come, each frame gets exactly one answer, and then the list is still answered.
#[tokio::test]
async fn every_cut_of_a_recorded_request_gets_one_answer() {
    let requests = RECORDED.lines().filter_map(|line| line.strip_prefix("> ")).map(bytes);
    for request in requests.filter(|request| !matches!(request[0], 22 | 23)) {
        let mut stream = Agent::new().connect();
        let cuts: Vec<usize> = (0..request.len()).step_by(1 + request.len() / 20).collect();
        for cut in &cuts {
            let length = u32::try_from(*cut).unwrap().to_be_bytes();
            stream.write_all(&[&length, &request[..*cut]].concat()).await.unwrap();
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, [0, 0, 0, 1, 5], "{cut} bytes of a request of type {}", request[0]);
        }
        stream.write_all(&[0, 0, 0, 1, 11]).await.unwrap();
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [0, 0, 0, 5, 12, 0, 0, 0, 0]);
    }
}

/// Counts the calls that would be system calls, but for those that have nothing to give.
struct Counting {
    stream: DuplexStream,
    calls: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.calls.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_request_costs_one_read_and_its_answer_one_write() {
    let (mut client, stream) = tokio::io::duplex(64 * 1024);
    let calls = Arc::new(AtomicUsize::new(0));
    tokio::spawn(serve(Agent::new(), Counting { stream, calls: Arc::clone(&calls) }));
    for number in 1..=5 {
        client.write_all(&[0, 0, 0, 1, 11]).await.unwrap();
        let mut answer = [0; 9];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 2 * number);
    }
}
