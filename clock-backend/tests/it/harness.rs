//! A client of raw bytes, a service in this process, and the binary as a child.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

use axum::Router;
use clock_backend::serve::{self, Limits, Outcome};
use tokio::sync::mpsc;

/// No state is waited for longer than this; a test that reaches it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Limits that play no part in a test which does not change them.
pub(crate) const LIMITS: Limits = Limits { header_timeout: PATIENCE, shutdown_grace: PATIENCE };

/// A service in this process.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<Outcome>,
}

impl Service {
    pub(crate) fn start(app: Router, limits: Limits) -> Self {
        let (stop, stopped) = mpsc::channel(2);
        let (bound, address) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                bound.send(listener.local_addr().expect("bound")).expect("waiting");
                serve::serve(listener, app, limits, stopped).await
            })
        });
        let address = address.recv().expect("the service starts");
        Self { address, stop, thread }
    }

    pub(crate) fn tell_to_stop(&self) {
        self.stop.blocking_send(()).expect("the service still listens to us");
    }

    pub(crate) fn outcome(self) -> Outcome {
        self.thread.join().expect("the service does not panic")
    }
}

/// A connection that sends and reads bytes, with [`PATIENCE`].
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("accepted");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(stream)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("the service reads");
    }

    /// Everything until the service closes the connection.
    pub(crate) fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("closed in time");
        text
    }

    /// Reads until the text ends with `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        let mut byte = [0];
        while !text.ends_with(end) {
            self.0.read_exact(&mut byte).expect("more to come");
            text.push(char::from(byte[0]));
        }
        text
    }
}

/// One request on a connection of its own; the whole answer.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut client = Client::connect(address);
    client.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
    client.rest()
}

/// The value of a header, by its lower-case name.
pub(crate) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer
        .split("\r\n")
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": "))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// The part of an answer after its header.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a whole header").1
}

/// Waits until `address` refuses connections.
pub(crate) fn wait_until_refused(address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "{address} still accepts");
        thread::yield_now();
    }
}

/// A loopback address that no other test of this run listens on.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from(([127, high, low, last], 8000))
}

/// The binary with `arguments`, an environment of nothing but `vars`, and both outputs caught.
pub(crate) fn binary(arguments: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clock-backend"));
    command
        .args(arguments)
        .env_clear()
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The standard error of a finished process.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The binary as a running service; killed when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// What it logged up to and with the line that it listens.
    pub(crate) greeting: String,
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Running {
    /// Starts the binary on [`own_address`] and waits until it listens.
    pub(crate) fn start(vars: &[(&str, &str)]) -> Self {
        let address = own_address();
        let mut child =
            binary(&[], vars).env("CLOCK_HOST", address.ip().to_string()).spawn().expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("caught"));
        let mut running = Self { address, greeting: String::new(), child, log };
        running.greeting = running.wait_for_line("listening");
        running
    }

    /// Reads the log up to and with the first line that contains `word`.
    pub(crate) fn wait_for_line(&mut self, word: &str) -> String {
        let mut text = String::new();
        loop {
            let start = text.len();
            let read = self.log.read_line(&mut text).expect("UTF-8");
            assert!(read > 0, "the process ended before {word:?}: {text}");
            if text[start..].contains(word) {
                return text;
            }
        }
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own kill: std has none and a crate for one call is not worth it.
        let status =
            Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().expect("a shell");
        assert!(status.success());
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("our own child").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
