//! `receive`: one session of a deployer that sends parts of images.
//!
//! Contract: frames on standard input, one JSON line a reply on standard output (`toolbox-wire` says which). It
//! ends with its input. Any number of sessions, of any number of deployers, share one spool. Nothing that arrives
//! is believed: sizes are bounded before they are used, and the engine gets a layer's last byte only after its
//! digest was right. Another host is spoken to only where the deployer says so, and only with its key. Exit
//! statuses: 0 the input ended, 1 it was cut, or broke the rules.

mod arrivals;
mod base;
mod engine;
mod export;
mod fault;
mod give;
mod load;
mod ranges;
mod response;
mod sealed;
mod spool;
mod store;
mod sweep;
mod take;
mod tarball;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use toolbox_wire::{EngineState, ErrorKind, FrameReader, Reply, Request, VERSION};

use arrivals::PATIENCE;
use engine::Engine;
use fault::Fault;
pub(crate) use spool::Spool;
use store::Unpacker;
pub(crate) use sweep::sweep;

/// What is read of the input at once.
const READ: usize = 256 * 1024;
/// How often progress is said.
const PROGRESS: Duration = Duration::from_millis(200);

/// Answers requests until its input ends.
pub(crate) fn main() -> ExitCode {
    let session = Session::open(io::stdout());
    match session.and_then(|mut session| session.answer(io::stdin().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::fail(&error, 1),
    }
}

/// What one session works with.
struct Session<W> {
    spool: Spool,
    engine: Engine,
    unpacker: Unpacker,
    is_alone: fn() -> bool,
    out: Replies<W>,
}

impl<W: io::Write> Session<W> {
    fn open(out: W) -> io::Result<Self> {
        let socket = std::env::var_os("RELAY_ENGINE").map_or_else(|| PathBuf::from("/run/engine.sock"), PathBuf::from);
        let session = Self::with(Spool::from_environment()?, Engine::at(socket), out)?;
        Ok(Self { is_alone: has_hung_up, ..session })
    }

    fn with(spool: Spool, engine: Engine, out: W) -> io::Result<Self> {
        spool.join()?;
        Ok(Self { spool, engine, unpacker: Unpacker::new()?, is_alone: || false, out: Replies { out, last: None } })
    }

    fn answer(&mut self, mut input: impl io::Read) -> io::Result<()> {
        let mut reader = FrameReader::default();
        let mut bytes = vec![0; READ];
        loop {
            let length = input.read(&mut bytes)?;
            if length == 0 {
                return if reader.is_within_frame() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) };
            }
            reader.feed(&bytes[..length]);
            self.answer_all(&mut reader)?;
        }
    }

    fn answer_all(&mut self, reader: &mut FrameReader) -> io::Result<()> {
        loop {
            match reader.next() {
                Ok(None) => return Ok(()),
                Ok(Some((request, payload))) => self.answer_one(request, &payload)?,
                Err(error) => return self.refuse(Fault::protocol(error.to_string())),
            }
        }
    }

    fn answer_one(&mut self, request: Request, payload: &[u8]) -> io::Result<()> {
        match self.reply(request, payload) {
            Err(fault) if fault.kind == ErrorKind::Protocol => self.refuse(fault),
            reply => self.out.say(&reply.unwrap_or_else(Reply::from)),
        }
    }

    /// Whoever breaks the rules is not listened to any more.
    fn refuse(&mut self, fault: Fault) -> io::Result<()> {
        let error = io::Error::new(io::ErrorKind::InvalidData, fault.text.clone());
        self.out.say(&fault.into())?;
        Err(error)
    }

    fn reply(&mut self, request: Request, payload: &[u8]) -> Result<Reply, Fault> {
        let Self { spool, engine, unpacker, is_alone, out } = self;
        match request {
            Request::Hello { version: _ } => hello(spool, engine),
            Request::Have { layers } => store::have(spool, &layers),
            Request::Put { diff_id, size, offset, length, codec, payload: _ } => {
                let bytes = unpacker.unpack(codec, payload, length)?;
                store::put(spool, diff_id, size, offset, bytes)
            }
            Request::Base { image, diff_id, also, algorithm } => {
                let read = base::Wanted { image: &image, diff_id, also: &also, algorithm: &algorithm };
                base::read(spool, engine, &read, &mut |bytes| out.progress(Reply::Reading { bytes }))
            }
            Request::Copy { diff_id, size, base, pieces } => store::copy(spool, diff_id, size, base, &pieces),
            Request::Patch { diff_id, size, offset, length, reference, payload: _ } => {
                match unpacker.patch(spool, &reference, payload, length) {
                    Ok(bytes) => store::put(spool, diff_id, size, offset, bytes),
                    // The base went with the load.
                    Err(fault) if fault.kind == ErrorKind::Base && spool.has_loaded(diff_id) => {
                        Ok(Reply::Stored { diff_id, offset, length })
                    }
                    Err(fault) => Err(fault),
                }
            }
            Request::Load { entries, size } => {
                let load = load::Load { spool, engine, patience: PATIENCE, is_alone: *is_alone };
                load.run(&entries, size, &mut |bytes| out.progress(Reply::Loading { bytes }))
            }
            Request::Take { address, port, key, layers } => {
                let take = take::Take { spool, layers: &layers, is_alone: *is_alone };
                take.run((address, port).into(), &key, &mut |reply| out.progress(reply))
            }
            Request::Give { address, key, layers } => {
                give::Give { spool, layers: &layers, patience: PATIENCE, is_alone: *is_alone }.run(address, &key)
            }
            Request::Sweep { older_than_seconds } => sweep::reply(spool, Duration::from_secs(older_than_seconds)),
        }
    }
}

/// Whether nobody can write to the standard input any more, whatever is still to be read there.
fn has_hung_up() -> bool {
    let stdin = rustix::stdio::stdin();
    let mut entries = [PollFd::new(&stdin, PollFlags::empty())];
    poll(&mut entries, Some(&Timespec::default())).is_ok() && entries[0].revents().contains(PollFlags::HUP)
}

fn hello(spool: &Spool, engine: &Engine) -> Result<Reply, Fault> {
    let engine = engine.version().map_or_else(|fault| EngineState::Err(fault.text), EngineState::Ok);
    Ok(Reply::Hello { version: VERSION, engine, free: spool.free()? })
}

/// Replies go out as lines.
struct Replies<W> {
    out: W,
    last: Option<Instant>,
}

impl<W: io::Write> Replies<W> {
    fn say(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }

    /// Says how far it is, but not too often. Who does not read it any more will end the input, too.
    fn progress(&mut self, reply: Reply) {
        let once = matches!(reply, Reply::Listening { .. });
        if once || self.last.is_none_or(|last| last.elapsed() >= PROGRESS) {
            self.last = Some(Instant::now());
            let _ = self.say(&reply);
        }
    }
}

#[cfg(test)]
mod tests;
