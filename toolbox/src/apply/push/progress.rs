//! How far a push is, for whoever watches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::image::{ArchivedLayer, DiffId, PartialArchive};

use super::super::event::{Events, What};

/// Bytes between two reports.
const STEP: u64 = 256 * 1024;

/// Counts uncompressed bytes as they go.
pub(super) struct Progress {
    events: Events,
    total: u64,
    layers: BTreeMap<DiffId, usize>,
    state: Mutex<State>,
    sent: AtomicU64,
}

#[derive(Default)]
struct State {
    done: u64,
    told: u64,
    layer: Option<DiffId>,
}

impl Progress {
    /// Of this archive; `total` bytes are to go.
    pub(super) fn new(archive: &PartialArchive, total: u64, events: Events) -> Self {
        let layers = archive.layers().enumerate().map(|(index, layer)| (layer.diff_id, index + 1)).collect();
        Self { events, total, layers, state: Mutex::default(), sent: AtomicU64::new(0) }
    }

    /// Something that a person should know.
    pub(super) fn note(&self, text: String) {
        self.events.send(What::Note(text));
    }

    /// From the beginning; what has gone over the line so far has.
    pub(super) fn begin(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// So many bytes have gone over the line, compressed.
    pub(super) fn went(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All bytes that have gone over the line.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// So many bytes have gone, of this layer where they are of one.
    pub(super) fn advance(&self, bytes: u64, layer: Option<&ArchivedLayer>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += bytes;
        let layer = layer.map(|layer| layer.diff_id);
        if layer.is_some() && state.layer != layer {
            state.layer = layer;
            let number = layer.and_then(|layer| self.layers.get(&layer)).copied().unwrap_or_default();
            self.events.send(What::Line(format!("layer {number} of {}", self.layers.len())));
        }
        if state.done - state.told >= STEP || state.done >= self.total {
            state.told = state.done;
            self.events.send(What::Progress(state.done, self.total));
        }
    }
}
