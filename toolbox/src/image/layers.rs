//! Which layers a host holds, decided by chain IDs.
//!
//! Contract: a layer counts as held only as part of a stack held from the bottom up, because graph
//! drivers cannot use a layer that lies elsewhere in a stack. Pure. Deliberately absent: asking an
//! engine, and the rule that a containerd store counts only layers that we loaded; the caller puts
//! into the set only what counts there.

use std::collections::BTreeSet;

use super::{ChainId, DiffId};

/// The chain ID of each prefix of these layers: the bottom alone, the lowest two, and so on.
pub fn chain_ids(layers: &[DiffId]) -> impl Iterator<Item = ChainId> + '_ {
    layers.iter().scan(None, |below: &mut Option<ChainId>, layer| {
        let chain = below.map_or_else(|| ChainId::bottom(*layer), |chain| chain.with(*layer));
        *below = Some(chain);
        Some(chain)
    })
}

/// Every stack that a host holds which has images of these layers (`RootFS.Layers` of each).
pub fn held_chains<'a>(images: impl IntoIterator<Item = &'a [DiffId]>) -> BTreeSet<ChainId> {
    images.into_iter().flat_map(chain_ids).collect()
}

/// How many leading layers of an image the host holds: the longest prefix whose chain ID is held.
pub fn held_prefix(layers: &[DiffId], held: &BTreeSet<ChainId>) -> usize {
    let is_held = |(index, chain)| held.contains(&chain).then_some(index + 1);
    chain_ids(layers).enumerate().filter_map(is_held).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Digest;
    use super::*;

    fn layers(names: &str) -> Vec<DiffId> {
        names.bytes().map(|name| Digest::of(&[name]).into()).collect()
    }

    #[test]
    fn held_layers_count_only_from_the_bottom_up() {
        for (wanted, images, expected) in [
            ("abc", vec![], 0),
            ("abc", vec!["abc"], 3),
            ("abc", vec!["abd"], 2),
            ("abc", vec!["abcd"], 3),
            ("abc", vec!["bc", "c"], 0),
            ("abc", vec!["x", "a", "ab"], 2),
            ("aab", vec!["aa"], 2),
            ("", vec!["a"], 0),
        ] {
            let images: Vec<_> = images.into_iter().map(layers).collect();
            let held = held_chains(images.iter().map(Vec::as_slice));
            assert_eq!(held_prefix(&layers(wanted), &held), expected, "{wanted} on {images:?}");
        }
    }

    #[test]
    fn the_top_chain_alone_suffices() {
        let wanted = layers("abc");
        let top = chain_ids(&wanted).last().unwrap();
        assert_eq!(held_prefix(&wanted, &BTreeSet::from([top])), 3);
    }

    proptest! {
        #[test]
        fn held_prefix_is_the_longest_common_prefix(wanted in "[a-c]{0,6}", images in prop::collection::vec("[a-c]{0,6}", 0..5)) {
            let common = |image: &String| wanted.bytes().zip(image.bytes()).take_while(|(a, b)| a == b).count();
            let expected = images.iter().map(common).max().unwrap_or(0);
            let stacks: Vec<_> = images.iter().map(|image| layers(image)).collect();
            let held = held_chains(stacks.iter().map(Vec::as_slice));
            prop_assert_eq!(held_prefix(&layers(&wanted), &held), expected);
        }
    }
}
