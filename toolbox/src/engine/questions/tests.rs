use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, BufReader, DuplexStream, duplex};

use super::*;

const NEWEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 44 };
const PONG: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";

/// Reads this many requests before it says anything; gives their first lines.
async fn hear(reading: &mut BufReader<&mut DuplexStream>, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let mut line = String::new();
        reading.read_line(&mut line).await.unwrap();
        if line.starts_with("GET ") {
            heard.push(line.trim_end().to_owned());
        }
    }
    heard
}

/// An engine whose connections each follow a script: so many requests, then these bytes, and so on; then they end.
fn engine(scripts: Vec<Vec<(usize, &'static [u8])>>) -> (Dialer, Arc<std::sync::Mutex<Vec<String>>>) {
    let (heard, turn) = (Arc::new(std::sync::Mutex::new(Vec::new())), AtomicUsize::new(0));
    let log = Arc::clone(&heard);
    let dial: Dialer = Arc::new(move || {
        let (ours, mut theirs) = duplex(1 << 10);
        let script = scripts[turn.fetch_add(1, Ordering::SeqCst)].clone();
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut reading = BufReader::new(&mut theirs);
            for (count, bytes) in script {
                let lines = hear(&mut reading, count).await;
                log.lock().unwrap().extend(lines);
                // Cut anywhere: answers do not come in whole packets.
                for part in bytes.chunks(3) {
                    reading.get_mut().write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        Box::pin(async move { Ok(Box::new(ours) as Stream) })
    });
    (dial, heard)
}

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

fn bodies(answers: Vec<Answer>) -> Vec<String> {
    answers.into_iter().map(|answer| String::from_utf8(answer.body("asking").unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn questions_go_out_together_and_answers_are_told_apart_in_every_form() {
    let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1;x=y\r\no\r\n0\r\nTrailer: t\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\
        HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n{\"message\":\"gone\"}";
    let (dial, heard) = engine(vec![vec![(1, PONG.as_bytes()), (4, answers)]]);
    let (questions, agreed) = Questions::open(dial, &NEWEST, &[]).await.unwrap();
    assert_eq!(agreed.to_string(), "1.41");
    let groups = [paths(&["/a", "/b"]), paths(&[]), paths(&["/c", "/d"])];
    let [first, none, mut last] = questions.groups(groups).await.unwrap();
    assert_eq!(bodies(first), ["one", "two"]);
    assert!(none.is_empty());
    let gone = last.pop().unwrap().body("asking for d").unwrap_err();
    assert!(gone.is_not_found());
    assert_eq!(gone.to_string(), "asking for d: gone");
    assert_eq!(bodies(last), [""]);
    let asked = ["/_ping", "/v1.41/a", "/v1.41/b", "/v1.41/c", "/v1.41/d"];
    assert_eq!(*heard.lock().unwrap(), asked.map(|path| format!("GET {path} HTTP/1.1")));
}

#[tokio::test]
async fn an_engine_newer_than_this_program_is_spoken_to_in_words_that_both_know() {
    let pong = b"HTTP/1.1 200 OK\r\nApi-Version: 1.100\r\nContent-Length: 2\r\n\r\nOK";
    let (dial, _) = engine(vec![vec![(1, pong)]]);
    assert_eq!(Questions::open(dial, &NEWEST, &[]).await.unwrap().1.to_string(), "1.44");
}

#[tokio::test]
async fn what_is_wanted_first_is_asked_once_and_in_place_of_a_ping() {
    let one = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 3\r\n\r\none";
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";
    let (dial, heard) = engine(vec![vec![(1, one), (1, two)]]);
    let wanted = paths(&["/a"]);
    let (questions, agreed) = Questions::open(dial, &NEWEST, &wanted).await.unwrap();
    assert_eq!(agreed.to_string(), "1.41");
    for said in ["one", "two"] {
        assert_eq!(bodies(questions.ask(&wanted).await.unwrap()), [said], "asked again it is asked anew");
    }
    assert_eq!(*heard.lock().unwrap(), ["GET /a HTTP/1.1", "GET /v1.41/a HTTP/1.1"]);
}

#[tokio::test]
async fn what_a_newer_engine_said_in_its_own_words_is_asked_again() {
    let new = b"HTTP/1.1 200 OK\r\nApi-Version: 1.100\r\nContent-Length: 3\r\n\r\nnew";
    let old = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold";
    let (dial, heard) = engine(vec![vec![(1, new), (1, old)]]);
    let wanted = paths(&["/a"]);
    let (questions, _) = Questions::open(dial, &NEWEST, &wanted).await.unwrap();
    assert_eq!(bodies(questions.ask(&wanted).await.unwrap()), ["old"]);
    assert_eq!(*heard.lock().unwrap(), ["GET /a HTTP/1.1", "GET /v1.44/a HTTP/1.1"]);
}

#[tokio::test]
async fn answers_to_other_questions_are_not_kept_for_later() {
    let one = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 3\r\n\r\none";
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";
    let (dial, _) = engine(vec![vec![(1, one), (1, two), (1, two)]]);
    let (questions, _) = Questions::open(dial, &NEWEST, &paths(&["/a"])).await.unwrap();
    assert_eq!(bodies(questions.ask(&paths(&["/b"])).await.unwrap()), ["two"]);
    assert_eq!(bodies(questions.ask(&paths(&["/a"])).await.unwrap()), ["two"], "it may have changed");
}

#[tokio::test]
async fn podman_is_known_by_its_own_header_and_docker_is_not_taken_for_it() {
    let podman = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\nContent-Length: 2\r\n\r\nOK";
    for (pong, expected) in [(&podman[..], true), (PONG.as_bytes(), false)] {
        let (dial, _) = engine(vec![vec![(1, pong)]]);
        assert_eq!(Questions::open(dial, &NEWEST, &[]).await.unwrap().0.podman, expected);
    }
}

#[tokio::test]
async fn a_kept_connection_that_ended_is_replaced_once() {
    let one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
    let (dial, _) = engine(vec![vec![(1, PONG.as_bytes())], vec![(1, one)], vec![]]);
    let (questions, _) = Questions::open(dial, &NEWEST, &[]).await.unwrap();
    assert_eq!(bodies(questions.ask(&paths(&["/a"])).await.unwrap()), ["1"]);
    let lost = questions.ask(&paths(&["/b"])).await;
    assert!(matches!(lost, Err(EngineError::Unreachable { .. })), "{lost:?}");
}

#[tokio::test]
async fn what_is_no_engine_is_not_taken_for_one() {
    for said in [
        "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n\r\n",
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nOK",
    ] {
        let (dial, _) = engine(vec![vec![(1, said.as_bytes())]]);
        let opened = Questions::open(dial, &NEWEST, &[]).await.err();
        assert!(matches!(opened, Some(EngineError::Unreachable { .. })), "{said:?}: {opened:?}");
    }
}

#[test]
fn names_are_asked_for_by_a_filter_and_everything_without() {
    let names = BTreeSet::from(["a_b".to_owned()]);
    assert_eq!(by_name("/volumes", Some(&names)), "/volumes?filters=%7B%22name%22%3A%5B%22a_b%22%5D%7D");
    assert_eq!(by_name("/volumes", None), "/volumes");
}
