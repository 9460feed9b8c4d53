//! `control`: one request to the relay of this network namespace.
//!
//! Contract: the answer is printed as one line. Exit status 0 for what was done, 1 for `{"error": …}`, also
//! when no relay answers. A relay that is just starting is waited for.

use std::io::{self, BufReader, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::config::socket_name;

/// A relay that was started before this program listens by then.
const STARTED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks, prints, and gives the status.
pub(crate) fn main(request: Option<&str>) -> ExitCode {
    match ask(request) {
        Ok(answer) => {
            println!("{answer}");
            let value: Option<serde_json::Value> = serde_json::from_str(&answer).ok();
            let done = value.is_some_and(|value| value.get("error").is_none());
            if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("{}", serde_json::json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn ask(request: Option<&str>) -> io::Result<String> {
    let request = match request {
        Some(request) => request.to_owned(),
        None => first_line(io::stdin().lock())?,
    };
    let mut stream = connect()?;
    writeln!(stream, "{}", request.trim().replace('\n', " "))?;
    let answer = first_line(BufReader::new(stream))?;
    if answer.is_empty() { Err(io::Error::other("the relay gave no answer")) } else { Ok(answer) }
}

fn first_line(mut from: impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn connect() -> io::Result<UnixStream> {
    let name = socket_name();
    let address = SocketAddr::from_abstract_name(&name)?;
    let deadline = Instant::now() + STARTED;
    loop {
        match UnixStream::connect_addr(&address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(io::Error::new(error.kind(), format!("no relay listens on @{name}: {error}"))),
            done => return done,
        }
    }
}
