//! Parts of a layer as what they differ from an older layer in, where that layer is here, too.
//!
//! Contract: a part refers to a stretch of the older layer around the place where it was, so that what a patch takes to
//! make, here and on the host, does not grow with the layer: 4 MiB of the older layer, the part, its frame, and 11 MB of
//! zstd's tables or 4 MiB of an index. A program that was linked anew has an address changed every few bytes: nothing of
//! it can be copied, and all of it is in the stretch, with corrections (a [`Difference`]). Of what is text, zstd finds
//! more with the stretch as its prefix.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use toolbox_wire::{Difference, MOST_REFERENCE, PatchForm, Piece, Range, Reference};
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use crate::image::{ArchivedLayer, DiffId};

use super::super::source::OlderLayer;
use super::frame::Packer;
use super::shipment::{PART, Part, parts};
use super::wire_id;

/// Bytes of the older layer before and behind the place where a part was. With more, the tables below lose the places
/// that count.
const MARGIN: u64 = 1 << 20;
const _: () = assert!(PART + 2 * MARGIN <= MOST_REFERENCE as u64, "a host takes no longer stretch");
/// Copied pieces tell the place of what is at most so far from them, bytes.
const NEAR: u64 = 8 << 20;
/// Below this a part is sent as it is, bytes.
const WORTH_A_PATCH: u64 = 4096;
/// A difference with more than this part of its bytes fresh is one of text, or no good one.
const OWN: usize = 64;
/// The older layer must have this part of what is lacking, at least.
const ALIKE: usize = 4;
/// Differences are short, so that little time brings a tenth.
const HARD: i32 = 16;
/// More finds little more, and takes several times as long.
const LEVEL: i32 = 9;
/// Half of the places of a stretch; for all of them the tables would take 21 MB, and spare a tenth of the frame.
const TABLES: u32 = 21;

/// How a layer resembles an older one that is here.
#[derive(Debug, Clone)]
pub(super) struct Resemblance {
    older: OlderLayer,
    pieces: Vec<Piece>,
}

/// Parts next to each other that a host lacks, and how they may go in one.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    /// What the host lacks.
    pub(super) parts: Vec<Part>,
    /// What they may be sent as.
    pub(super) patch: Option<Patch>,
}

/// Some parts, and what the host has already between them, as one.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    /// From the first part to the last.
    pub(super) span: Part,
    /// What it refers to.
    pub(super) reference: Reference,
    older: OlderLayer,
}

impl Errand {
    /// That of one part as it is.
    pub(super) fn of(part: Part) -> Self {
        Self { parts: vec![part], patch: None }
    }

    /// The layer of its parts, of which it has one at least.
    pub(super) fn layer(&self) -> DiffId {
        self.parts[0].layer.diff_id
    }

    /// The errands that bring these ranges, which ascend, of a layer, in parts of so many bytes at most.
    pub(super) fn all(layer: &ArchivedLayer, ranges: &[Range], like: Option<&Resemblance>, most: u64) -> Vec<Self> {
        let cut = |most| ranges.iter().flat_map(move |range| parts(layer, *range, most));
        let Some(like) = like else {
            return cut(most).map(Self::of).collect();
        };
        let parts: Vec<Part> = cut(PART).collect();
        let near = parts.chunk_by(|one, next| one.offset / PART == next.offset / PART);
        near.map(|parts| Self { parts: parts.to_vec(), patch: like.patch(parts) }).collect()
    }

    /// Uncompressed bytes that the host lacks.
    pub(super) fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }
}

impl Resemblance {
    /// To this layer, out of which these pieces, which ascend, are copied.
    pub(super) fn new(older: OlderLayer, pieces: Vec<Piece>) -> Self {
        Self { older, pieces }
    }

    fn patch(&self, parts: &[Part]) -> Option<Patch> {
        let (first, last) = (parts.first()?, parts.last()?);
        let lacking: u64 = parts.iter().map(|part| part.length).sum();
        let span = Part { length: last.offset + last.length - first.offset, ..*first };
        let (offset, length) = stretch(&self.pieces, &span, self.older.size());
        let base = wire_id(self.older.diff_id());
        let reference = Reference { base, offset, length, form: PatchForm::Difference };
        let pays = lacking >= WORTH_A_PATCH && length > 0;
        pays.then(|| Patch { span, reference, older: self.older.clone() })
    }
}

impl Patch {
    /// The older layer that it refers to.
    pub(super) fn base(&self) -> DiffId {
        self.older.diff_id()
    }

