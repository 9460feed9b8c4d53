//! Passing parts on to the receiver of another host, as they arrive here.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::thread::sleep;
use std::time::Duration;

use toolbox_wire::{
    Codec, DiffId, ErrorKind, Key, MOST_GIVEN, MOST_WANTED, Range, Reply, Request, Wanted, write_frame,
};

use super::arrivals::{Arrivals, LOOK};
use super::fault::Fault;
use super::sealed::Sealed;
use super::spool::{Kind, Spool};

/// For a connection, and for each word of its handshake.
const SOON: Duration = Duration::from_secs(10);
/// How long the other one may take nothing.
const STALLED: Duration = Duration::from_secs(30);
/// Bytes of one part.
const PART: u64 = 1 << 20;

/// From where.
pub(super) struct Give<'a> {
    pub(super) spool: &'a Spool,
    pub(super) layers: &'a [Wanted],
    pub(super) patience: Duration,
    /// Whether the deployer is gone.
    pub(super) is_alone: fn() -> bool,
}

impl Give<'_> {
    /// Gives it all to whoever listens there and has the key.
    pub(super) fn run(&self, to: SocketAddr, key: &Key) -> Result<Reply, Fault> {
        let ranges: usize = self.layers.iter().map(|layer| layer.ranges.len()).sum();
        if self.layers.len() > MOST_GIVEN || ranges > MOST_WANTED {
            return Err(Fault::protocol(format!("at most {MOST_GIVEN} layers and {MOST_WANTED} ranges are given")));
        }
        let lost = |error: io::Error| Fault::peer(format!("{to}: {error}"));
        let mut peer = connect(to, key).map_err(lost)?;
        let ids: Vec<DiffId> = self.layers.iter().map(|layer| layer.diff_id).collect();
        let Self { spool, patience, is_alone, .. } = *self;
        let arrivals = Arrivals { spool, layers: &ids, patience, is_alone };
        let mut bytes = 0;
        for layer in self.layers {
            for range in &layer.ranges {
                bytes += give(&arrivals, (layer.diff_id, layer.size), *range, |part| peer.send(part).map_err(lost))?;
            }
        }
        peer.send(&[]).map_err(lost)?;
        Ok(Reply::Given { bytes })
    }
}

fn connect(to: SocketAddr, key: &Key) -> io::Result<Sealed<TcpStream>> {
    let stream = TcpStream::connect_timeout(&to, SOON)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(STALLED))?;
    Sealed::connect(stream, key)
}

/// Gives a range of a layer; how many bytes it was.
fn give(
    arrivals: &Arrivals<'_>,
    (id, size): (DiffId, u64),
    (from, to): Range,
    mut send: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<u64, Fault> {
    let mut at = from;
    while at < to.min(size) {
        let until = arrivals.wait((id, size), at, || Ok(pause()))?.unwrap_or(at).min(to);
        let part = File::open(arrivals.spool.path(id, Kind::Part))?;
        while at < until {
            let mut bytes = vec![0; (until - at).min(PART) as usize];
            part.read_exact_at(&mut bytes, at)?;
            send(&frame((id, size), at, &bytes)?)?;
            at += bytes.len() as u64;
        }
    }
    Ok(at - from)
}

fn pause() -> bool {
    sleep(LOOK);
    false
}

/// As a deployer would send it.
fn frame((diff_id, size): (DiffId, u64), offset: u64, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let length = bytes.len() as u64;
    let put = Request::Put { diff_id, size, offset, length, codec: Codec::Raw, payload: length };
    let mut frame = Vec::with_capacity(bytes.len() + 512);
    write_frame(&mut frame, &put, bytes).map_err(|error| Fault::new(ErrorKind::Io, error.to_string()))?;
    Ok(frame)
}
