//! The numbers of a difference.

use super::DifferenceError;
use super::runs::Run;
use crate::leb128;

/// The most bytes of a number.
const LONGEST: u32 = u64::BITS.div_ceil(7);

/// LEB128, unsigned.
pub(super) fn put(bytes: &mut Vec<u8>, number: usize) {
    leb128::put(bytes, number as u64);
}

/// Zigzag, so that small numbers of either sign are short.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    leb128::put(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Numbers, then bytes.
#[derive(Clone)]
pub(super) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn next(&mut self) -> Result<usize, DifferenceError> {
        usize::try_from(self.next_u64()?).map_err(|_| DifferenceError)
    }

    pub(super) fn next_signed(&mut self) -> Result<i64, DifferenceError> {
        let number = self.next_u64()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn run(&mut self) -> Result<Run, DifferenceError> {
        let (taken, fresh, moves) = (self.next()?, self.next()?, self.next_signed()?);
        Ok(Run { taken, fresh, moves: isize::try_from(moves).map_err(|_| DifferenceError)? })
    }

    /// How many numbers follow: no more than bytes are left.
    pub(super) fn count(&mut self) -> Result<usize, DifferenceError> {
        let count = self.next()?;
        if count <= self.0.len() { Ok(count) } else { Err(DifferenceError) }
    }

    /// What is behind the numbers.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    fn next_u64(&mut self) -> Result<u64, DifferenceError> {
        leb128::take(&mut self.0, LONGEST).ok_or(DifferenceError)
    }
}
