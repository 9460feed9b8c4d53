//! A connection to the receiver of another host, of which nobody else understands or changes anything.
//!
//! Contract: Noise, pattern NNpsk0 (Noise Protocol Framework, revision 34, section 9): whoever does not have the key gets
//! no answer, and what was sent stays secret where the key becomes known later. Each message has its length before it
//! (u16, big-endian). An empty one is the end: a connection that just ends was cut.

use std::io::{self, Read, Write};

use snow::{Builder, HandshakeState, TransportState};
use toolbox_wire::Key;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// The most bytes of a message (section 3).
const MOST: usize = 65_535;
/// Those of them that are the tag.
const TAG: usize = 16;

/// Both ends are the same after the handshake.
pub(super) struct Sealed<S> {
    stream: S,
    noise: TransportState,
    message: Vec<u8>,
}

impl<S: Read + Write> Sealed<S> {
    /// The end that has connected.
    pub(super) fn connect(mut stream: S, key: &Key) -> io::Result<Self> {
        let mut noise = builder(key)?.build_initiator().map_err(broken)?;
        write(&mut stream, &mut noise)?;
        read(&mut stream, &mut noise)?;
        let mut sealed = Self::of(stream, noise)?;
        // Only who has made the first message can make this one.
        sealed.send(&[])?;
        Ok(sealed)
    }

    /// The end that was connected to.
    pub(super) fn accept(mut stream: S, key: &Key) -> io::Result<Self> {
        let mut noise = builder(key)?.build_responder().map_err(broken)?;
        read(&mut stream, &mut noise)?;
        write(&mut stream, &mut noise)?;
        let mut sealed = Self::of(stream, noise)?;
        if sealed.receive()?.is_empty() { Ok(sealed) } else { Err(broken("no handshake")) }
    }

    fn of(stream: S, noise: HandshakeState) -> io::Result<Self> {
        Ok(Self { stream, noise: noise.into_transport_mode().map_err(broken)?, message: vec![0; 2 + MOST] })
    }

    /// What it goes over.
    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends bytes; none are the end.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (first, rest) = bytes.split_at(bytes.len().min(MOST - TAG));
        self.send_one(first)?;
        rest.chunks(MOST - TAG).try_for_each(|bytes| self.send_one(bytes))
    }

    fn send_one(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.noise.write_message(bytes, &mut self.message[2..]).map_err(broken)?;
        self.message[..2].copy_from_slice(&(length as u16).to_be_bytes());
        self.stream.write_all(&self.message[..2 + length])
    }

    /// The next bytes; none are the end.
    pub(super) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let length = take(&mut self.stream, &mut self.message)?;
        let mut bytes = vec![0; length];
        let length = self.noise.read_message(&self.message[..length], &mut bytes).map_err(broken)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

fn builder(key: &Key) -> io::Result<Builder<'_>> {
    Builder::new(PATTERN.parse().map_err(broken)?).psk(0, &key.0).map_err(broken)
}

fn write(stream: &mut impl Write, noise: &mut HandshakeState) -> io::Result<()> {
    let mut message = [0; 128];
    let length = noise.write_message(&[], &mut message[2..]).map_err(broken)?;
    message[..2].copy_from_slice(&(length as u16).to_be_bytes());
    stream.write_all(&message[..2 + length])
}

fn read(stream: &mut impl Read, noise: &mut HandshakeState) -> io::Result<()> {
    let mut message = [0; 128];
    let length = take(stream, &mut message)?;
    noise.read_message(&message[..length], &mut []).map_err(broken).map(drop)
}

/// The next message, at the beginning of `message`; its length.
fn take(stream: &mut impl Read, message: &mut [u8]) -> io::Result<usize> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let length = u16::from_be_bytes(length).into();
    stream.read_exact(message.get_mut(..length).ok_or_else(|| broken("a long message"))?)?;
    Ok(length)
}

fn broken(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
