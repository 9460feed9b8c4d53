//! One session with a receiver: requests in, replies out.
//!
//! Contract: every request has one final reply, in order, so that many may be under way. A session that ends is an
//! error that says why.

use std::pin::Pin;

use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use toolbox_wire::{ErrorKind, FrameError, MOST_REPLY, Reply, Request, head};

use crate::engine::{EngineError, ExecStream, Output};

/// More of what a session writes to its standard error is not kept, bytes.
const MOST_SAID: usize = 4096;

/// Why a request was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Broken {
    /// The receiver says why.
    #[error("{text}")]
    Refused {
        /// What kind of reason.
        kind: ErrorKind,
        /// In its words.
        text: String,
        /// The layer that it is about.
        diff_id: Option<toolbox_wire::DiffId>,
    },
    /// The session is over.
    #[error("the receiver on the host ended: {0}")]
    Ended(String),
    /// What was to be sent cannot be read here.
    #[error("reading the images: {0}")]
    Read(String),
}

/// Both directions of a session.
pub(super) struct Session {
    /// Where requests go.
    pub(super) input: Requests,
    /// Where replies come from.
    pub(super) replies: Replies,
}

/// Where requests go. Dropping it ends the session.
pub(super) struct Requests(Pin<Box<dyn AsyncWrite + Send>>);

/// Where replies come from.
pub(super) struct Replies {
    output: Output,
    line: Vec<u8>,
    said: Vec<u8>,
}

impl Session {
    /// The session of this command.
    pub(super) fn new(stream: ExecStream) -> Self {
        let replies = Replies { output: stream.output, line: Vec::new(), said: Vec::new() };
        Self { input: Requests(stream.input), replies }
    }

    /// Asks, and waits for the final reply.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Reply, Broken> {
        self.ask_hearing(request, &mut |_| ()).await
    }

    /// The same; `hear` gets what is said of progress.
    pub(super) async fn ask_hearing(
        &mut self,
        request: &Request,
        hear: &mut (dyn FnMut(Reply) + Send),
    ) -> Result<Reply, Broken> {
        match self.input.send(request, b"").await {
            // The replies end too, and say why.
            Ok(()) | Err(Broken::Ended(_)) => self.replies.next_hearing(hear).await,
            Err(unsayable) => Err(unsayable),
        }
    }
}

impl Requests {
    /// Sends a request and its payload.
    pub(super) async fn send(&mut self, request: &Request, payload: &[u8]) -> Result<(), Broken> {
        let ended = |e: std::io::Error| Broken::Ended(e.to_string());
        let unsayable =
            |e: FrameError| Broken::Refused { kind: ErrorKind::Protocol, text: e.to_string(), diff_id: None };
        let head = head(request).map_err(unsayable)?;
        self.0.write_all(&head).await.map_err(ended)?;
        self.0.write_all(payload).await.map_err(ended)?;
        self.0.flush().await.map_err(ended)
    }
}

impl Replies {
    /// The next final reply; an error where it is one.
    pub(super) async fn next(&mut self) -> Result<Reply, Broken> {
        self.next_hearing(&mut |_| ()).await
    }

    async fn next_hearing(&mut self, hear: &mut (dyn FnMut(Reply) + Send)) -> Result<Reply, Broken> {
        loop {
            match self.read().await? {
                Reply::Error { kind, text, diff_id } => return Err(Broken::Refused { kind, text, diff_id }),
                reply if reply.is_progress() => hear(reply),
                reply => return Ok(reply),
            }
        }
    }

    async fn read(&mut self) -> Result<Reply, Broken> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(end + 1);
                let line = std::mem::replace(&mut self.line, rest);
                return serde_json::from_slice(&line).map_err(|_| self.strange(&line));
            }
            if self.line.len() > MOST_REPLY {
                return Err(self.strange(&self.line[..80]));
            }
            match self.output.next().await {
                Some(Ok((false, bytes))) => self.line.extend_from_slice(&bytes),
                Some(Ok((true, bytes))) => self.hear(&bytes),
                Some(Err(error)) => return Err(Broken::Ended(reason(&error))),
                None => return Err(self.over()),
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let room = MOST_SAID.saturating_sub(self.said.len()).min(bytes.len());
        self.said.extend_from_slice(&bytes[..room]);
    }

    fn strange(&self, line: &[u8]) -> Broken {
        Broken::Ended(format!("it said {:?}", String::from_utf8_lossy(&line[..line.len().min(80)])))
    }

    fn over(&self) -> Broken {
        let said = String::from_utf8_lossy(&self.said);
        let last = said.lines().last().map(str::trim).filter(|line| !line.is_empty());
        Broken::Ended(last.unwrap_or("the line was cut, or it was stopped").to_owned())
    }
}

fn reason(error: &EngineError) -> String {
    match error {
        EngineError::Unreachable { reason } => reason.clone(),
        other => other.to_string(),
    }
}
