//! Whether a receiver on the host pays.
//!
//! Contract: pure. A receiver costs a container and a second writing of what is sent; it is worth that where one channel
//! cannot fill the line, where there is something to go on from, and where a host can make a layer out of one it has.

use std::time::Duration;

use crate::image::{ArchivedImage, ArchivedLayer, Reference};
use crate::state::ObservedImage;

use super::wire_id;

/// From here on a line is far: the server's window caps one channel.
const FAR: Duration = Duration::from_millis(5);
/// Below this a stream is done before a receiver has begun, bytes.
const LARGE: u64 = 16 << 20;
/// Layers below this are sent as they are, bytes.
const WORTH_A_DELTA: u64 = 4 << 20;
/// The engine has to read the whole old image for a delta: a layer must be this part of its image at least.
const PART_OF_IMAGE: u64 = 16;

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Situation {
    /// Uncompressed bytes of the layers to send.
    pub(super) bytes: u64,
    /// How long a question to the engine takes.
    pub(super) round_trip: Duration,
    /// The host has a spool, so that something may be left of an earlier run.
    pub(super) spool: bool,
    /// Some layer may be made out of another one.
    pub(super) delta: bool,
}

impl Situation {
    /// A receiver pays.
    pub(super) fn wants_receiver(self) -> bool {
        self.spool || self.delta || (self.bytes >= LARGE && self.is_far())
    }

    /// Connections, and sessions on each. Many hosts share what memory and processor bear.
    pub(super) fn lanes(self, hosts: usize) -> (usize, usize) {
        match (self.is_far(), hosts) {
            (false, _) => (1, 2),
            (true, ..=1) => (4, 1),
            (true, 2..=4) => (2, 1),
            (true, _) => (1, 1),
        }
    }

    fn is_far(self) -> bool {
        self.round_trip >= FAR
    }
}

/// A layer to send, and one of the host that it may resemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What is sent.
    pub(super) layer: ArchivedLayer,
    /// The engine's id of the image that has the other one.
    pub(super) image: String,
    /// The other one.
    pub(super) base: toolbox_wire::DiffId,
}

/// Layers of this image above the lowest `held` ones that may be made out of the layer at the same place of an image that
/// the host holds under the same name, whatever its tag.
pub(super) fn candidates(
    reference: &Reference,
    image: &ArchivedImage,
    held: usize,
    images: &[ObservedImage],
) -> Vec<Candidate> {
    let size: u64 = image.layers.iter().map(|layer| layer.size).sum();
    let mut older: Vec<&ObservedImage> = images.iter().filter(|one| is_named(one, reference)).collect();
    older.sort_by_key(|one| !one.references.contains(&reference.full()));
    let new = image.layers.iter().enumerate().skip(held);
    let large = new.filter(|(_, layer)| layer.size >= WORTH_A_DELTA && layer.size * PART_OF_IMAGE >= size);
    let with_base = large.filter_map(|(place, layer)| {
        let other = |one: &&&ObservedImage| one.facts.layers.get(place).is_some_and(|base| *base != layer.diff_id);
        let old = older.iter().find(other)?;
        let base = wire_id(old.facts.layers[place]);
        Some(Candidate { layer: *layer, image: old.facts.id.clone(), base })
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
    use crate::image::{ConfigDigest, DiffId, Digest, Location, Platform};
    use crate::state::ImageFacts;

    const MIB: u64 = 1 << 20;

    fn situation(mebibytes: u64, milliseconds: u64) -> Situation {
        let round_trip = Duration::from_millis(milliseconds);
        Situation { bytes: mebibytes * MIB, round_trip, spool: false, delta: false }
    }

    #[test]
    fn a_receiver_is_for_much_over_a_long_line_and_for_what_can_be_gone_on_from() {
        for (situation, expected) in [
            (situation(100, 0), false),
            (situation(100, 50), true),
            (situation(3, 50), false),
            (Situation { spool: true, ..situation(3, 0) }, true),
            (Situation { delta: true, ..situation(5, 0) }, true),
        ] {
            assert_eq!(situation.wants_receiver(), expected, "{situation:?}");
        }
    }

    fn id(name: &str) -> DiffId {
        Digest::of(name.as_bytes()).into()
    }

    fn image(layers: &[(&str, u64)]) -> ArchivedImage {
        let layer = |(name, size): &(&str, u64)| ArchivedLayer {
            diff_id: id(name),
            size: *size * MIB,
            location: Location::Archive { offset: 0 },
        };
        let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
        let config = ConfigDigest::from(Digest::of(b""));
        ArchivedImage {
            tags: vec![],
            config,
            config_json: vec![],
            platform,
            layers: layers.iter().map(layer).collect(),
        }
    }

    fn held(name: &str, layers: &[&str]) -> ObservedImage {
        let layers = layers.iter().map(|layer| id(layer)).collect();
        let references = [name.parse::<Reference>().unwrap().full()].into();
        ObservedImage { facts: ImageFacts::new(name.into(), layers, None, &()), references }
    }

    #[test]
    fn a_base_is_the_layer_at_the_same_place_under_the_same_name() {
        let wanted = "shop:2".parse().unwrap();
        let image = image(&[("base", 50), ("small", 1), ("app", 20)]);
        let found = |images: &[ObservedImage]| -> Vec<String> {
            candidates(&wanted, &image, 1, images).into_iter().map(|found| found.image).collect()
        };
        assert_eq!(found(&[held("shop:1", &["base", "x", "y"])]), ["shop:1"]);
        assert_eq!(found(&[held("shop:1", &["base", "x", "y"]), held("shop:2", &["base", "x", "z"])]), ["shop:2"]);
        assert!(found(&[held("cart:1", &["base", "x", "y"])]).is_empty(), "another name");
        assert!(found(&[held("shop:1", &["base", "x"])]).is_empty(), "no such layer");
        assert!(found(&[held("shop:1", &["base", "x", "app"])]).is_empty(), "the same layer");
    }
}
