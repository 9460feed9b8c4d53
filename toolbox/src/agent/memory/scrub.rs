//! Overwrites the dead part of the stack, where a computation with a secret has left copies.
//!
//! Contract: when [`scrubbed`] and [`scrubbed_deep`] return, the stack that the computation used is zero, to a depth
//! that is written at each. What it returns is copied through the caller's frame, and captured variables lie there: so
//! neither may hold a secret in line, only in a `Box`, a `Vec` or sealed.

use std::hint::black_box;

/// Enough for a signature by aws-lc, whose largest table on the stack is of 6 KiB.
const SHALLOW: usize = 32 * 1024;
/// Enough for whatever reads key files, also without optimisation.
const DEEP: usize = 256 * 1024;

/// Does a computation that calls nothing but aws-lc, and overwrites 32 KiB of the stack below.
pub(crate) fn scrubbed<R>(computation: impl FnOnce() -> R) -> R {
    let result = apart(computation);
    overwrite::<SHALLOW>();
    result
}

/// Does any computation, and overwrites 256 KiB of the stack below: every thread here has 2 MiB.
pub(crate) fn scrubbed_deep<R>(computation: impl FnOnce() -> R) -> R {
    let result = apart(computation);
    overwrite::<DEEP>();
    result
}

/// A frame of its own, so that the computation's lies below the caller's.
#[inline(never)]
fn apart<R>(computation: impl FnOnce() -> R) -> R {
    black_box(computation)()
}

/// Its frame covers those that were there before. What is shown to `black_box` has to be written.
#[inline(never)]
fn overwrite<const SIZE: usize>() {
    black_box(&mut [0_u8; SIZE]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: [u8; 16] = *b"left-on-the-stac";

    /// Writes the mark all over the stack.
    #[inline(never)]
    fn litter(depth: usize) {
        let mut frame = [MARK; 64];
        black_box(&mut frame);
        if depth > 0 {
            litter(depth - 1);
        }
        black_box(&mut frame);
    }

    /// How often the mark is on this thread's stack, as the kernel sees it.
    fn marks_on_the_stack() -> usize {
        use std::os::unix::fs::FileExt as _;
        let local = black_box(0_u8);
        let here = std::ptr::from_ref(&local).addr() as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let bounds = maps.lines().filter_map(|line| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
        });
        let stack = bounds.into_iter().find(|range| range.contains(&here)).unwrap();
        let mut bytes = vec![0; usize::try_from(stack.end - stack.start).unwrap()];
        std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, stack.start).unwrap();
        bytes.windows(MARK.len()).filter(|window| *window == MARK).count()
    }

    /// What is left by a computation on a thread of its own.
    fn left_by(computation: fn()) -> usize {
        let thread = std::thread::spawn(move || {
            computation();
            marks_on_the_stack()
        });
        thread.join().unwrap()
    }

    #[test]
    fn what_a_computation_left_on_the_stack_is_overwritten() {
        assert!(left_by(|| litter(20)) > 64, "the search finds what is there");
        assert_eq!(left_by(|| scrubbed(|| litter(20))), 0);
        assert_eq!(left_by(|| scrubbed_deep(|| litter(120))), 0);
    }
}
