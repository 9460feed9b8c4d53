use proptest::prelude::*;

use super::*;

fn arena(locker: Locker) -> Arc<Arena> {
    Arc::new(Arena::new(locker))
}

/// Everything in the blocks, whoever has it.
fn all(arena: &Arena) -> Vec<u8> {
    arena.read().iter().flat_map(|block| block.bytes.0).collect()
}

fn locked_blocks(arena: &Arena) -> usize {
    arena.read().iter().filter(|block| block._lock.is_some()).count()
}

#[test]
fn what_is_dropped_is_zeroed_and_its_place_used_again() {
    let arena = arena(lock);
    let [one, two, three] = [[1; 100], [2; 100], [3; 100]].map(|bytes| arena.store(&bytes).unwrap());
    let place = two.range();
    drop(two);
    assert!(!all(&arena).contains(&2));
    let four = arena.store(&[4; 100]).unwrap();
    assert_eq!(four.range(), place);
    for (held, byte) in [(&one, 1), (&three, 3), (&four, 4)] {
        held.with(|bytes| assert_eq!(bytes, [byte; 100]));
    }
}

#[test]
fn lengths_from_one_byte_to_a_block_are_taken_and_no_others() {
    let arena = arena(lock);
    for length in [1, GRAIN, GRAIN + 1, BLOCK] {
        arena.store(&vec![7; length]).unwrap().with(|bytes| assert_eq!(bytes, vec![7; length]));
    }
    assert!(arena.store(&[]).is_none());
    assert!(arena.store(&[7; BLOCK + 1]).is_none());
    assert_eq!(arena.read().len(), 1, "each was dropped before the next came");
}

#[test]
fn a_thousand_rsa_keys_fit_into_a_quarter_of_the_usual_limit() {
    // 8 MiB is systemd's limit, and an rsa key of 3072 bits takes 1793 bytes.
    let arena = arena(lock);
    let held: Vec<_> = (0..1000).map(|_| arena.store(&[9; 1793]).unwrap()).collect();
    let blocks = arena.read().len();
    assert!(blocks * BLOCK <= 2 * 1024 * 1024, "{blocks} blocks");
    drop(held);
    assert!(all(&arena).iter().all(|byte| *byte == 0));
}

#[test]
fn where_no_memory_can_be_locked_bytes_are_taken_and_zeroed_all_the_same() {
    let arena = arena(|_| None);
    let held = arena.store(&[5; 40]).unwrap();
    assert_eq!(locked_blocks(&arena), 0);
    held.with(|bytes| assert_eq!(bytes, [5; 40]));
    drop(held);
    assert!(!all(&arena).contains(&5));
}

#[test]
fn what_is_wiped_is_zero_for_its_holders_as_well() {
    let arena = arena(lock);
    let held = arena.store(&[6; 50]).unwrap();
    arena.wipe();
    held.with(|bytes| assert_eq!(bytes, [0; 50]));
}

#[test]
fn the_kernel_says_that_blocks_are_locked() {
    let arena = arena(lock);
    let _held = arena.store(&[1; 40]).unwrap();
    if locked_blocks(&arena) == 0 {
        eprintln!("not run: the limit of locked memory is {:?}", getrlimit(Resource::Memlock).current);
        return;
    }
    let address = std::ptr::from_ref(&*arena.read()[0].bytes).addr();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut holds = false;
    let flags = maps.lines().find(|line| {
        let bounds = line.split(' ').next().and_then(|bounds| bounds.split_once('-'));
        if let Some((start, end)) = bounds
            && let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            holds = (start..end).contains(&address);
        }
        holds && line.starts_with("VmFlags:")
    });
    assert!(flags.unwrap().split(' ').any(|flag| flag == "lo"), "{flags:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_two_hold_the_same_place_in_whatever_order_they_come_and_go(
        steps in prop::collection::vec((1..3000_usize, any::<prop::sample::Index>(), any::<bool>()), 1..80)
    ) {
        let arena = arena(|_| None);
        let mut held: Vec<(LockedBytes, Vec<u8>)> = Vec::new();
        for (number, (length, which, remove)) in steps.into_iter().enumerate() {
            if remove && !held.is_empty() {
                held.swap_remove(which.index(held.len()));
            } else {
                let bytes = vec![u8::try_from(number + 1).unwrap(); length];
                held.push((arena.store(&bytes).unwrap(), bytes));
            }
            for (stored, bytes) in &held {
                stored.with(|seen| assert_eq!(seen, bytes));
            }
            let sum = held.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            prop_assert_eq!(all(&arena).iter().filter(|byte| **byte != 0).count(), sum);
        }
    }
}
