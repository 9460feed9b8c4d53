//! A TCP connection whose other side is not kept waiting for an acknowledgement.
//!
//! A server that has more to say in a small packet waits until the one before is acknowledged (Nagle, RFC 1122 section
//! 4.2.3.4), as sshd does outside of terminals, and the kernel puts that off for 40 ms in the hope that something goes
//! the other way. Here it waits for [`SOON`] only: a login and a snapshot would stall three times otherwise. What is
//! answered at once needs no acknowledgement beside, so that none is sent with each packet either.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long an answer may take that carries the acknowledgement along.
const SOON: Duration = Duration::from_millis(1);

/// A connected stream.
pub(super) struct Prompt {
    stream: TcpStream,
    /// When what was read last is acknowledged.
    due: Pin<Box<Sleep>>,
    owes: bool,
}

impl Prompt {
    /// Must be called in a runtime with a clock.
    pub(super) fn new(stream: TcpStream) -> Self {
        let prompt = Self { stream, due: Box::pin(sleep(SOON)), owes: false };
        prompt.put_off();
        prompt
    }

    // That the kernel may refuse does no harm, in both.

    fn put_off(&self) {
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, false);
    }

    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
        self.put_off();
    }
}

impl AsyncRead for Prompt {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.owes = true;
            self.due.as_mut().reset(Instant::now() + SOON);
        } else if read.is_pending() && self.owes && self.due.as_mut().poll(cx).is_ready() {
            self.owes = false;
            self.acknowledge();
        }
        read
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        // It goes along with these bytes.
        self.owes &= !matches!(written, Poll::Ready(Ok(1..)));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_is_read_and_written_passes_through() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut near = Prompt::new(near);
        for text in [&b"one"[..], &[7; 300_000]] {
            let (sent, mut read) = (text.to_vec(), vec![0; text.len()]);
            let (writing, reading) = tokio::join!(near.write_all(&sent), far.read_exact(&mut read));
            writing.unwrap();
            reading.unwrap();
            assert_eq!(read, text);
            let (writing, reading) = tokio::join!(far.write_all(&sent), near.read_exact(&mut read));
            writing.unwrap();
            reading.unwrap();
            assert_eq!(read, text);
        }
        far.shutdown().await.unwrap();
        assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
