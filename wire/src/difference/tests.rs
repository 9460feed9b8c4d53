use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::noise::noise;

/// Every `step` bytes an address, all of which are moved by the same.
fn moved(old: &[u8], step: usize, by: i32) -> Vec<u8> {
    let mut new = old.to_vec();
    new.chunks_exact_mut(step).for_each(|chunk| assert!(correct(chunk, by) > 0));
    new
}

fn there_and_back(old: &[u8], new: &[u8], place: usize) -> Difference {
    let difference = Difference::between(old, new, place);
    assert_eq!(apply(old, &difference.bytes, new.len()).as_deref(), Ok(new));
    difference
}

#[test]
fn addresses_that_have_moved_are_corrected_alike() {
    let old = noise(1, 100_000);
    let new = moved(&old, 50, 4080);
    let difference = there_and_back(&old, &new, 0);
    assert_eq!(difference.fresh, 0);
    // Of each of the 2,000 corrections a gap of one byte, and a number of two.
    assert!(difference.bytes.len() < 6_100, "{}", difference.bytes.len());
    let corrections = corrections(&old, &new);
    assert!(corrections.iter().all(|(_, by)| *by == 4080), "{corrections:?}");
}

#[test]
fn what_is_inserted_removed_or_elsewhere_is_found() {
    let (old, other) = (noise(2, 300_000), noise(3, 5_000));
    let inserted = [&old[..100_000], &other, &old[100_000..]].concat();
    assert_eq!(there_and_back(&old, &inserted, 0).fresh, 5_000);
    let removed = [&old[..100_000], &old[150_001..]].concat();
    assert_eq!(there_and_back(&old, &removed, 0).fresh, 0);
    let turned = [&old[200_000..], &old[..200_000]].concat();
    let difference = there_and_back(&old, &turned, 77);
    assert!(difference.fresh == 0 && difference.bytes.len() < 100, "{}", difference.bytes.len());
    let middle = there_and_back(&old, &old[50_003..120_000], 50_003);
    assert!(middle.bytes.len() < 20, "{}", middle.bytes.len());
}

#[test]
fn bytes_without_anything_in_common_are_fresh() {
    for (old, new) in [(noise(4, 50_000), noise(5, 50_000)), (vec![], noise(5, 100)), (noise(4, 100), vec![])] {
        let difference = there_and_back(&old, &new, 10_000);
        assert!(difference.fresh >= new.len() * 9 / 10, "{} of {}", difference.fresh, new.len());
    }
}

/// All places are alike here, so that each might be looked at for each byte.
#[test]
fn repetitions_with_noise_are_soon_done() {
    let old: Vec<u8> = (0..1 << 20).map(|number| (number % 3) as u8).collect();
    let mut new = old[1..1 << 19].to_vec();
    let places = noise(8, new.len() / 40);
    new.chunks_exact_mut(40).zip(places).for_each(|(some, place)| some[usize::from(place) % 40] ^= 0x55);
    let difference = there_and_back(&old, &new, 1 << 18);
    assert!(difference.fresh < 100, "{}", difference.fresh);
}

#[test]
fn the_end_is_corrected_too() {
    let old = noise(6, 1_003);
    for last in 1..=5 {
        let mut new = old.clone();
        new[1_003 - last] ^= 0xff;
        assert!(there_and_back(&old, &new, 0).fresh < 6);
    }
}

/// Numbers as the form has them.
fn form(numbers: &[u64], fresh: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    numbers.iter().for_each(|number| put(&mut bytes, *number as usize));
    [&bytes, fresh].concat()
}

#[test]
fn the_form_is_the_one_that_is_written_down() {
    let old = b"the old bytes";
    let made = form(&[2, 4, 3, 0, 6, 0, 1, 1, 4, 2], b"new");
    assert_eq!(apply(old, &made, 13).unwrap(), b"the newpld by");
}

#[test]
fn lies_are_refused_without_much_memory() {
    let old = noise(7, 100);
    let most = u64::MAX;
    for (numbers, what) in [
        (&[][..], "nothing"),
        (&[1][..], "no run"),
        (&[most][..], "more runs than bytes"),
        (&[1, 101, 0, 0, 0], "beyond the old bytes"),
        (&[1, 10, 11, 0, 0], "more than there shall be"),
        (&[1, 19, 0, 0, 0], "fewer than there shall be"),
        (&[1, most, most, 0, 0], "an overflow"),
        (&[2, 0, 0, 1, 20, 0, 0, 0], "before the old bytes"),
        (&[2, 0, 0, 202, 20, 0, 0, 0], "a move beyond the old bytes"),
        (&[2, 0, 0, most, 20, 0, 0, 0], "a wide move"),
        (&[1, 20, 0, 0, most], "more corrections than bytes"),
        (&[1, 20, 0, 0, 1, 20, 2], "a correction behind the end"),
        (&[1, 20, 0, 0, 1, most, 2], "a correction far behind the end"),
        (&[1, 20, 0, 0, 1, 0, 1 << 33], "a wide correction"),
        (&[1, 20, 0, 0, 0, 7], "a byte left over"),
        (&[1, 19, 1, 0, 0], "a fresh byte that is missing"),
    ] {
        assert_eq!(apply(&old, &form(numbers, &[]), 20), Err(DifferenceError), "{what}");
    }
    assert_eq!(apply(&old, &[0xff; 11], 20), Err(DifferenceError), "a number without end");
    assert_eq!(apply(&old, &form(&[1, 20, 0, 0, 0], &[]), 20).as_deref(), Ok(&old[..20]));
}

proptest! {
    #[test]
    fn any_bytes_are_made_out_of_any_others(
        old in vec(any::<u8>(), 0..300), new in vec(any::<u8>(), 0..300), place in 0_usize..400,
    ) {
        there_and_back(&old, &new, place);
    }

    #[test]
    fn bytes_cut_out_moved_and_changed_are_made_out_of_the_old_ones(
        seed in any::<u64>(),
        parts in vec((0_usize..20_000, 1_usize..3_000, 16_usize..400, any::<i32>()), 1..8),
        place in 0_usize..25_000,
    ) {
        let old = noise(seed, 20_000);
        let part = |(from, length, step, by): &(usize, usize, usize, i32)| {
            moved(&old[*from..(from + length).min(old.len())], *step, *by)
        };
        let new: Vec<u8> = parts.iter().flat_map(part).collect();
        there_and_back(&old, &new, place);
    }

    #[test]
    fn any_bytes_as_a_difference_are_applied_or_refused(
        old in vec(any::<u8>(), 0..50), difference in vec(any::<u8>(), 0..50), length in 0_usize..100,
    ) {
        if let Ok(new) = apply(&old, &difference, length) {
            prop_assert_eq!(new.len(), length);
        }
    }
}
