//! Requests whose answer is a stream without an end of its own: logs, events, and both directions of a command.
//!
//! bollard guesses from the first byte whether a stream is multiplexed, which the output of a terminal may contradict.
//! Here whoever asks says it, and each request has a connection of its own. Multiplexing is described in the Docker
//! Engine API under `ContainerAttach`, "Stream format".

use bytes::{Buf as _, Bytes};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Dialer, EngineError, ExecStream};

/// Output as it comes, in parts of lines: `true` is standard error.
pub type Output = BoxStream<'static, Result<(bool, Bytes), EngineError>>;

/// How much of a stream is read at once, in bytes.
const CHUNK: usize = 32 << 10;

/// Where requests of this kind go.
pub(super) struct Hijack {
    dial: Dialer,
    version: String,
}

impl Hijack {
    /// Requests of this API version through these connections.
    pub(super) fn new(dial: Dialer, version: String) -> Self {
        Self { dial, version }
    }

    /// The body of the answer to a GET; the answer has begun when this returns.
    pub(super) async fn get(
        &self,
        what: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let answer = self.send(what, self.request("GET", path), Bytes::new()).await?;
        let what = what.to_owned();
        Ok(answer.into_data_stream().map_err(move |e| lost(&what, &e)).boxed())
    }

    /// Both directions of a POST that ends HTTP on its connection; `id` is handed through.
    pub(super) async fn upgrade(
        &self,
        what: &str,
        path: &str,
        body: Bytes,
        terminal: bool,
        id: String,
    ) -> Result<ExecStream, EngineError> {
        let request = self.request("POST", path);
        let request = request
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "tcp")
            .header(header::CONTENT_TYPE, "application/json");
        let answer = self.send(what, request, body).await?;
        let upgraded = hyper::upgrade::on(answer).await.map_err(|e| lost(what, &e))?;
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        let output = demultiplexed(chunks(what.to_owned(), read), terminal);
        Ok(ExecStream { input: Box::pin(write), output, id })
    }

    fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(format!("/v{}{path}", self.version)).header(header::HOST, "docker")
    }

    async fn send(
        &self,
        what: &str,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, EngineError> {
        let stream = (self.dial)().await.map_err(|e| lost(what, &e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| lost(what, &e))?;
        tokio::spawn(connection.with_upgrades());
        let request = request.body(Full::new(body)).map_err(|e| lost(what, &e))?;
        let answer = sender.send_request(request).await.map_err(|e| lost(what, &e))?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        let body = answer.into_body().collect().await.map_err(|e| lost(what, &e))?.to_bytes();
        Err(EngineError::Refused { what: what.to_owned(), message: message(&body), status: status.as_u16() })
    }
}

fn lost(what: &str, error: &dyn std::error::Error) -> EngineError {
    EngineError::Unreachable { reason: format!("{what}: {}", super::client::root_cause(error)) }
}

/// The engine's words in its answer to a request that it refuses.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let refusal = serde_json::from_slice::<Refusal>(body).map(|r| r.message);
    refusal.unwrap_or_else(|_| String::from_utf8_lossy(body).trim().to_owned())
}

fn chunks<R>(what: String, read: R) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static
where
    R: AsyncRead + Send + Unpin + 'static,
{
    stream::try_unfold((what, read), |(what, mut read)| async move {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
        match read.read_buf(&mut chunk).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((chunk.freeze(), (what, read)))),
            Err(error) => Err(lost(&what, &error)),
        }
    })
}

/// Takes a multiplexed stream apart; a terminal's is none.
pub(super) fn demultiplexed<S>(chunks: S, terminal: bool) -> Output
where
    S: Stream<Item = Result<Bytes, EngineError>> + Send + 'static,
{
    if terminal {
        return chunks.map_ok(|bytes| (false, bytes)).boxed();
    }
    let mut frames = Frames::default();
    let parts = chunks.map_ok(move |bytes| stream::iter(frames.take(bytes).into_iter().map(Ok)));
    parts.try_flatten().boxed()
}

/// Where in a multiplexed stream one is: frames of a header of 8 bytes (stream, 3 zeros, length in network order) and
/// content. Content is handed on as it comes, so that nothing waits for the end of a frame.
#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    error: bool,
    left: usize,
}

impl Frames {
    fn take(&mut self, mut bytes: Bytes) -> Vec<(bool, Bytes)> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            if self.left > 0 {
                let part = bytes.split_to(self.left.min(bytes.len()));
                self.left -= part.len();
                parts.push((self.error, part));
            } else {
                self.take_header(&mut bytes);
            }
        }
        parts
    }

    fn take_header(&mut self, bytes: &mut Bytes) {
        let wanted = (8 - self.header.len()).min(bytes.len());
        self.header.extend_from_slice(&bytes[..wanted]);
        bytes.advance(wanted);
        if let [kind, _, _, _, a, b, c, d] = self.header[..] {
            (self.error, self.left) = (kind == 2, u32::from_be_bytes([a, b, c, d]) as usize);
            self.header.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, text.as_bytes()].concat()
    }

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        let whole = [frame(1, "one\n"), frame(2, ""), frame(2, "two"), frame(1, "three")].concat();
        for size in 1..=whole.len() {
            let (mut frames, mut texts) = (Frames::default(), [Vec::new(), Vec::new()]);
            for piece in whole.chunks(size) {
                for (error, part) in frames.take(Bytes::copy_from_slice(piece)) {
                    texts[usize::from(error)].extend_from_slice(&part);
                }
            }
            assert_eq!(texts, [b"one\nthree".to_vec(), b"two".to_vec()], "cut every {size} bytes");
        }
    }

    #[tokio::test]
    async fn output_of_a_terminal_is_passed_on_whatever_its_first_byte() {
        let chunks = stream::iter([Ok(Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 9]))]);
        let parts: Vec<_> = demultiplexed(chunks, true).try_collect().await.unwrap();
        assert_eq!(parts, [(false, Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 9]))]);
    }

    #[test]
    fn refusal_is_shown_in_the_engines_words() {
        assert_eq!(message(br#"{"message":"no such container"}"#), "no such container");
        assert_eq!(message(b"page not found\n"), "page not found");
    }
}
