//! Numbers of any size in as few bytes as they need.

use super::DifferenceError;
use super::runs::Run;

/// LEB128, unsigned.
pub(super) fn put(bytes: &mut Vec<u8>, number: usize) {
    put_u64(bytes, number as u64);
}

/// Zigzag, so that small numbers of either sign are short.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_u64(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn put_u64(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
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
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(DifferenceError)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(DifferenceError);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DifferenceError)
    }
}
