//! The engine's own socket: three calls of the Docker Engine API.
//!
//! Contract: one connection a call. No time limit but for the first word: saving and loading a large image take
//! minutes. What the engine says is bounded.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use toolbox_wire::ErrorKind;

use super::fault::Fault;
use super::response::Response;

/// For an answer that costs nothing, and for one to a call that was broken off.
const SOON: Duration = Duration::from_secs(10);
/// Bytes of what the engine says that are looked at.
const MOST_TEXT: u64 = 1 << 20;
/// Lines of it that are passed on.
const MOST_MESSAGES: usize = 1000;
const MOST_NAME: usize = 512;

/// Where an engine listens.
#[derive(Debug)]
pub(super) struct Engine {
    socket: PathBuf,
}

impl Engine {
    pub(super) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Its API version (`GET /_ping`).
    pub(super) fn version(&self) -> Result<String, Fault> {
        let stream = self.call("GET /_ping", 0)?;
        let response = stream.set_read_timeout(Some(SOON)).and_then(|()| Response::read(stream));
        let mut response = response.map_err(|error| self.lost(&error))?;
        match response.api_version.take() {
            Some(version) if response.status == 200 => Ok(version),
            _ => Err(refused(response)),
        }
    }

    /// The image as a tarball (`GET /images/{name}/get`).
    pub(super) fn export(&self, image: &str) -> Result<Response<UnixStream>, Fault> {
        if !is_image(image) {
            return Err(Fault::protocol(format!("{image:?} is no name of an image")));
        }
        let stream = self.call(&format!("GET /images/{image}/get"), 0)?;
        let response = Response::read(stream).map_err(|error| self.lost(&error))?;
        if response.status == 200 { Ok(response) } else { Err(refused(response)) }
    }

    /// Begins `POST /images/load` with a tarball of this size.
    pub(super) fn load(&self, size: u64) -> Result<Upload, Fault> {
        // Progress would have to be read while the tarball is written.
        self.call("POST /images/load?quiet=1", size).map(Upload)
    }

    fn call(&self, what: &str, length: u64) -> Result<UnixStream, Fault> {
        let content = "Content-Type: application/x-tar\r\n";
        let head = format!(
            "{what} HTTP/1.1\r\nHost: docker\r\n{content}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let mut stream = UnixStream::connect(&self.socket).map_err(|error| self.lost(&error))?;
        stream.write_all(head.as_bytes()).map_err(|error| self.lost(&error))?;
        Ok(stream)
    }

    fn lost(&self, error: &io::Error) -> Fault {
        Fault::engine(format!("{}: {error}", self.socket.display()))
    }
}

/// What may stand in the path of a request as it is (RFC 3986, section 3.3), and leads nowhere else.
fn is_image(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:@/".contains(&byte);
    let part = |part: &str| !part.is_empty() && part.bytes().any(|byte| byte != b'.');
    name.len() <= MOST_NAME && name.bytes().all(plain) && name.split('/').all(part)
}

/// A tarball on its way to the engine.
#[derive(Debug)]
pub(super) struct Upload(UnixStream);

impl Upload {
    /// Sends the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Waits so long for the engine to answer before it has everything: it will not take the rest then.
    pub(super) fn has_answered(&self, wait: Duration) -> io::Result<bool> {
        let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
        Ok(poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&wait))? > 0)
    }

    /// What the engine says to what it got.
    pub(super) fn answer(self) -> Result<Vec<String>, Fault> {
        let lost = |error: io::Error| Fault::engine(format!("the engine's answer was cut off: {error}"));
        let response = Response::read(self.0).map_err(lost)?;
        if response.status != 200 {
            return Err(refused(response));
        }
        let mut messages = Vec::new();
        for line in BufReader::new(response.take(MOST_TEXT)).split(b'\n') {
            match Said::of(&line.map_err(lost)?) {
                Said::Error(text) => return Err(Fault::engine(text)),
                Said::Message(text) if messages.len() < MOST_MESSAGES => messages.push(text),
                Said::Message(_) | Said::Nothing => {}
            }
        }
        Ok(messages)
    }

    /// Breaks it off, so that the engine loads nothing, and waits until it has noticed.
    pub(super) fn abort(self) {
        // Whatever fails here, the connection is closed.
        let _ = self.0.shutdown(Shutdown::Write);
        let _ = self.0.set_read_timeout(Some(SOON));
        let _ = io::copy(&mut self.0.take(MOST_TEXT), &mut io::sink());
    }
}

/// A line of the engine's JSON stream.
enum Said {
    Message(String),
    Error(String),
    Nothing,
}

#[derive(Deserialize)]
struct Line {
    stream: Option<String>,
    status: Option<String>,
    error: Option<String>,
}

impl Said {
    fn of(line: &[u8]) -> Self {
        let text = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match serde_json::from_slice::<Line>(line) {
            Ok(Line { error: Some(error), .. }) => Self::Error(error),
            Ok(line) => line.stream.or(line.status).and_then(text).map_or(Self::Nothing, Self::Message),
            Err(_) => text(String::from_utf8_lossy(line).into_owned()).map_or(Self::Nothing, Self::Message),
        }
    }
}

/// The engine's error message, or else the status.
fn refused(response: Response<UnixStream>) -> Fault {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let status = response.status;
    let mut body = Vec::new();
    // A body that is cut off still says the status.
    let _ = response.take(MOST_TEXT).read_to_end(&mut body);
    let message = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.message);
    Fault::new(ErrorKind::Engine, message.unwrap_or_else(|_| format!("the engine answers with status {status}")))
}

#[cfg(test)]
mod tests {
    use super::is_image;

    #[test]
    fn the_name_of_an_image_leads_nowhere_else() {
        let id = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for name in ["alpine", "registry.example:5000/a/b__c:1.0-x", id, "a@sha256:00", "a..b"] {
            assert!(is_image(name), "{name}");
        }
        let long = "a".repeat(513);
        for name in ["", "/", "a//b", "../containers", "a/../b", "a/.", "a b", "a?x=1", "a%2e", "a\r\nX: y", "é", &long]
        {
            assert!(!is_image(name), "{name}");
        }
    }
}
