//! A layer of an image on this host, to copy from.
//!
//! Contract: it is read out of the engine once, with others of its image that will be wanted, and kept while a
//! receiver wants it; its digest is verified whenever its signature is made.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use toolbox_wire::{ALGORITHM, Chunk, Chunker, DiffId, ErrorKind, MOST_LAYERS, Reply, pack};

use super::engine::Engine;
use super::export::extract;
use super::fault::Fault;
use super::spool::{Kind, Spool, create, remove};

/// What is read at once.
const READ: usize = 256 * 1024;

/// Which layer, and how it is cut.
pub(super) struct Wanted<'a> {
    pub(super) image: &'a str,
    pub(super) diff_id: DiffId,
    pub(super) also: &'a [DiffId],
    pub(super) algorithm: &'a str,
}

/// Has the layer in the spool and says its signature. `progress` gets the bytes that the engine has given.
pub(super) fn read(
    spool: &Spool,
    engine: &Engine,
    wanted: &Wanted<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Reply, Fault> {
    let id = wanted.diff_id;
    let none = |text: String| Fault::new(ErrorKind::Base, text).of(id);
    if wanted.algorithm != ALGORITHM {
        return Err(none(format!("this helper cuts by {ALGORITHM} only")));
    }
    if wanted.also.len() > MOST_LAYERS {
        return Err(Fault::protocol(format!("one question is about at most {MOST_LAYERS} layers")));
    }
    // The mark keeps the file until a load is done or this receiver is gone.
    spool.want(id, &spool.using()?)?;
    let kept = signature(spool, id)?;
    let chunks = match kept {
        Some(chunks) => Some(chunks),
        None => {
            fetch(spool, engine, wanted, progress)?;
            signature(spool, id)?
        }
    };
    let chunks = chunks.ok_or_else(|| none(format!("image {} has no layer {id}", wanted.image)))?;
    Ok(Reply::Base { chunks: pack(&chunks) })
}

/// Reads the layer out of the engine, if the image has it, and those that will be wanted and are not here.
fn fetch(spool: &Spool, engine: &Engine, wanted: &Wanted<'_>, progress: &mut dyn FnMut(u64)) -> Result<(), Fault> {
    let mut layers = BTreeSet::from([wanted.diff_id]);
    for id in wanted.also.iter().filter(|id| !spool.path(**id, Kind::Base).exists()) {
        spool.want(*id, &spool.using()?)?;
        layers.insert(*id);
    }
    let tarball = Counted { input: engine.export(wanted.image)?, bytes: 0, progress };
    let unread = spool.path(wanted.diff_id, Kind::Unread);
    let read =
        extract(tarball, layers, &mut || create(&unread), &mut |id| fs::rename(&unread, spool.path(id, Kind::Base)));
    remove(&unread)?;
    read.map_err(|fault| fault.of(wanted.diff_id))
}

/// The chunks of a base in the spool; `None` where there is none, or it is not whole.
fn signature(spool: &Spool, id: DiffId) -> io::Result<Option<Vec<Chunk>>> {
    let mut file = match File::open(spool.path(id, Kind::Base)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let (mut hasher, mut chunker) = (Sha256::new(), Chunker::default());
    let mut bytes = vec![0; READ];
    loop {
        let length = file.read(&mut bytes)?;
        if length == 0 {
            let is_whole = DiffId(hasher.finalize().into()) == id;
            return Ok(is_whole.then(|| chunker.finish()));
        }
        hasher.update(&bytes[..length]);
        chunker.feed(&bytes[..length]);
    }
}

/// Says how many bytes have passed.
struct Counted<'a, R> {
    input: R,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(bytes)?;
        self.bytes += length as u64;
        (self.progress)(self.bytes);
        Ok(length)
    }
}