    /// The frame that makes these bytes, those of the span, of which the host lacks so many, out of the older layer; none
    /// where that has nothing like them. Of what has much of its own two forms are made, and the smaller one counts.
    pub(super) fn make(
        &self,
        raw: &[u8],
        lacking: usize,
        packer: &mut Packer,
    ) -> io::Result<Option<(PatchForm, Bytes)>> {
        let old = self.older.read(self.reference.offset, self.reference.length)?;
        let difference = Difference::between(&old, raw, usize::try_from(MARGIN).unwrap_or(0));
        if difference.fresh > lacking - lacking / ALIKE || difference.bytes.len() > raw.len() {
            return Ok(None);
        }
        let has_own = difference.fresh > raw.len() / OWN;
        let frame = packer.zstd(&difference.bytes, HARD)?;
        drop(difference);
        if !has_own {
            return Ok(Some((PatchForm::Difference, frame)));
        }
        let prefixed = prefixed(raw, &old)?;
        Ok(Some(match frame.len() < prefixed.len() {
            true => (PatchForm::Difference, frame),
            false => (PatchForm::Prefix, prefixed),
        }))
    }
}

/// A zstd frame of these bytes with others as its prefix (`zstd --patch-from`).
fn prefixed(raw: &[u8], prefix: &[u8]) -> io::Result<Bytes> {
    let failed = |code| io::Error::other(get_error_name(code));
    let window = usize::BITS - (raw.len() + prefix.len()).leading_zeros();
    let mut zstd = CCtx::create();
    let settings = [
        CParameter::CompressionLevel(LEVEL),
        CParameter::WindowLog(window.max(10)),
        CParameter::HashLog(TABLES),
        CParameter::ChainLog(TABLES),
    ];
    for setting in settings {
        zstd.set_parameter(setting).map_err(failed)?;
    }
    zstd.ref_prefix(prefix).map_err(failed)?;
    let mut frame = Vec::with_capacity(compress_bound(raw.len()));
    zstd.compress2(&mut frame, raw).map_err(failed)?;
    Ok(Bytes::copy_from_slice(&frame))
}

/// Offset and length of the stretch of an older layer of this size in which a part was.
fn stretch(pieces: &[Piece], span: &Part, size: u64) -> (u64, u64) {
    let place = moved(pieces, span).map_or_else(|| relative(span, size), |by| span.offset.saturating_add_signed(by));
    let length = (span.length + 2 * MARGIN).min(size);
    (place.saturating_sub(MARGIN).min(size - length), length)
}

/// The same part of the way through the older layer.
fn relative(span: &Part, size: u64) -> u64 {
    let place = u128::from(span.offset) * u128::from(size) / u128::from(span.layer.size.max(1));
    u64::try_from(place).unwrap_or(size)
}

/// How far from its place most of what is copied around the part was. Runs of zeros are everywhere, so that no single
/// piece is believed.
fn moved(pieces: &[Piece], span: &Part) -> Option<i64> {
    let first = pieces.partition_point(|(to, _, length)| to + length + NEAR <= span.offset);
    let near = pieces[first..].iter().take_while(|(to, _, _)| *to < span.offset + span.length + NEAR);
    let mut votes: BTreeMap<i64, (u64, i64)> = BTreeMap::new();
    for (to, from, length) in near {
        let by = from.cast_signed() - to.cast_signed();
        let vote = votes.entry(by.div_euclid(MARGIN.cast_signed())).or_insert((0, by));
        vote.0 += length;
    }
    votes.into_values().max_by_key(|(bytes, _)| *bytes).map(|(_, by)| by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, Location};

    const MIB: u64 = 1 << 20;

    fn span(offset: u64, length: u64, size: u64) -> Part {
        let layer =
            ArchivedLayer { diff_id: Digest::of(b"layer").into(), size, location: Location::Archive { offset: 0 } };
        Part { layer, offset, length }
    }

    #[test]
    fn a_part_refers_to_where_it_was() {
        let part = span(40 * MIB, 2 * MIB, 100 * MIB);
        for (pieces, size, expected, what) in [
            (vec![], 100 * MIB, (39 * MIB, 4 * MIB), "the same place"),
            (vec![], 50 * MIB, (19 * MIB, 4 * MIB), "the same part of the way"),
            (vec![(38 * MIB, 58 * MIB, MIB)], 100 * MIB, (59 * MIB, 4 * MIB), "what is before it has moved"),
            (vec![(43 * MIB, 23 * MIB, MIB)], 100 * MIB, (19 * MIB, 4 * MIB), "what is behind it has moved"),
            (vec![(38 * MIB, 8 * MIB, 1), (39 * MIB, 39 * MIB, 2)], 100 * MIB, (39 * MIB, 4 * MIB), "most"),
            (vec![(0, 50 * MIB, MIB)], 100 * MIB, (39 * MIB, 4 * MIB), "what is far away tells nothing"),
            (vec![(41 * MIB, 0, MIB)], 100 * MIB, (0, 4 * MIB), "the beginning"),
            (vec![(41 * MIB, 99 * MIB, MIB)], 100 * MIB, (96 * MIB, 4 * MIB), "the end"),
            (vec![], MIB, (0, MIB), "all of it"),
        ] {
            assert_eq!(stretch(&pieces, &part, size), expected, "{what}");
        }
    }
}
