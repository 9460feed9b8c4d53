//! Unsigned numbers in as few bytes as they need (LEB128).

/// Appends a number.
pub(crate) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off, of at most so many bytes; nothing where it is longer, has no end, or does not fit.
pub(crate) fn take(rest: &mut &[u8], most: u32) -> Option<u64> {
    let mut number = 0;
    for place in 0..most {
        let byte = *rest.split_off_first()?;
        let (bits, shift) = (u64::from(byte & 0x7f), 7 * place);
        if bits.checked_shl(shift)? >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
