//! Layers that a host may make out of older ones that it holds.
//!
//! Contract: pure. An older version is looked for under the image's own name only, whatever its tag, and at the same
//! place; what is small is sent as it is.

use crate::image::{DiffId, Reference};
use crate::state::ObservedImage;

/// Layers below this are sent as they are, bytes.
const WORTH_A_DELTA: u64 = 1 << 20;
/// The engine has to read the whole old image for a delta: a layer must be this part of its image at least.
const PART_OF_IMAGE: u64 = 16;

/// A layer to send, and one of the host that it may resemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// The place of both in their images, from 0 at the bottom.
    pub place: usize,
    /// The engine's id of the image that has the older one.
    pub image: String,
    /// The older one.
    pub base: DiffId,
}

/// Layers of an image, given from the bottom with their uncompressed sizes, above the lowest `held` ones, that resemble
/// the layer at the same place of an image that the host holds under the same name.
pub fn older(reference: &Reference, layers: &[(DiffId, u64)], held: usize, images: &[ObservedImage]) -> Vec<Older> {
    let size: u64 = layers.iter().map(|(_, size)| size).sum();
    let mut before: Vec<&ObservedImage> = images.iter().filter(|one| is_named(one, reference)).collect();
    before.sort_by_key(|one| !one.references.contains(&reference.full()));
    let new = layers.iter().enumerate().skip(held);
    let large = new.filter(|(_, (_, own))| *own >= WORTH_A_DELTA && own * PART_OF_IMAGE >= size);
    let with_base = large.filter_map(|(place, (layer, _))| {
        let other = |one: &&&ObservedImage| one.facts.layers.get(place).is_some_and(|base| base != layer);
        let old = before.iter().find(other)?;
        Some(Older { place, image: old.facts.id.clone(), base: old.facts.layers[place] })
    });
    with_base.collect()
}

fn is_named(image: &ObservedImage, reference: &Reference) -> bool {
    let same = |name: &String| {
        Reference::parse(name).is_ok_and(|n| (n.domain(), n.path()) == (reference.domain(), reference.path()))
    };
    image.references.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;
    use crate::state::ImageFacts;

    fn id(name: &str) -> DiffId {
        Digest::of(name.as_bytes()).into()
    }

    fn held(name: &str, layers: &[&str]) -> ObservedImage {
        let layers = layers.iter().map(|layer| id(layer)).collect();
        let references = [name.parse::<Reference>().unwrap().full()].into();
        ObservedImage { facts: ImageFacts::new(name.into(), layers, None, &()), references }
    }

    #[test]
    fn an_older_version_is_the_layer_at_the_same_place_under_the_same_name() {
        let wanted = "shop:2".parse().unwrap();
        let layers = [("base", 50), ("small", 1), ("app", 20)].map(|(name, size)| (id(name), size << 20));
        let found = |images: &[ObservedImage]| -> Vec<(usize, String)> {
            older(&wanted, &layers, 1, images).into_iter().map(|found| (found.place, found.image)).collect()
        };
        let one = held("shop:1", &["base", "x", "y"]);
        assert_eq!(found(std::slice::from_ref(&one)), [(2, "shop:1".to_owned())]);
        assert_eq!(found(&[one, held("shop:2", &["base", "x", "z"])]), [(2, "shop:2".to_owned())]);
        assert!(found(&[held("cart:1", &["base", "x", "y"])]).is_empty(), "another name");
        assert!(found(&[held("shop:1", &["base", "x"])]).is_empty(), "no such layer");
        assert!(found(&[held("shop:1", &["base", "x", "app"])]).is_empty(), "the same layer");
    }
}
