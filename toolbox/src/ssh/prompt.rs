//! A TCP connection whose other side is not kept waiting for an acknowledgement, and on which nothing goes alone that
//! could go along with something.
//!
//! A server that has more to say in a small packet waits until the one before is acknowledged (Nagle, RFC 1122 section
//! 4.2.3.4), as sshd does outside of terminals, and the kernel puts that off for 40 ms in the hope that something goes
//! the other way. Here it waits for [`SOON`] only: a login and a snapshot would stall three times otherwise. What is
//! answered at once needs no acknowledgement beside, so that none is sent with each packet either.
//!
//! What nobody answers and is followed by more goes along with that, in one packet: the identification string (RFC 4253
//! section 4.2), `SSH_MSG_NEWKEYS` (section 7.3), and the last words before the end. A server that waits for the string
//! before it says its own gets it after 200 ms, when the kernel lets go of what it holds back (tcp(7), `TCP_CORK`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long an answer may take that carries the acknowledgement along.
const SOON: Duration = Duration::from_millis(1);
/// The number of `SSH_MSG_NEWKEYS`.
const NEWKEYS: u8 = 21;

/// Tells a [`Prompt`] that what is written from now on are last words.
#[derive(Debug, Clone, Default)]
pub(super) struct Goodbye(Arc<AtomicBool>);

impl Goodbye {
    pub(super) fn say(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_said(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connected stream.
pub(super) struct Prompt {
    stream: TcpStream,
    /// When what was read last is acknowledged.
    due: Pin<Box<Sleep>>,
    owes: bool,
    /// What is written can be read: no keys are in use yet.
    in_the_clear: bool,
    holds_back: bool,
    goodbye: Goodbye,
}

impl Prompt {
    /// Must be called in a runtime with a clock.
    pub(super) fn new(stream: TcpStream) -> Self {
        let (due, goodbye) = (Box::pin(sleep(SOON)), Goodbye::default());
        let prompt = Self { stream, due, owes: false, in_the_clear: true, holds_back: false, goodbye };
        prompt.put_off();
        prompt
    }

    /// To be told of the end.
    pub(super) fn goodbye(&self) -> Goodbye {
        self.goodbye.clone()
    }

    // That the kernel may refuse does no harm, in all of them.

    fn hold_back(&mut self, whether: bool) {
        if self.holds_back != whether {
            self.holds_back = whether;
            #[cfg(target_os = "linux")]
            let _ = rustix::net::sockopt::set_tcp_cork(&self.stream, whether);
        }
    }

    /// Whether more follows at once, whatever the other side says.
    fn goes_along(&mut self, bytes: &[u8]) -> bool {
        let newkeys = self.in_the_clear && bytes.len() < 64 && bytes.get(5) == Some(&NEWKEYS);
        let identification = self.in_the_clear && bytes.starts_with(b"SSH-2.0-") && bytes.ends_with(b"\n");
        self.in_the_clear &= !newkeys;
        newkeys || identification || self.goodbye.is_said()
    }

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
        let alone = !self.goes_along(buf);
        if !alone {
            self.hold_back(true);
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if alone {
            self.hold_back(false);
        }
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_followed_by_more_waits_for_it() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut near = Prompt::new(near);
        let newkeys = [0, 0, 0, 12, 10, NEWKEYS, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut sent: Vec<u8> = Vec::new();
        for (bytes, waits) in [
            (&b"SSH-2.0-one\r\n"[..], true),
            (&[20; 300], false),
            (&newkeys, true),
            (b"more", false),
            // With keys in use, nothing can be told from its bytes.
            (&newkeys, false),
        ] {
            near.write_all(bytes).await.unwrap();
            assert_eq!(rustix::net::sockopt::tcp_cork(&near.stream).unwrap(), waits, "{bytes:?}");
            sent.extend(bytes);
        }
        near.goodbye().say();
        near.write_all(b"done").await.unwrap();
        assert!(rustix::net::sockopt::tcp_cork(&near.stream).unwrap());
        sent.extend(b"done");
        near.shutdown().await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, sent);
    }

    #[tokio::test]
    async fn server_that_waits_for_the_identification_string_gets_it() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut near = Prompt::new(near);
        near.write_all(b"SSH-2.0-one\r\n").await.unwrap();
        let mut read = [0; 13];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"SSH-2.0-one\r\n");
    }
}
