//! What of a layer can be copied out of an older one.
//!
//! Contract: pure. Pieces and literals together cover the layer once, and each list ascends.

use std::collections::HashMap;

use crate::{Chunk, Piece, Range};

/// A part of the layer that the base does not have.
pub type Literal = Range;

/// How a layer is made out of a base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// What is copied. Neighbours that are neighbours in the base, too, are one piece.
    pub pieces: Vec<Piece>,
    /// What must be sent.
    pub literals: Vec<Literal>,
}

impl Delta {
    /// Compares the chunks of the layer with those of the base.
    pub fn between(layer: &[Chunk], base: &[Chunk]) -> Self {
        let places = places(base);
        let mut delta = Self::default();
        let mut at = 0;
        for chunk in layer {
            let length = u64::from(chunk.length);
            match places.get(chunk) {
                Some(places) => delta.copy(at, places, length),
                None => delta.send(at, length),
            }
            at += length;
        }
        delta
    }

    /// Bytes that must be sent, uncompressed.
    pub fn literal_bytes(&self) -> u64 {
        self.literals.iter().map(|(from, to)| to - from).sum()
    }

    /// Bytes that are copied.
    pub fn copied_bytes(&self) -> u64 {
        self.pieces.iter().map(|(_, _, length)| length).sum()
    }

    /// The place that goes on where the last piece ends, if there is one, makes no new piece.
    fn copy(&mut self, to: u64, places: &Places, length: u64) {
        if let Some((last_to, last_from, last_length)) = self.pieces.last_mut()
            && *last_to + *last_length == to
            && places.has(*last_from + *last_length)
        {
            *last_length += length;
            return;
        }
        self.pieces.push((to, places.first, length));
    }

    fn send(&mut self, at: u64, length: u64) {
        match self.literals.last_mut() {
            Some((_, end)) if *end == at => *end += length,
            _ => self.literals.push((at, at + length)),
        }
    }
}

/// Where a chunk is in the base. Repeated ones (runs of zeros) are many.
struct Places {
    first: u64,
    others: Vec<u64>,
}

impl Places {
    fn has(&self, place: u64) -> bool {
        self.first == place || self.others.binary_search(&place).is_ok()
    }
}

fn places(base: &[Chunk]) -> HashMap<Chunk, Places> {
    let mut places: HashMap<Chunk, Places> = HashMap::with_capacity(base.len());
    let mut at = 0;
    for chunk in base {
        let places = places.entry(*chunk);
        places.and_modify(|places| places.others.push(at)).or_insert(Places { first: at, others: Vec::new() });
        at += u64::from(chunk.length);
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::chunks;

    /// Bytes like a program's: some constant, some not.
    fn code(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            bytes.extend_from_slice(&[0x48, 0x8b, (state >> 40) as u8, 0, (state >> 50) as u8, (state >> 60) as u8]);
        }
        bytes.truncate(length);
        bytes
    }

    /// Carries a delta out; what it does not cover stays 0xEE.
    fn rebuild(delta: &Delta, base: &[u8], layer: &[u8]) -> Vec<u8> {
        let mut built = vec![0xee; layer.len()];
        let bounds = |from: u64, length: u64| from as usize..(from + length) as usize;
        for (to, from, length) in &delta.pieces {
            built[bounds(*to, *length)].copy_from_slice(&base[bounds(*from, *length)]);
        }
        for (from, to) in &delta.literals {
            let range = bounds(*from, to - from);
            built[range.clone()].copy_from_slice(&layer[range]);
        }
        built
    }

    #[test]
    fn an_insertion_in_the_middle_leaves_99_of_100_bytes_to_copy() {
        let base = code(1, 8 << 20);
        let (head, tail) = base.split_at(base.len() / 2 + 1);
        let layer = [head, b"one more line, of thirty bytes", tail].concat();
        let delta = Delta::between(&chunks(&layer), &chunks(&base));
        assert!(delta.literal_bytes() * 100 <= layer.len() as u64, "{}", delta.literal_bytes());
        assert!(delta.pieces.len() <= 3, "{:?}", delta.pieces);
        assert_eq!(rebuild(&delta, &base, &layer), layer);
    }

    #[test]
    fn nothing_in_common_is_all_literal_and_equal_is_one_piece() {
        let (one, other) = (code(1, 100_000), code(2, 90_000));
        let delta = Delta::between(&chunks(&one), &chunks(&other));
        assert_eq!(delta, Delta { pieces: vec![], literals: vec![(0, 100_000)] });
        let delta = Delta::between(&chunks(&one), &chunks(&one));
        assert_eq!(delta, Delta { pieces: vec![(0, 0, 100_000)], literals: vec![] });
        assert_eq!(Delta::between(&[], &chunks(&one)), Delta::default());
    }

    #[test]
    fn runs_of_zeros_are_few_pieces() {
        let with = |zeros: usize| [code(1, 50_000), vec![0; zeros], code(2, 50_000)].concat();
        let (base, layer) = (with(2_000_000), with(1_900_000));
        let delta = Delta::between(&chunks(&layer), &chunks(&base));
        assert_eq!(rebuild(&delta, &base, &layer), layer);
        assert!(delta.pieces.len() <= 4 && delta.literal_bytes() < 200_000, "{delta:?}");
    }

    fn make(blocks: &[(u64, usize)]) -> Vec<u8> {
        blocks.iter().flat_map(|(seed, length)| code(*seed, *length)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_delta_makes_the_layer_whatever_was_moved(
            layer in vec((0u64..6, 1usize..120_000), 1..8),
            base in vec((0u64..6, 1usize..120_000), 1..8),
        ) {
            let (layer, base) = (make(&layer), make(&base));
            let delta = Delta::between(&chunks(&layer), &chunks(&base));
            prop_assert_eq!(delta.copied_bytes() + delta.literal_bytes(), layer.len() as u64);
            prop_assert_eq!(rebuild(&delta, &base, &layer), layer);
            prop_assert!(delta.pieces.is_sorted() && delta.literals.is_sorted());
        }
    }
}
