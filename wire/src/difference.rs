//! Bytes as an older stretch of bytes with corrections.
//!
//! Contract: pure. A program that was linked anew has numbers in it that have all moved by the same few amounts, one
//! every few bytes: nothing of it can be copied, and what is to be added to the old numbers is the same again and
//! again, which compresses well. After C. Percival, Naive differences of executable code (2003), with corrections of
//! four bytes at a time instead of a byte for each byte.
//!
//! Form, to be compressed: numbers (LEB128; signed ones in zigzag), then bytes. How many runs; of each how many bytes it
//! takes over from the old stretch, how many fresh ones follow, and how far the place in the old stretch moves then,
//! which begins at 0. How many corrections; of each how many bytes that were taken over stay before it; of each what is
//! added to the next four (at the end fewer), little-endian. The fresh bytes.

mod index;
mod numbers;
mod runs;

use index::Index;
use numbers::{Numbers, put, put_signed};

/// Bytes that one correction corrects.
const WORD: usize = 4;

/// What makes new bytes out of old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In the form above, which [`apply`] takes.
    pub bytes: Vec<u8>,
    /// How many of the new bytes are in it as they are.
    pub fresh: usize,
}

/// A difference that is none, or none to these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no difference to these bytes")]
pub struct DifferenceError;

impl Difference {
    /// Between a stretch of old bytes, less than 4 GiB, and the new ones, which probably begin at `place` in it.
    pub fn between(old: &[u8], new: &[u8], place: usize) -> Self {
        let runs = runs::find(&Index::of(old), old, new, place);
        let (mut before, mut after, mut fresh) = (Vec::new(), Vec::with_capacity(new.len()), Vec::new());
        let (mut rest, mut place) = (new, 0);
        let mut bytes = Vec::new();
        put(&mut bytes, runs.len());
        for run in runs {
            put(&mut bytes, run.taken);
            put(&mut bytes, run.fresh);
            put_signed(&mut bytes, run.moves as i64);
            let (taken, behind) = rest.split_at(run.taken);
            let (own, behind) = behind.split_at(run.fresh);
            before.extend_from_slice(&old[place..][..run.taken]);
            after.extend_from_slice(taken);
            fresh.extend_from_slice(own);
            (rest, place) = (behind, (place + run.taken).wrapping_add_signed(run.moves));
        }
        let corrections = corrections(&before, &after);
        put(&mut bytes, corrections.len());
        corrections.iter().for_each(|(gap, _)| put(&mut bytes, *gap));
        corrections.iter().for_each(|(_, by)| put_signed(&mut bytes, i64::from(*by)));
        bytes.extend_from_slice(&fresh);
        Self { bytes, fresh: fresh.len() }
    }
}

/// The new bytes, of which there must be so many.
///
/// # Errors
/// The difference is damaged, or was made for others. Takes memory for twice the new bytes, whatever it says.
pub fn apply(old: &[u8], difference: &[u8], length: usize) -> Result<Vec<u8>, DifferenceError> {
    let mut numbers = Numbers::of(difference);
    let count = numbers.count()?;
    let mut runs = numbers.clone();
    let (mut taken, mut place, mut left) = (Vec::new(), 0_usize, length);
    for _ in 0..count {
        let run = numbers.run()?;
        left = left.checked_sub(run.taken).and_then(|left| left.checked_sub(run.fresh)).ok_or(DifferenceError)?;
        let end = place.checked_add(run.taken).ok_or(DifferenceError)?;
        taken.extend_from_slice(old.get(place..end).ok_or(DifferenceError)?);
        place = end.checked_add_signed(run.moves).ok_or(DifferenceError)?;
    }
    correct_all(&mut numbers, &mut taken)?;
    let (mut new, mut taken, mut fresh) = (Vec::with_capacity(length), &taken[..], numbers.rest());
    for _ in 0..count {
        let run = runs.run()?;
        let (some, behind) = taken.split_at(run.taken);
        let (own, left) = fresh.split_at_checked(run.fresh).ok_or(DifferenceError)?;
        new.extend_from_slice(some);
        new.extend_from_slice(own);
        (taken, fresh) = (behind, left);
    }
    if new.len() == length && fresh.is_empty() { Ok(new) } else { Err(DifferenceError) }
}

/// Reads the corrections, and makes them.
fn correct_all(numbers: &mut Numbers<'_>, taken: &mut [u8]) -> Result<(), DifferenceError> {
    let count = numbers.count()?;
    let mut gaps = numbers.clone();
    for _ in 0..count {
        numbers.next()?;
    }
    let mut rest = taken;
    for _ in 0..count {
        let by = i32::try_from(numbers.next_signed()?).map_err(|_| DifferenceError)?;
        let behind = rest.split_at_mut_checked(gaps.next()?).ok_or(DifferenceError)?.1;
        let corrected = correct(behind, by);
        if corrected == 0 {
            return Err(DifferenceError);
        }
        rest = &mut behind[corrected..];
    }
    Ok(())
}

/// How many bytes stay before each, and what is added there.
fn corrections(old: &[u8], new: &[u8]) -> Vec<(usize, i32)> {
    let (mut corrections, mut at, mut last) = (Vec::new(), 0, 0);
    loop {
        at += runs::common(&old[at..], &new[at..]);
        if at == new.len() {
            return corrections;
        }
        let (before, after) = (word(&old[at..]), word(&new[at..]));
        // Of fewer bytes than four the upper ones of both are nought.
        corrections.push((at - last, after.wrapping_sub(before)));
        at = (at + WORD).min(new.len());
        last = at;
    }
}

/// Adds to the first bytes; returns how many those are.
fn correct(bytes: &mut [u8], by: i32) -> usize {
    let length = bytes.len().min(WORD);
    let corrected = word(bytes).wrapping_add(by).to_le_bytes();
    bytes[..length].copy_from_slice(&corrected[..length]);
    length
}

fn word(bytes: &[u8]) -> i32 {
    let mut word = [0; WORD];
    let length = bytes.len().min(WORD);
    word[..length].copy_from_slice(&bytes[..length]);
    i32::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
