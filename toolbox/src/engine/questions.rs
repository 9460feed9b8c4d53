//! Questions to an engine: several go out together on one connection, and the answers come back in their order
//! (HTTP/1.1 pipelining, RFC 9112 section 9.3.2).
//!
//! Contract: reads only, so that a question may be asked again when a kept connection has died. One connection is kept
//! between batches. Beside bollard, which opens a connection for each request that is under way: over SSH each is a
//! channel with packets of its own. Absent on purpose: what is asked, and what it means (`observe`).

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use bollard::ClientVersion;
use bytes::{Buf as _, BytesMut};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::client::root_cause;
use super::logs::percent_encoded;
use super::{Dialer, EngineError, EngineStream};

/// For one batch.
const QUICK: Duration = Duration::from_secs(120);
/// More than an engine ever says at once, bytes.
const MOST: usize = 256 << 20;
/// How much is read at once, bytes.
const CHUNK: usize = 32 << 10;
/// Headers of an answer; an engine sends about ten.
const HEADERS: usize = 64;

type Stream = Box<dyn EngineStream>;

/// An engine to be asked.
pub(super) struct Questions {
    dial: Dialer,
    /// Before each path, such as `/v1.41`.
    prefix: String,
    /// It is Podman, behind Docker's API.
    pub(super) podman: bool,
    kept: Mutex<Option<Line>>,
    /// What the first questions were answered, until somebody asks them.
    told: Mutex<Option<(Vec<String>, Vec<Answer>)>>,
}

impl Questions {
    /// Connects, and agrees on a version of the API: the engine's own, or `newest` where that is lower. An engine tells
    /// its own with every answer, so what is wanted `first` is asked at once, in the engine's own version; with nothing
    /// wanted it is a ping. An engine that is newer is asked again when the answers are wanted.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] where nothing answers as an engine does.
    pub(super) async fn open(
        dial: Dialer,
        newest: &ClientVersion,
        first: &[String],
    ) -> Result<(Self, ClientVersion), EngineError> {
        let (kept, told) = Default::default();
        let mut questions = Self { dial, prefix: String::new(), podman: false, kept, told };
        let ping = ["/_ping".to_owned()];
        let answers = questions.ask(if first.is_empty() { &ping } else { first }).await?;
        let Some((theirs, podman)) = answers.first().and_then(|answer| Some((answer.api_version?, answer.podman)))
        else {
            return Err(unreachable("no engine answers"));
        };
        questions.podman = podman;
        let agreed = if theirs < *newest { theirs } else { *newest };
        questions.prefix = format!("/v{agreed}");
        if agreed == theirs {
            questions.told = Mutex::new(Some((first.to_vec(), answers)));
        }
        Ok((questions, agreed))
    }

    /// The answer to each of these paths.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`]; an engine's refusal is an answer.
    pub(super) async fn ask(&self, paths: &[String]) -> Result<Vec<Answer>, EngineError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        if let Some((asked, answers)) = self.told.lock().await.take()
            && asked == paths
        {
            return Ok(answers);
        }
        let requests: String = paths.iter().map(|path| request(&self.prefix, path)).collect();
        let asked = timeout(QUICK, self.ask_again(&requests, paths.len())).await;
        let asked = asked.map_err(|_| unreachable(&format!("no answer within {} s", QUICK.as_secs())))?;
        asked.map_err(|e| unreachable(&root_cause(&e)))
    }

    /// The answers to a fixed number of paths.
    ///
    /// # Errors
    /// As [`Questions::ask`].
    pub(super) async fn each<const N: usize>(&self, paths: [String; N]) -> Result<[Answer; N], EngineError> {
        <[Answer; N]>::try_from(self.ask(&paths).await?).map_err(|_| unreachable("answers are missing"))
    }

    /// How long the engine takes to answer a ping that is longer by a header which means nothing (RFC 9110, section 5.1);
    /// `None` where it does not take that.
    pub(super) async fn ping_with(&self, padding: &str) -> Option<Duration> {
        let ping = format!("GET {}/_ping HTTP/1.1\r\nHost: docker\r\nX-Padding: {padding}\r\n\r\n", self.prefix);
        let began = Instant::now();
        let answered = timeout(QUICK, self.ask_again(&ping, 1)).await.ok()?.ok()?;
        answered.first().filter(|answer| answer.status == 200).map(|_| began.elapsed())
    }

    /// The answers to several lists of paths, which go out together.
    ///
    /// # Errors
    /// As [`Questions::ask`].
    pub(super) async fn groups<const N: usize>(
        &self,
        groups: [Vec<String>; N],
    ) -> Result<[Vec<Answer>; N], EngineError> {
        let lengths = groups.each_ref().map(Vec::len);
        let mut answers = self.ask(&groups.concat()).await?.into_iter();
        Ok(lengths.map(|length| answers.by_ref().take(length).collect()))
    }

    /// A kept connection may have ended with the engine; then a new one is asked.
    async fn ask_again(&self, requests: &str, count: usize) -> io::Result<Vec<Answer>> {
        let mut kept = self.kept.lock().await;
        if let Some(mut line) = kept.take()
            && let Ok(answers) = line.ask(requests, count).await
        {
            *kept = Some(line);
            return Ok(answers);
        }
        let mut line = Line { stream: (self.dial)().await?, read: BytesMut::new() };
        let answers = line.ask(requests, count).await?;
        *kept = Some(line);
        Ok(answers)
    }
}

