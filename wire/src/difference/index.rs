//! Where a few bytes stand in the old stretch.

/// Bytes that are looked up.
pub(super) const LOOKED_UP: usize = 12;
/// Of so many places one is in the index. What is common over `LOOKED_UP + STEP - 1` bytes is found.
const STEP: usize = 4;
/// More entries than this are not made: 4 MiB of memory, for a stretch of 4 MiB.
const MOST_BITS: u32 = 20;

/// One place for each hash, the last.
pub(super) struct Index {
    places: Vec<u32>,
    shift: u32,
}

impl Index {
    pub(super) fn of(old: &[u8]) -> Self {
        let bits = (old.len() / STEP).max(2).next_power_of_two().ilog2().min(MOST_BITS);
        let mut index = Self { places: vec![u32::MAX; 1 << bits], shift: u64::BITS - bits };
        for (place, bytes) in old.windows(LOOKED_UP).step_by(STEP).enumerate() {
            let hash = index.hash(bytes);
            index.places[hash] = u32::try_from(place * STEP).unwrap_or(u32::MAX);
        }
        index
    }

    /// Where what begins like this, with [`LOOKED_UP`] bytes at least, may stand.
    pub(super) fn place(&self, bytes: &[u8]) -> Option<usize> {
        let place = self.places[self.hash(bytes)];
        (place != u32::MAX).then_some(place as usize)
    }

    fn hash(&self, bytes: &[u8]) -> usize {
        let (first, more) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[0; 4]));
        let more = more.first_chunk::<4>().unwrap_or(&[0; 4]);
        // Multipliers as of splitmix64: bits of all bytes reach the upper ones.
        let mixed = u64::from_le_bytes(*first).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::from(u32::from_le_bytes(*more)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> self.shift) as usize
    }
}
