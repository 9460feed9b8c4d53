//! Taking parts from the receiver of another host.
//!
//! Contract: one address and port, one peer, the one with the key; nobody else gets a word. Only parts of the layers that
//! the deployer named are taken. It ends with the deployer's session.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use toolbox_wire::{Codec, FrameReader, Key, Layer, MOST_LAYERS, Reply, Request};

use super::fault::Fault;
use super::sealed::Sealed;
use super::spool::Spool;
use super::store;

/// For a handshake: a stranger who says nothing keeps nobody waiting longer.
const SOON: Duration = Duration::from_secs(2);
/// How often it is looked whether the deployer is still there.
const LOOK: Duration = Duration::from_millis(500);

/// Where to.
pub(super) struct Take<'a> {
    pub(super) spool: &'a Spool,
    pub(super) layers: &'a [Layer],
    /// Whether the deployer is gone.
    pub(super) is_alone: fn() -> bool,
}

impl Take<'_> {
    /// Listens there until the other one has given everything. `say` gets progress.
    pub(super) fn run(&self, at: SocketAddr, key: &Key, say: &mut dyn FnMut(Reply)) -> Result<Reply, Fault> {
        if self.layers.len() > MOST_LAYERS {
            return Err(Fault::protocol(format!("at most {MOST_LAYERS} layers are taken")));
        }
        let mut peer = self.peer(at, key, say).map_err(|error| Fault::peer(format!("listening at {at}: {error}")))?;
        let (mut frames, mut bytes) = (FrameReader::default(), 0);
        loop {
            let message = peer.receive().map_err(|error| Fault::peer(format!("the other host: {error}")))?;
            if message.is_empty() {
                return if frames.is_within_frame() { Err(strange()) } else { Ok(Reply::Taken { bytes }) };
            }
            frames.feed(&message);
            while let Some((request, payload)) = frames.next().map_err(|_| strange())? {
                bytes += self.store(&request, &payload)?;
                say(Reply::Taking { bytes });
            }
        }
    }

    /// The first one that has the key.
    fn peer(&self, at: SocketAddr, key: &Key, say: &mut dyn FnMut(Reply)) -> io::Result<Sealed<Patient>> {
        let listener = TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        say(Reply::Listening { port: listener.local_addr()?.port() });
        loop {
            let mut entries = [PollFd::new(&listener, PollFlags::IN)];
            let ready = poll(&mut entries, Some(&Timespec::try_from(LOOK).map_err(io::Error::other)?))?;
            if (self.is_alone)() {
                return Err(alone());
            }
            if ready > 0
                && let Ok((stream, _)) = listener.accept()
                && let Ok(peer) = self.greet(stream, key)
            {
                return Ok(peer);
            }
        }
    }

    fn greet(&self, stream: TcpStream, key: &Key) -> io::Result<Sealed<Patient>> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(SOON))?;
        let until = Some(Instant::now() + SOON);
        let mut peer = Sealed::accept(Patient { stream, until, is_alone: self.is_alone }, key)?;
        peer.stream_mut().until = None;
        Ok(peer)
    }

    fn store(&self, request: &Request, payload: &[u8]) -> Result<u64, Fault> {
        let Request::Put { diff_id, size, offset, length, codec: Codec::Raw, .. } = *request else {
            return Err(strange());
        };
        if !self.layers.contains(&Layer { diff_id, size }) || payload.len() as u64 != length {
            return Err(strange());
        }
        store::put(self.spool, diff_id, size, offset, payload)?;
        Ok(length)
    }
}

fn strange() -> Fault {
    Fault::peer("the other host gives what it was not asked for")
}

fn alone() -> io::Error {
    io::Error::other("the deployer is gone")
}

/// Reads as long as the deployer is there, or until then.
struct Patient {
    stream: TcpStream,
    until: Option<Instant>,
    is_alone: fn() -> bool,
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.stream.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && (self.is_alone)() => return Err(alone()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
