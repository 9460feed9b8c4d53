//! Loading: a tarball out of the spool into the engine, while parts still arrive.
//!
//! Contract: a layer goes out as far as it is there without a gap, and is hashed on the way. One whose digest is
//! wrong ends the tarball before its end, so that the engine loads nothing, and is forgotten. After a load the
//! spool no longer holds its layers, nor the bases of this receiver, unless another one wants them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use toolbox_wire::{DiffId, Entry, ErrorKind, Reply, tarball as form};

use super::arrivals::{Arrivals, LOOK};
use super::engine::{Engine, Upload};
use super::fault::Fault;
use super::spool::{Kind, Spool};
use super::tarball;

/// What is sent at once.
const WRITE: usize = 256 * 1024;

/// From where to where.
pub(super) struct Load<'a> {
    pub(super) spool: &'a Spool,
    pub(super) engine: &'a Engine,
    pub(super) patience: Duration,
    /// Whether the deployer is gone: then nothing more is waited for.
    pub(super) is_alone: fn() -> bool,
}

/// Why a tarball was not sent to its end.
enum Stop {
    /// The engine takes no more: it says why.
    Refused,
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl Load<'_> {
    /// Loads these entries; `progress` gets the bytes that the engine has taken.
    pub(super) fn run(&self, entries: &[Entry], size: u64, progress: &mut dyn FnMut(u64)) -> Result<Reply, Fault> {
        tarball::check(entries, size)?;
        let layers: Vec<(DiffId, u64)> = entries.iter().filter_map(layer).collect();
        let ids: Vec<DiffId> = layers.iter().map(|(id, _)| *id).collect();
        self.want(&ids)?;
        let upload = self.engine.load(size)?;
        let arrivals = Arrivals { spool: self.spool, layers: &ids, patience: self.patience, is_alone: self.is_alone };
        let mut writer = Writer { upload, arrivals, bytes: 0, progress };
        match writer.write(entries) {
            Ok(()) => {}
            Err(Stop::Refused) => return Err(refusal(writer.upload)),
            Err(Stop::Fault(fault)) => return Err(self.give_up(writer.upload, fault)),
        }
        let messages = writer.upload.answer()?;
        self.clean(&ids);
        Ok(Reply::Loaded { messages })
    }

    fn want(&self, ids: &[DiffId]) -> io::Result<()> {
        let guard = self.spool.using()?;
        ids.iter().try_for_each(|id| self.spool.want(*id, &guard))
    }

    fn give_up(&self, upload: Upload, fault: Fault) -> Fault {
        upload.abort();
        match fault.diff_id {
            Some(id) if fault.kind == ErrorKind::Digest => self.spool.forget(id).err().map_or(fault, Fault::from),
            _ => fault,
        }
    }

    /// What cannot be removed is swept later; the load is done.
    fn clean(&self, layers: &[DiffId]) {
        let cleaned = self.spool.own_bases().and_then(|bases| self.spool.done_with(layers, &bases));
        if let Err(error) = cleaned {
            eprintln!("toolbox-relay: the spool was not cleaned: {error}");
        }
    }
}

fn layer(entry: &Entry) -> Option<(DiffId, u64)> {
    match entry {
        Entry::Layer { diff_id, size, .. } => Some((*diff_id, *size)),
        Entry::Text { .. } => None,
    }
}

fn refusal(upload: Upload) -> Fault {
    let early = || Fault::engine("the engine answered before it had the whole tarball");
    upload.answer().err().unwrap_or_else(early)
}

/// Writes the tarball.
struct Writer<'a> {
    upload: Upload,
    arrivals: Arrivals<'a>,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Writer<'_> {
    fn write(&mut self, entries: &[Entry]) -> Result<(), Stop> {
        for folder in form::FOLDERS {
            self.put(form::folder(folder).as_bytes())?;
        }
        for entry in entries {
            self.put(form::file(entry.path(), entry.size()).as_bytes())?;
            match entry {
                Entry::Text { text, .. } => self.put(text)?,
                Entry::Layer { diff_id, size, .. } => self.layer(*diff_id, *size)?,
            }
            self.put(form::padding(entry.size()))?;
        }
        // An engine that stops reading at the end mark may have answered already.
        let _ = self.put(&form::END_MARK);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.upload.write(bytes).map_err(|_| Stop::Refused)?;
        self.bytes += bytes.len() as u64;
        (self.progress)(self.bytes);
        Ok(())
    }

    fn layer(&mut self, id: DiffId, size: u64) -> Result<(), Stop> {
        let mut hasher = Sha256::new();
        let mut at = 0;
        while at < size {
            let answered = || Ok(self.upload.has_answered(LOOK)?);
            let until = self.arrivals.wait((id, size), at, answered)?.ok_or(Stop::Refused)?;
            let part = File::open(self.arrivals.spool.path(id, Kind::Part))?;
            at = self.send(&part, at, until, &mut hasher)?;
        }
        if DiffId(hasher.finalize().into()) == id {
            return Ok(());
        }
        let text = format!("the bytes that arrived are not those of layer {id}");
        Err(Stop::Fault(Fault::new(ErrorKind::Digest, text).of(id)))
    }

    fn send(&mut self, part: &File, mut at: u64, until: u64, hasher: &mut Sha256) -> Result<u64, Stop> {
        let mut bytes = vec![0; WRITE];
        while at < until {
            let bytes = &mut bytes[..(until - at).min(WRITE as u64) as usize];
            part.read_exact_at(bytes, at)?;
            hasher.update(&bytes);
            self.put(bytes)?;
            at += bytes.len() as u64;
        }
        Ok(at)
    }
}