pub(super) fn unreachable(reason: &str) -> EngineError {
    EngineError::Unreachable { reason: reason.to_owned() }
}

fn request(prefix: &str, path: &str) -> String {
    format!("GET {prefix}{path} HTTP/1.1\r\nHost: docker\r\n\r\n")
}

/// The path of a list of what bears one of these names, or of everything. An engine may tell of others too, since it
/// takes a name for a part of one.
pub(super) fn by_name(path: &str, names: Option<&BTreeSet<String>>) -> String {
    match names {
        Some(names) => {
            let filters = serde_json::json!({ "name": names }).to_string();
            format!("{path}?filters={}", percent_encoded(&filters))
        }
        None => path.to_owned(),
    }
}

/// What an engine says to one question.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    /// The engine's newest, which it tells with every answer.
    api_version: Option<ClientVersion>,
    podman: bool,
    body: Vec<u8>,
}

impl Answer {
    /// The body, or the engine's reason why there is none. `what` says what was asked.
    pub(super) fn body(self, what: &str) -> Result<Vec<u8>, EngineError> {
        if self.status < 300 {
            return Ok(self.body);
        }
        let told: Option<Told> = serde_json::from_slice(&self.body).ok();
        let message = told.map_or_else(|| String::from_utf8_lossy(&self.body).trim().to_owned(), |told| told.message);
        Err(EngineError::Refused { what: what.to_owned(), message, status: self.status })
    }

    /// The body as a value.
    pub(super) fn read<T: DeserializeOwned>(self, what: &str) -> Result<T, EngineError> {
        let body = self.body(what)?;
        serde_json::from_slice(&body).map_err(|e| unreachable(&format!("{what}: {e}")))
    }
}

#[derive(serde::Deserialize)]
struct Told {
    message: String,
}

/// A connection, and what was read of it beyond the last answer.
struct Line {
    stream: Stream,
    read: BytesMut,
}

impl Line {
    /// Requests and answers flow at once: neither side waits for the other to finish.
    async fn ask(&mut self, requests: &str, count: usize) -> io::Result<Vec<Answer>> {
        let (stream, mut writing) = tokio::io::split(&mut self.stream);
        let mut reading = Reading { stream, read: &mut self.read };
        let ask = async {
            writing.write_all(requests.as_bytes()).await?;
            writing.flush().await
        };
        let listen = async {
            let mut answers = Vec::with_capacity(count);
            while answers.len() < count {
                answers.push(reading.answer().await?);
            }
            Ok(answers)
        };
        tokio::try_join!(ask, listen).map(|((), answers)| answers)
    }
}

/// How an answer's body ends.
enum Framing {
    Length(usize),
    Chunked,
}

struct Reading<'a> {
    stream: ReadHalf<&'a mut Stream>,
    read: &'a mut BytesMut,
}

impl Reading<'_> {
    async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some((length, mut answer, framing)) = head(self.read)? {
                self.read.advance(length);
                answer.body = match framing {
                    Framing::Length(length) => self.take(length).await?.into(),
                    Framing::Chunked => self.chunks().await?,
                };
                return Ok(answer);
            }
            self.more().await?;
        }
    }

    /// RFC 9112 section 7.1.
    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size).await?);
            bounded(body.len())?;
            self.line().await?;
        }
    }

    async fn chunk_size(&mut self) -> io::Result<usize> {
        loop {
            let parsed = httparse::parse_chunk_size(self.read).map_err(|_| malformed("a chunk without a size"))?;
            if let httparse::Status::Complete((length, size)) = parsed {
                self.read.advance(length);
                return bounded(usize::try_from(size).unwrap_or(usize::MAX));
            }
            self.more().await?;
        }
    }

    /// A line without its end.
    async fn line(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                let line = self.read.split_to(end);
                self.read.advance(2);
                return Ok(line);
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<BytesMut> {
        while self.read.len() < bounded(length)? {
            self.more().await?;
        }
        Ok(self.read.split_to(length))
    }

    async fn more(&mut self) -> io::Result<()> {
        bounded(self.read.len())?;
        self.read.reserve(CHUNK);
        match self.stream.read_buf(self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The head's length, the answer without its body, and how that ends; `None` where more must be read.
fn head(bytes: &[u8]) -> io::Result<Option<(usize, Answer, Framing)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|e| malformed(&e.to_string()))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let value = |name: &str| response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value);
    let framing = match (value("transfer-encoding"), value("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (None, Some(length)) => Framing::Length(number(length)?),
        _ => return Err(malformed("an answer without an end")),
    };
    let api_version = value("api-version").and_then(|text| version(std::str::from_utf8(text).ok()?));
    let podman = value("libpod-api-version").is_some();
    Ok(Some((length, Answer { status, api_version, podman, body: Vec::new() }, framing)))
}

/// Two numbers with a dot between them.
fn version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

fn number(text: &[u8]) -> io::Result<usize> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| malformed("an answer of no length"))
}

fn bounded(length: usize) -> io::Result<usize> {
    if length > MOST { Err(malformed("an answer that is too long")) } else { Ok(length) }
}

fn malformed(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no engine answers like this: {reason}"))
}

#[cfg(test)]
mod tests;
