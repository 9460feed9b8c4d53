//! Bytes on their way from one socket to another.
//!
//! Contract: a pipe holds at most one buffer of 64 KiB, and holds it only while there are bytes in it that
//! the other side has not taken, so an idle connection costs none. Buffers are used again.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

const SIZE: usize = 64 * 1024;
/// Buffers that are kept for the next reader.
const MOST_SPARE: usize = 64;

static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

fn take_buffer() -> Box<[u8]> {
    let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())
}

fn give_back(buffer: Box<[u8]>) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.len() < MOST_SPARE {
        spare.push(buffer);
    }
}

/// One direction of a connection: first the bytes that may go on, then those that wait for leave.
#[derive(Default)]
pub(crate) struct Pipe {
    buffer: Option<Box<[u8]>>,
    start: usize,
    passed: usize,
    end: usize,
    /// Nothing more will come.
    pub(crate) ended: bool,
}

impl Pipe {
    /// Whether bytes wait that may go on.
    pub(crate) fn has_passed(&self) -> bool {
        self.start < self.passed
    }

    /// Bytes that have no leave yet.
    pub(crate) fn held(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[self.passed..self.end])
    }

    /// Gives leave to the first of those that are held.
    pub(crate) fn pass(&mut self, count: usize) {
        self.passed = (self.passed + count).min(self.end);
    }

    /// Reads what is there into the empty pipe; how much, 0 at the end.
    pub(crate) fn poll_fill(&mut self, from: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(from.poll_read_ready(context))?;
        let mut bytes = take_buffer();
        let mut buffer = ReadBuf::new(&mut bytes);
        let polled = Pin::new(from).poll_read(context, &mut buffer);
        let length = buffer.filled().len();
        if length == 0 {
            give_back(bytes);
        } else {
            *self = Self { buffer: Some(bytes), start: 0, passed: 0, end: length, ended: false };
        }
        polled.map_ok(|()| length)
    }

    /// Writes some of the bytes that may go on.
    pub(crate) fn poll_flush(&mut self, to: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(buffer) = &self.buffer else { return Poll::Ready(Ok(())) };
        let written = ready!(Pin::new(to).poll_write(context, &buffer[self.start..self.passed]))?;
        self.start += written;
        if self.start == self.end {
            self.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what is in it.
    pub(crate) fn clear(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            give_back(buffer);
        }
        (self.start, self.passed, self.end) = (0, 0, 0);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.clear();
    }
}
