//! Output of containers on its way to standard output and standard error, written by a thread of its own.
//!
//! Whoever reads slowly slows down who sends, and nothing else: a runtime's threads never wait for a pipe. At most
//! [`WAITING`] pieces wait. Pieces are written whole, one after the other.

use std::io::{self, Write};

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

const WAITING: usize = 256;

/// Text for standard output, or for standard error where `error` is true.
#[derive(Debug)]
struct Piece {
    error: bool,
    bytes: Bytes,
}

/// Nobody reads the output any more, as behind `| head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// The writing end; clones write to the same place.
#[derive(Debug, Clone)]
pub struct Writer(Sender<Piece>);

/// The thread behind a [`Writer`].
#[derive(Debug)]
pub struct Writing(JoinHandle<()>);

impl Writer {
    /// Starts the thread.
    pub fn start() -> (Self, Writing) {
        let (sender, receiver) = channel(WAITING);
        let thread = tokio::task::spawn_blocking(move || write_all(receiver));
        (Self(sender), Writing(thread))
    }

    /// Hands a piece over, and waits where too much waits already.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn write(&self, error: bool, bytes: Bytes) -> Result<(), Closed> {
        self.0.send(Piece { error, bytes }).await.map_err(|_| Closed)
    }

    /// Turns true when nobody reads any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl Writing {
    /// Waits until everything is written; every [`Writer`] must be gone.
    pub async fn finish(self) {
        let _ = self.0.await;
    }
}

fn write_all(mut pieces: Receiver<Piece>) {
    while let Some(piece) = pieces.blocking_recv() {
        let more = !pieces.is_empty();
        let written = if piece.error {
            write(io::stderr().lock(), &piece.bytes, more)
        } else {
            write(io::stdout().lock(), &piece.bytes, more)
        };
        if written.is_err() {
            return;
        }
    }
}

fn write(mut out: impl Write, bytes: &[u8], more: bool) -> io::Result<()> {
    out.write_all(bytes)?;
    if more { Ok(()) } else { out.flush() }
}
