//! Which parts of a layer are there, and the file that says so.
//!
//! Contract: the file is only ever appended to, one write for a part, so that any number of processes may do so
//! at once. A record is `\n<from> <to>.`: one that was cut off (a full disk) spoils no other. What is no record
//! counts for nothing, which costs a part that is sent again.

use toolbox_wire::Range;

/// Ascending and apart from each other.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    /// Reads a map; what lies beyond `end` is left out.
    pub(super) fn read(map: &[u8], end: u64) -> Self {
        let records = map.split(|byte| *byte == b'\n').filter_map(record);
        Self::of(records.map(|(from, to)| (from, to.min(end))).collect())
    }

    /// Merges ranges.
    pub(super) fn of(mut ranges: Vec<Range>) -> Self {
        ranges.retain(|(from, to)| from < to);
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                Some((_, end)) if *end >= from => *end = to.max(*end),
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }

    /// How far one may read from here without a gap.
    pub(super) fn until(&self, at: u64) -> u64 {
        let range = self.0.iter().find(|(from, to)| *from <= at && at < *to);
        range.map_or(at, |(_, to)| *to)
    }

    pub(super) fn into_vec(self) -> Vec<Range> {
        self.0
    }

    /// What is appended to the map.
    pub(super) fn records(&self) -> String {
        self.0.iter().map(|(from, to)| format!("\n{from} {to}.")).collect()
    }
}

fn record(line: &[u8]) -> Option<Range> {
    let (from, to) = str::from_utf8(line).ok()?.strip_suffix('.')?.split_once(' ')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Ranges;

    #[test]
    fn neighbours_and_overlaps_are_one_range() {
        let ranges = Ranges::of(vec![(10, 20), (0, 5), (5, 7), (12, 14), (30, 30), (19, 25)]);
        assert_eq!(ranges.until(0), 7);
        assert_eq!(ranges.until(7), 7);
        assert_eq!(ranges.until(24), 25);
        assert_eq!(ranges.into_vec(), [(0, 7), (10, 25)]);
    }

    #[test]
    fn a_record_that_was_cut_off_spoils_no_other() {
        let whole = "\n0 1048576.\n2097152 4194304.";
        for cut in 0..whole.len() {
            let map = format!("{}\n5000000 5000001.", &whole[..cut]);
            let read = Ranges::read(map.as_bytes(), u64::MAX).into_vec();
            let right = [(0, 1_048_576), (2_097_152, 4_194_304), (5_000_000, 5_000_001)];
            assert!(read.iter().all(|range| right.contains(range)), "{map:?}");
            assert!(read.contains(&right[2]));
        }
    }

    #[test]
    fn what_lies_beyond_the_file_is_not_there() {
        assert_eq!(Ranges::read(b"\n0 100.\n200 300.\n90 400.\n-1 5.\n7 3.\nx", 120).into_vec(), [(0, 120)]);
    }

    proptest! {
        #[test]
        fn a_map_says_of_each_byte_whether_it_is_there(ranges in proptest::collection::vec((0u64..60, 0u64..60), 0..12)) {
            let records: String = ranges.iter().map(|range| Ranges::of(vec![*range]).records()).collect();
            let read = Ranges::read(records.as_bytes(), 50);
            for at in 0..60 {
                let there = at < 50 && ranges.iter().any(|(from, to)| (*from..*to).contains(&at));
                prop_assert_eq!(read.until(at) > at, there);
            }
            prop_assert_eq!(Ranges::read(read.records().as_bytes(), 50), read);
        }
    }
}
