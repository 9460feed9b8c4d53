//! A channel as a byte stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::SshError;
use super::channel::{BUFFER, Ended, Event, Incoming};
use super::connection::Peer;
use super::exec::{Exit, shorten};

/// How much of a command's stderr is kept for the error, in bytes.
const STDERR_KEPT: usize = 4096;

/// Bytes to and from a socket, a port or a command on the host.
///
/// - `shutdown` closes the writing direction only; reading goes on (half-close).
/// - A read of 0 bytes means that the other side finished. A lost connection is an error, of kind
///   `ConnectionAborted` with an [`SshError::Disconnected`] inside.
/// - A command that ends with a status other than 0 before it wrote anything is an error too, with an
///   [`SshError::CommandFailed`] inside.
/// - Up to 32 MiB wait for a slow reader. Beyond that the stream fails, or the sender waits: see
///   `Connection::open` and `Connection::open_bulk`.
/// - Dropping it closes the channel.
pub struct ChannelStream {
    incoming: Incoming,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    ended: Arc<Ended>,
    peer: Arc<Peer>,
    /// Set for the stream of a command.
    command: Option<Command>,
    current: Bytes,
    finished: bool,
}

/// What is known of the command behind a stream.
struct Command {
    command: String,
    stderr: Vec<u8>,
    status: Option<u32>,
    spoke: bool,
}

impl ChannelStream {
    pub(super) fn new(incoming: Incoming, peer: Arc<Peer>, command: Option<&str>) -> Self {
        let command = command.map(|command| Command {
            command: shorten(command),
            stderr: Vec::new(),
            status: None,
            spoke: false,
        });
        Self {
            writer: Box::pin(incoming.writing().make_writer()),
            ended: incoming.ended(),
            incoming,
            peer,
            command,
            current: Bytes::new(),
            finished: false,
        }
    }

    /// The same, where some of the output and perhaps the end of the command were read already.
    pub(super) fn after(mut self, known: Bytes, exit: Exit) -> Self {
        self.current = known;
        if let Some(command) = &mut self.command {
            command.spoke = !self.current.is_empty();
            command.status = if let Exit::Status(status) = exit { Some(status) } else { None };
        }
        self
    }

    /// Takes one event in.
    fn take(&mut self, event: Option<Event>) -> io::Result<()> {
        match (event, &mut self.command) {
            (Some(Event::Stdout(data)), command) => {
                self.current = data;
                if let Some(command) = command {
                    command.spoke = true;
                }
                Ok(())
            }
            (Some(Event::Stderr(data)), Some(command)) => {
                keep_end(&mut command.stderr, &data);
                Ok(())
            }
            (Some(Event::Exit(status)), Some(command)) => {
                command.status = Some(status);
                Ok(())
            }
            // A command that ends without a word has something to say on stderr: wait for its status.
            (Some(Event::Eof), Some(command)) if !command.spoke => Ok(()),
            (Some(Event::Eof | Event::Closed), _) => self.finish(),
            (Some(Event::Overflowed), _) => {
                Err(self.fail(io::Error::other(format!("{BUFFER} bytes were left unread"))))
            }
            (Some(_), _) => Ok(()),
            (None, _) => {
                let lost = self.peer.lost();
                Err(self.fail(io::Error::new(io::ErrorKind::ConnectionAborted, lost)))
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        match &self.command {
            Some(Command { command, stderr, status: Some(status @ 1..), spoke: false }) => {
                Err(io::Error::other(SshError::CommandFailed {
                    address: self.peer.address.clone(),
                    command: command.clone(),
                    status: *status,
                    stderr: String::from_utf8_lossy(stderr).trim().to_owned(),
                }))
            }
            _ => Ok(()),
        }
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.finished = true;
        error
    }
}

fn keep_end(kept: &mut Vec<u8>, data: &[u8]) {
    kept.extend_from_slice(data);
    let excess = kept.len().saturating_sub(STDERR_KEPT);
    kept.drain(..excess);
}

impl AsyncRead for ChannelStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.current.is_empty() && !self.finished {
            let event = ready!(self.incoming.poll_next(cx));
            self.take(event)?;
        }
        let length = self.current.len().min(buf.remaining());
        buf.put_slice(&self.current[..length]);
        self.current.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChannelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.ended.poll(cx) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended.poll(cx) {
            return Poll::Ready(Ok(()));
        }
        self.writer.as_mut().poll_shutdown(cx)
    }
}

impl fmt::Debug for ChannelStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelStream").field("address", &self.peer.address).finish_non_exhaustive()
    }
}
