//! Making a layer on the host out of one that it has.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::sync::Arc;

use toolbox_wire::{
    ALGORITHM, Chunk, Chunker, Delta, ErrorKind, MOST_LAYERS, MOST_PIECES, Piece, Range, Reply, Request, unpack,
};

use crate::image::{Archive, ArchivedLayer, DiffId, ReadAt};

use super::choice::Candidate;
use super::patch::Resemblance;
use super::receiver::{Delivery, strange};
use super::session::{Broken, Session};
use super::wire_id;

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;
/// Where nothing else helps, copying must spare this part of a layer at least.
const PART_SPARED: u64 = 10;

/// A layer of which the host has made something.
pub(super) struct Made {
    /// What it has not, ascending.
    pub(super) lacks: Vec<Range>,
    /// What that resembles.
    pub(super) like: Option<Resemblance>,
}

/// Makes what can be made of a layer out of its base. `None` where there is none, or that spares too little.
pub(super) async fn make<R: ReadAt + Send + Sync + 'static>(
    control: &mut Session,
    delivery: &Delivery<'_, R>,
    candidate: &Candidate,
) -> Result<Option<Made>, Broken> {
    let bases: BTreeSet<DiffId> = delivery.candidates.iter().map(|candidate| candidate.base).collect();
    // Both engines read it at the same time.
    let others = others(delivery.candidates, candidate);
    let (old, mut here) = tokio::join!(signature(control, candidate, others), delivery.shipment.older(&bases));
    let Some(old) = old? else { return Ok(None) };
    let layer = candidate.layer;
    let new = chunks(delivery.shipment.archive(), layer).await.map_err(|e| Broken::Read(e.to_string()))?;
    let delta = Delta::between(&new, &old);
    let here = here.remove(&candidate.base);
    if here.is_none() && delta.copied_bytes() < layer.size / PART_SPARED {
        return Ok(None);
    }
    if !copy(control, candidate, &delta.pieces).await? {
        return Ok(None);
    }
    let like = here.map(|older| Resemblance::new(older, delta.pieces));
    Ok(Some(Made { lacks: delta.literals, like }))
}

/// False where the base has gone.
async fn copy(control: &mut Session, candidate: &Candidate, pieces: &[Piece]) -> Result<bool, Broken> {
    let (diff_id, base) = (wire_id(candidate.layer.diff_id), wire_id(candidate.base));
    for pieces in pieces.chunks(MOST_PIECES) {
        let request = Request::Copy { diff_id, size: candidate.layer.size, base, pieces: pieces.to_vec() };
        match control.ask(&request).await {
            Ok(_) => {}
            Err(Broken::Refused { kind: ErrorKind::Base, .. }) => return Ok(false),
            Err(other) => return Err(other),
        }
    }
    Ok(true)
}

/// What else is wanted of the same image of the host.
fn others(candidates: &[Candidate], now: &Candidate) -> Vec<toolbox_wire::DiffId> {
    let others = candidates.iter().filter(|other| other.image == now.image && other.base != now.base);
    others.map(|other| wire_id(other.base)).take(MOST_LAYERS).collect()
}

/// The chunks of a layer of the host; `None` where it cannot be read.
async fn signature(
    control: &mut Session,
    candidate: &Candidate,
    also: Vec<toolbox_wire::DiffId>,
) -> Result<Option<Vec<Chunk>>, Broken> {
    let (image, diff_id) = (candidate.image.clone(), wire_id(candidate.base));
    match control.ask(&Request::Base { image, diff_id, also, algorithm: ALGORITHM.to_owned() }).await {
        Ok(Reply::Base { chunks }) => Ok(unpack(&chunks).ok()),
        Ok(other) => Err(strange(&other)),
        Err(Broken::Refused { kind: ErrorKind::Base | ErrorKind::Engine | ErrorKind::Space, .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The chunks of a layer.
async fn chunks<R: ReadAt + Send + Sync + 'static>(
    archive: &Arc<Archive<R>>,
    layer: ArchivedLayer,
) -> io::Result<Vec<Chunk>> {
    let archive = Arc::clone(archive);
    let cutting = tokio::task::spawn_blocking(move || {
        let (mut chunker, mut buffer) = (Chunker::default(), vec![0; BUFFER]);
        let mut tar = archive.layer(&layer);
        loop {
            match tar.read(&mut buffer)? {
                0 => return Ok(chunker.finish()),
                read => chunker.feed(&buffer[..read]),
            }
        }
    });
    cutting.await.map_err(io::Error::other)?
}
