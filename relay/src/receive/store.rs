//! Parts of layers into the spool.
//!
//! Contract: a part is noted once it is written whole. Sizes are checked before anything is written. A part of what
//! this receiver has loaded, since another's parts came first, is taken and dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use toolbox_wire::{
    Codec, DiffId, ErrorKind, Held, Layer, MOST_LAYERS, MOST_PIECES, MOST_RAW, MOST_REFERENCE, PatchForm, Piece,
    Reference, Reply, apply,
};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::DCtx;

use super::fault::Fault;
use super::ranges::Ranges;
use super::spool::{Guard, Kind, Spool, create, remove};

/// No layer is as large; file systems take it.
pub(super) const MOST_SIZE: u64 = 1 << 40;
/// What is copied at once.
const COPY: usize = 1 << 20;

/// Unpacks payloads, one after the other, into memory that it keeps.
pub(super) struct Unpacker {
    zstd: Decompressor<'static>,
    bytes: Vec<u8>,
    reference: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { zstd: Decompressor::new()?, bytes: Vec::new(), reference: Vec::new() })
    }

    /// The bytes of a part that must have this length. Never needs more memory than the length allows.
    pub(super) fn unpack<'a>(&'a mut self, codec: Codec, payload: &'a [u8], length: u64) -> Result<&'a [u8], Fault> {
        let length = within(length, MOST_RAW)?;
        let bytes = match codec {
            Codec::Raw => Some(payload),
            Codec::Zstd => {
                self.bytes.resize(length, 0);
                let unpacked = self.zstd.decompress_to_buffer(payload, &mut self.bytes[..]);
                unpacked.ok().map(|unpacked| &self.bytes[..unpacked])
            }
        };
        bytes.filter(|bytes| bytes.len() == length).ok_or_else(|| wrong(length))
    }

    /// The bytes of a part that differs from a part of a base.
    pub(super) fn patch(
        &mut self,
        spool: &Spool,
        reference: &Reference,
        payload: &[u8],
        length: u64,
    ) -> Result<&[u8], Fault> {
        let Self { bytes, reference: old, .. } = self;
        let length = within(length, MOST_RAW)?;
        old.resize(within(reference.length, MOST_REFERENCE)?, 0);
        let base = base_file(spool, reference.base)?;
        check(base.metadata()?.len(), reference.offset, reference.length)?;
        base.read_exact_at(old, reference.offset)?;
        bytes.resize(length, 0);
        let mut zstd = DCtx::create();
        if reference.form == PatchForm::Prefix {
            zstd.ref_prefix(old).map_err(|_| wrong(length))?;
        }
        let unpacked = zstd.decompress(&mut bytes[..], payload).map_err(|_| wrong(length))?;
        if reference.form == PatchForm::Difference {
            *bytes = apply(old, &bytes[..unpacked], length).map_err(|_| wrong(length))?;
        } else if unpacked != length {
            return Err(wrong(length));
        }
        Ok(bytes)
    }
}

fn within(length: u64, most: usize) -> Result<usize, Fault> {
    let length = usize::try_from(length).ok().filter(|length| (1..=most).contains(length));
    length.ok_or_else(|| Fault::protocol(format!("a part has 1 to {most} bytes")))
}

fn wrong(length: usize) -> Fault {
    Fault::new(ErrorKind::Chunk, format!("the payload does not unpack to {length} bytes"))
}

/// What the spool holds. What it holds anything of is wanted from now on, and anything is of use again.
pub(super) fn have(spool: &Spool, layers: &[Layer]) -> Result<Reply, Fault> {
    if layers.len() > MOST_LAYERS {
        return Err(Fault::protocol(format!("one question is about at most {MOST_LAYERS} layers")));
    }
    let guard = spool.using()?;
    let held = layers.iter().map(|layer| {
        let ranges = held(spool, layer.diff_id, layer.size)?.into_vec();
        remove(&spool.path(layer.diff_id, Kind::Loaded))?;
        if !ranges.is_empty() {
            spool.want(layer.diff_id, &guard)?;
        }
        Ok(Held { diff_id: layer.diff_id, ranges })
    });
    Ok(Reply::Have(held.collect::<Result<_, Fault>>()?))
}

