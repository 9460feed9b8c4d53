//! Which old bytes new ones come from, nearly.

use super::index::{Index, LOOKED_UP};

/// So many equal bytes belong together.
const EQUAL: usize = 16;
/// Another place must have so many more equal bytes than the one at which the run is now.
const BETTER: usize = 8;
/// Bytes between two places are looked at so many times as there are new ones, all in all; from then on a place tells of
/// few before it. In what repeats itself each place would tell of all.
const LOOKS: usize = 16;
/// So few.
const BACK: usize = 4096;

/// Bytes that are taken over, perhaps corrected, then fresh ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) taken: usize,
    pub(super) fresh: usize,
    /// How far the place in the old stretch moves behind what was taken.
    pub(super) moves: isize,
}

/// Places in the new and in the old bytes that belong together.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    new: usize,
    old: usize,
}

/// Runs that make all of the new bytes. The first only moves the place.
pub(super) fn find(index: &Index, old: &[u8], new: &[u8], place: usize) -> Vec<Run> {
    let mut here = Anchor { new: 0, old: place.min(old.len()) };
    let mut runs = vec![Run { taken: 0, fresh: 0, moves: here.old.cast_signed() }];
    let (mut searched, mut looked) = (0, 0);
    loop {
        let next = next_anchor(index, old, new, here, searched);
        let gap = &new[here.new..next.map_or(new.len(), |next| next.new)];
        let before = next.map_or(&old[..0], |next| &old[..next.old]);
        let most = if looked < LOOKS * new.len() { gap.len() } else { BACK };
        looked += gap.len();
        let (taken, back) = share(gap, &old[here.old..], &before[before.len().saturating_sub(most)..]);
        let (fresh, end) = (gap.len() - taken - back, here.old + taken);
        let Some(next) = next else {
            runs.push(Run { taken, fresh, moves: 0 });
            return runs;
        };
        here = Anchor { new: next.new - back, old: next.old - back };
        searched = next.new;
        runs.push(Run { taken, fresh, moves: here.old.cast_signed() - end.cast_signed() });
    }
}

/// Where, from here on, the new bytes go on elsewhere in the old ones, and more alike than straight on.
fn next_anchor(index: &Index, old: &[u8], new: &[u8], here: Anchor, mut at: usize) -> Option<Anchor> {
    while at + LOOKED_UP <= new.len() {
        let straight = old.get(here.old + (at - here.new)..).unwrap_or_default();
        let equal = common(straight, &new[at..]);
        if equal >= EQUAL {
            at += equal;
            continue;
        }
        if let Some(place) = index.place(&new[at..]) {
            let found = common(&old[place..], &new[at..]);
            let stays = straight.iter().zip(&new[at..at + found]).filter(|(one, other)| one == other).count();
            if found >= EQUAL && found > stays + BETTER {
                return Some(Anchor { new: at, old: place });
            }
        }
        at += 1;
    }
    None
}

/// How many bytes of a gap are taken over from the old ones behind its beginning, and how many from those before its
/// end, so that more than half of each are right; what both would have is divided where most are right.
fn share(gap: &[u8], behind: &[u8], before: &[u8]) -> (usize, usize) {
    let ahead = longest(gap.iter().zip(behind));
    let back = longest(gap.iter().rev().zip(before.iter().rev()));
    let both = (ahead + back).saturating_sub(gap.len());
    if both == 0 {
        return (ahead, back);
    }
    let from = ahead - both;
    let (mut sum, mut best, mut keep) = (0_i64, 0, 0);
    for (number, byte) in gap[from..ahead].iter().enumerate() {
        let (one, other) = (behind[from + number], before[before.len() - back + number]);
        sum += i64::from(one == *byte) - i64::from(other == *byte);
        if sum >= best {
            (best, keep) = (sum, number + 1);
        }
    }
    (from + keep, back - keep)
}

/// The length at which most more of the pairs are equal than are not; of several the shortest.
fn longest<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    let (mut sum, mut best, mut length) = (0_i64, 0, 0);
    for (number, (one, other)) in pairs.enumerate() {
        sum += if one == other { 1 } else { -1 };
        if sum > best {
            (best, length) = (sum, number + 1);
        }
    }
    length
}

/// How many bytes both begin with.
pub(super) fn common(one: &[u8], other: &[u8]) -> usize {
    const LANE: usize = 8;
    let lanes = one.chunks_exact(LANE).zip(other.chunks_exact(LANE));
    let equal = lanes.take_while(|(one, other)| one == other).count() * LANE;
    equal + one[equal..].iter().zip(&other[equal..]).take_while(|(one, other)| one == other).count()
}
