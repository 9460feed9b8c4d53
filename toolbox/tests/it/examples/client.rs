//! HTTP/1 to a port of a test's machine: single requests, and a load that counts what goes wrong.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::machine::Machine;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Between two requests of a load: it shall see every gap, and leave the machine to those who work.
const PAUSE: Duration = Duration::from_millis(10);

/// Who asks one port of a machine.
#[derive(Clone)]
pub(super) struct Client {
    namespace: String,
    port: u16,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The header lines, in lower case.
    pub(super) headers: String,
    pub(super) body: String,
}

impl Client {
    pub(super) fn to(machine: &Machine, port: u16) -> Self {
        Self { namespace: machine.namespace(), port }
    }

    /// Fetches a page; a panic where nothing answers.
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// Sends a form; a panic where nothing answers.
    #[track_caller]
    pub(super) fn post(&self, path: &str, form: &str) -> Answer {
        self.ask("POST", path, form).unwrap_or_else(|e| panic!("POST {path}: {e}"))
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                self.enter();
                exchange(&mut self.connect()?, method, path, body)
            });
            asked.join().unwrap()
        })
    }

    /// Takes this thread, and it alone, into the machine's network.
    fn enter(&self) {
        let namespace = File::open(&self.namespace).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(BufReader::new(stream))
    }
}

/// One request and its answer. The connection serves another one where the answer says so.
fn exchange(stream: &mut BufReader<TcpStream>, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let length = body.len();
    write!(
        stream.get_mut(),
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer of HTTP: {first:?}")))?;
    let mut headers = first.to_lowercase();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        headers.push('\n');
        headers.push_str(&line.to_lowercase());
    }
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.ok_or_else(|| io::Error::other("an answer without a length"))?];
    stream.read_exact(&mut body)?;
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

impl Answer {
    fn keeps_the_connection(&self) -> bool {
        self.headers.starts_with("http/1.1") && !self.headers.contains("\nconnection: close")
    }
}

/// Requests one after the other, on kept connections and on new ones.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<u64, String>>>,
}

impl Load {
    /// Asks for `/`: two threads on connections that they keep, two on a new one for each request.
    pub(super) fn start(machine: &Machine, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, threads) = (Client::to(machine, port), [true, true, false, false].into_iter());
        let threads = threads.map(|keep| {
            let (stop, client) = (Arc::clone(&stop), client.clone());
            std::thread::spawn(move || {
                client.enter();
                ask_until(&stop, &client, keep)
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    /// Ends it, and checks that every request was answered, and well.
    #[track_caller]
    pub(super) fn lost_nothing(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let answered = thread.join().unwrap().unwrap_or_else(|e| panic!("{e}"));
            assert!(answered > 0, "no request was made");
        }
    }
}

/// How many requests were answered, or the first that was not.
fn ask_until(stop: &AtomicBool, client: &Client, keep: bool) -> Result<u64, String> {
    let mut kept = None;
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        let wrong =
            |what: &dyn std::fmt::Display| format!("after {answered} requests (connections kept: {keep}): {what}");
        let mut stream = kept.take().map_or_else(|| client.connect(), Ok).map_err(|e| wrong(&e))?;
        let answer = exchange(&mut stream, "GET", "/", "").map_err(|e| wrong(&e))?;
        if answer.status != 200 {
            return Err(wrong(&format!("status {}: {}", answer.status, answer.body)));
        }
        kept = (keep && answer.keeps_the_connection()).then_some(stream);
        answered += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(answered)
}