/// What of a layer is there.
pub(super) fn held(spool: &Spool, id: DiffId, size: u64) -> io::Result<Ranges> {
    let length = |path| fs::metadata(path).map(|metadata| metadata.len());
    match (fs::read(spool.path(id, Kind::Map)), length(spool.path(id, Kind::Part))) {
        (Ok(map), Ok(length)) => Ok(Ranges::read(&map, size.min(length))),
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Ranges::default()),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Stores a part.
pub(super) fn put(spool: &Spool, diff_id: DiffId, size: u64, offset: u64, bytes: &[u8]) -> Result<Reply, Fault> {
    let length = bytes.len() as u64;
    check(size, offset, length).map_err(|fault| fault.of(diff_id))?;
    let guard = spool.using()?;
    if !spool.has_loaded(diff_id) {
        open(spool, diff_id, &guard)?.write_all_at(bytes, offset)?;
        note(spool, diff_id, &Ranges::of(vec![(offset, offset + length)]))?;
    }
    Ok(Reply::Stored { diff_id, offset, length })
}

/// Makes parts out of a base.
pub(super) fn copy(spool: &Spool, diff_id: DiffId, size: u64, base: DiffId, pieces: &[Piece]) -> Result<Reply, Fault> {
    if !(1..=MOST_PIECES).contains(&pieces.len()) {
        return Err(Fault::protocol(format!("1 to {MOST_PIECES} pieces are copied at once")).of(diff_id));
    }
    let guard = spool.using()?;
    let from = base_file(spool, base)?;
    let end = from.metadata()?.len();
    for (to, from, length) in pieces {
        check(size, *to, *length).and_then(|()| check(end, *from, *length)).map_err(|fault| fault.of(diff_id))?;
    }
    let part = open(spool, diff_id, &guard)?;
    pieces.iter().try_for_each(|piece| copy_piece(&from, &part, *piece))?;
    note(spool, diff_id, &Ranges::of(pieces.iter().map(|(to, _, length)| (*to, to + length)).collect()))?;
    let length = pieces.iter().map(|(_, _, length)| length).sum();
    Ok(Reply::Stored { diff_id, offset: pieces[0].0, length })
}

fn base_file(spool: &Spool, base: DiffId) -> Result<File, Fault> {
    match File::open(spool.path(base, Kind::Base)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Fault::new(ErrorKind::Base, "the base is not in the spool: ask for it first").of(base))
        }
        opened => Ok(opened?),
    }
}

fn copy_piece(from: &File, part: &File, (mut to, mut at, mut left): Piece) -> io::Result<()> {
    let mut bytes = vec![0; left.min(COPY as u64) as usize];
    while left > 0 {
        let bytes = &mut bytes[..left.min(COPY as u64) as usize];
        from.read_exact_at(bytes, at)?;
        part.write_all_at(bytes, to)?;
        let length = bytes.len() as u64;
        (to, at, left) = (to + length, at + length, left - length);
    }
    Ok(())
}

/// Whether a part lies within its layer.
fn check(size: u64, offset: u64, length: u64) -> Result<(), Fault> {
    let within = size <= MOST_SIZE && length > 0 && offset.checked_add(length).is_some_and(|end| end <= size);
    let says = || format!("{length} bytes at {offset} do not lie within {size}");
    if within { Ok(()) } else { Err(Fault::protocol(says())) }
}

fn open(spool: &Spool, id: DiffId, guard: &Guard<'_>) -> io::Result<File> {
    spool.want(id, guard)?;
    create(&spool.path(id, Kind::Part))
}

/// One write: several processes may append at once.
fn note(spool: &Spool, id: DiffId, ranges: &Ranges) -> io::Result<()> {
    let mut map = OpenOptions::new().append(true).create(true).open(spool.path(id, Kind::Map))?;
    map.write_all(ranges.records().as_bytes())
}
