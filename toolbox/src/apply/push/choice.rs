//! Whether a receiver on the host pays.
//!
//! Contract: pure. A receiver costs a container and a second writing of what is sent; it is worth that where one channel
//! cannot fill the line, where so much time passes that a cut would be a pity, where the engine reads nothing better than
//! gzip, where hosts pass it on to each other, where there is something to go on from, and where a host can make a layer out of one it has.

use std::time::Duration;

use crate::image::{ArchivedImage, ArchivedLayer, DiffId, Reference};
use crate::plan::{Older, older};
use crate::state::ObservedImage;

/// From here on a line is far: the server's window caps one channel.
const FAR: Duration = Duration::from_millis(5);
/// What a far line takes mostly, bytes per second.
const USUAL: f64 = 12_500_000.0;
/// Below this a stream is done before a receiver has begun, bytes.
pub(super) const LARGE: u64 = 16 << 20;
/// From here on it is worth a question how fast a near line is, bytes.
const WORTH_ASKING: u64 = 64 << 20;
/// A stream of so many seconds is one that should not begin anew.
const LONG: u64 = 20;

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Situation {
    /// Uncompressed bytes of the layers to send.
    pub(super) bytes: u64,
    /// How long a question to the engine takes.
    pub(super) round_trip: Duration,
    /// Bytes per second that the line takes, where that was asked.
    pub(super) rate: Option<u64>,
    /// The engine reads no zstd: at equal size gzip takes ten times the processors.
    pub(super) gzip: bool,
    /// The host has a spool, so that something may be left of an earlier run.
    pub(super) spool: bool,
    /// Some layer may be made out of another one.
    pub(super) delta: bool,
    /// Another host passes it on to this one, or this one to others.
    pub(super) seeding: bool,
}

impl Situation {
    /// A receiver pays.
    pub(super) fn wants_receiver(self) -> bool {
        self.spool
            || self.delta
            || (self.bytes >= LARGE && (self.gzip || self.seeding || self.is_far() || self.is_slow()))
    }

    /// How fast the line is would decide.
    pub(super) fn wants_rate(self) -> bool {
        !self.wants_receiver() && self.rate.is_none() && self.bytes >= WORTH_ASKING
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

    /// Bytes per second, until they are measured: little fits between here and there, so that all of it may be compressed
    /// before anything has arrived.
    pub(super) fn expected_rate(self) -> Option<f64> {
        self.rate.map(|rate| rate as f64).or_else(|| self.is_far().then_some(USUAL))
    }

    fn is_far(self) -> bool {
        self.round_trip >= FAR
    }

    /// Compression may halve the time, which what the engine does meanwhile may double.
    fn is_slow(self) -> bool {
        self.rate.is_some_and(|rate| self.bytes / rate.max(1) >= LONG)
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
    pub(super) base: DiffId,
}

/// Layers of this image above the lowest `held` ones that may be made out of older ones.
pub(super) fn candidates(
    reference: &Reference,
    image: &ArchivedImage,
    held: usize,
    images: &[ObservedImage],
) -> Vec<Candidate> {
    let layers: Vec<(DiffId, u64)> = image.layers.iter().map(|layer| (layer.diff_id, layer.size)).collect();
    let found = older(reference, &layers, held, images).into_iter();
    found.map(|Older { place, image: id, base }| Candidate { layer: image.layers[place], image: id, base }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn situation(mebibytes: u64, milliseconds: u64) -> Situation {
        let round_trip = Duration::from_millis(milliseconds);
        Situation {
            bytes: mebibytes * MIB,
            round_trip,
            rate: None,
            gzip: false,
            spool: false,
            delta: false,
            seeding: false,
        }
    }

    #[test]
    fn a_receiver_is_for_what_takes_long_over_a_near_line_too() {
        let at = |mebibytes, rate: u64| Situation { rate: Some(rate * MIB), ..situation(mebibytes, 1) };
        for (situation, expected) in [
            (at(1000, 1000), false),
            (at(1000, 100), false),
            (at(1000, 12), true),
            (at(300, 12), true),
            (at(100, 12), false),
            (at(100, 1), true),
            (at(3, 0), false),
        ] {
            assert_eq!(situation.wants_receiver(), expected, "{situation:?}");
        }
    }

    #[test]
    fn a_far_line_is_taken_for_a_usual_one_until_it_is_measured() {
        assert_eq!(situation(20, 50).expected_rate(), Some(USUAL));
        assert_eq!(situation(20, 1).expected_rate(), None);
        assert_eq!(Situation { rate: Some(1000), ..situation(20, 50) }.expected_rate(), Some(1000.0));
    }

    #[test]
    fn a_line_is_measured_only_where_that_decides() {
        for (situation, expected) in [
            (situation(300, 1), true),
            (situation(20, 1), false),
            (situation(300, 50), false),
            (Situation { spool: true, ..situation(300, 1) }, false),
            (Situation { rate: Some(1), ..situation(300, 1) }, false),
        ] {
            assert_eq!(situation.wants_rate(), expected, "{situation:?}");
        }
    }

    #[test]
    fn a_receiver_is_for_much_over_a_long_line_and_for_what_can_be_gone_on_from() {
        for (situation, expected) in [
            (situation(100, 0), false),
            (situation(100, 50), true),
            (situation(3, 50), false),
            (Situation { gzip: true, ..situation(20, 0) }, true),
            (Situation { gzip: true, ..situation(3, 0) }, false),
            (Situation { seeding: true, ..situation(20, 0) }, true),
            (Situation { seeding: true, ..situation(3, 0) }, false),
            (Situation { spool: true, ..situation(3, 0) }, true),
            (Situation { delta: true, ..situation(5, 0) }, true),
        ] {
            assert_eq!(situation.wants_receiver(), expected, "{situation:?}");
        }
    }
}
