//! Frames: messages on a stream of bytes, each with its length before it.
//!
//! Contract: a frame is at most 262144 bytes, and what is announced is believed only as far as it arrives: memory grows
//! with what was received. A small request costs one read, and an answer one write. Bytes that were read zero
//! themselves, since they may be private keys: frames when they are dropped, the buffer as soon as they have left it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::{Zeroize as _, Zeroizing};

use crate::agent::private_wire::put_string;

#[cfg(test)]
mod tests;

/// Most bytes in one message, as in OpenSSH's agent and in russh's client.
pub(crate) const LONGEST_FRAME: usize = 256 * 1024;

/// Bytes that are read at once; most requests are shorter than this.
const BUFFER: usize = 4096;
const LENGTH: usize = 4;

/// A message without its length.
pub(crate) type Frame = Zeroizing<Vec<u8>>;

/// Reads frames.
pub(crate) struct FrameReader {
    buffer: Zeroizing<Box<[u8]>>,
    /// The bytes of the buffer that were received and belong to no frame yet.
    unread: std::ops::Range<usize>,
}

impl FrameReader {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into_boxed_slice().into(), unread: 0..0 }
    }

    /// Reads one frame; `None` at the end of the stream or where a frame is longer than any may be.
    pub(crate) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        while self.unread.len() < LENGTH {
            match self.fill(stream).await? {
                0 if self.unread.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        let mut length = [0; LENGTH];
        self.take(&mut length);
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        match length <= LONGEST_FRAME {
            true => self.body(stream, length).await.map(Some),
            false => Ok(None),
        }
    }

    async fn body(&mut self, stream: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Frame> {
        let mut frame = Frame::new(vec![0; length.min(self.unread.len().max(BUFFER))]);
        let mut received = 0;
        loop {
            let taken = self.unread.len().min(frame.len() - received);
            self.take(&mut frame[received..received + taken]);
            received += taken;
            if received == length {
                return Ok(frame);
            }
            if received == frame.len() {
                frame = grown(&frame, length);
            }
            // What is longer than the buffer goes past it.
            match stream.read(&mut frame[received..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => received += more,
            }
        }
    }

    /// Moves received bytes out of the buffer; there are as many.
    fn take(&mut self, into: &mut [u8]) {
        let bytes = &mut self.buffer[self.unread.start..self.unread.start + into.len()];
        into.copy_from_slice(bytes);
        bytes.zeroize();
        self.unread.start += into.len();
    }

    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        let unread = self.unread.len();
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..unread;
        let received = stream.read(&mut self.buffer[unread..]).await?;
        self.unread.end += received;
        Ok(received)
    }
}

/// Twice as long, and the shorter one zeroed: a vector that grows by itself would leave its bytes behind.
fn grown(frame: &Frame, most: usize) -> Frame {
    let mut grown = Frame::new(vec![0; most.min(2 * frame.len())]);
    grown[..frame.len()].copy_from_slice(frame);
    grown
}

/// A frame that is being written: its length, then a message.
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A message of this type, empty yet.
    pub(crate) fn new(kind: u8) -> Self {
        Self([&[0; LENGTH][..], &[kind]].concat())
    }

    pub(crate) fn with_room(kind: u8, bytes: usize) -> Self {
        let mut message = Vec::with_capacity(LENGTH + 1 + bytes);
        message.extend([0; LENGTH]);
        message.push(kind);
        Self(message)
    }

    pub(crate) fn string(&mut self, bytes: &[u8]) {
        put_string(&mut self.0, bytes);
    }

    pub(crate) fn number(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    /// Overwrites the number right behind the type.
    pub(crate) fn set_first_number(&mut self, number: u32) {
        self.0[LENGTH + 1..][..4].copy_from_slice(&number.to_be_bytes());
    }

    /// The message without its length.
    #[cfg(test)]
    pub(crate) fn body(&self) -> &[u8] {
        &self.0[LENGTH..]
    }

    /// Writes the frame, in one piece.
    pub(crate) async fn write(mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = u32::try_from(self.0.len() - LENGTH).map_err(io::Error::other)?;
        self.0[..LENGTH].copy_from_slice(&length.to_be_bytes());
        stream.write_all(&self.0).await
    }
}
