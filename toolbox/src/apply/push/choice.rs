//! Whether a receiver on the host pays.
//!
//! Contract: pure. A receiver costs a container and a second writing of what is sent; it is worth that where one channel
//! cannot fill the line, where so much time passes that a cut would be a pity, where the engine reads nothing better than
//! gzip and there is much, where hosts pass it on to each other, where there is something to go on from, and where a host
//! can make a layer out of one that it has in less time than the layer takes.

use std::time::Duration;

use crate::image::{ArchivedImage, ArchivedLayer, DiffId, Reference};
use crate::plan::{Older, older};
use crate::state::ObservedImage;

use super::shipment::part_of;

/// From here on a line is far: the server's window caps one channel.
const FAR: Duration = Duration::from_millis(5);
/// What a far line takes mostly, bytes per second.
const USUAL: f64 = 12_500_000.0;
/// Below this a stream is done before a receiver has begun, bytes.
pub(super) const LARGE: u64 = 16 << 20;
/// From here on it is worth a question how fast a near line is, bytes.
const WORTH_ASKING: u64 = 64 << 20;
/// From here on gzip takes longer than a receiver that reads zstd takes to begin, bytes.
const MUCH_GZIP: u64 = 64 << 20;
/// A stream of so many seconds is one that should not begin anew.
const LONG: u64 = 20;
/// What a line carries of a byte of a layer.
const COMPRESSED: f64 = 0.4;
/// What a line of which nothing is known is taken for when that decides whether to compare, bytes per second: one loss in
/// a hundred packets brings a connection of 100 Mbit/s below it.
const SLOW: f64 = 1e6;
/// Bytes per second in which an engine reads an image that it has, and in which of an older layer a new one is made.
const READS: f64 = 150e6;
const MAKES: f64 = 35e6;
/// How long a receiver takes to begin and to end, seconds.
const RECEIVER: f64 = 0.5;

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
    /// Of these, those that may be made out of others.
    pub(super) changed: u64,
    /// Uncompressed bytes of the images that these others are in, as far as it can be told.
    pub(super) older: u64,
    /// Another host passes it on to this one, or this one to others.
    pub(super) seeding: bool,
}

impl Situation {
    /// A receiver pays.
    pub(super) fn wants_receiver(self) -> bool {
        self.spool
            || self.wants_deltas()
            || (self.bytes >= LARGE && (self.seeding || self.is_far() || self.is_slow()))
            || (self.bytes >= MUCH_GZIP && self.gzip)
    }

    /// What a line carries less saves more time than both sides take to read and to compare what they have.
    pub(super) fn wants_deltas(self) -> bool {
        self.rate.map_or(SLOW, |rate| rate as f64) < self.even()
    }

    /// Bytes per second of a line that takes as long as both sides do.
    fn even(self) -> f64 {
        let takes = RECEIVER + self.older as f64 / READS + self.changed as f64 / MAKES;
        self.changed as f64 * COMPRESSED / takes
    }

    /// The rate of a near line from which on nothing is decided otherwise, bytes per second.
    pub(super) fn enough(self) -> u64 {
        (self.even() as u64).max(self.bytes / LONG) + 1
    }

    /// How fast the line is would decide.
    pub(super) fn wants_rate(self) -> bool {
        let of_deltas = self.changed > 0 && !self.is_far();
        self.rate.is_none() && (of_deltas || (!self.wants_receiver() && self.bytes >= WORTH_ASKING))
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

    /// Uncompressed bytes of a part.
    pub(super) fn part(self) -> u64 {
        part_of(self.bytes, self.is_far())
    }

    /// Bytes per second, until they are measured: little fits between here and there, so that all of it may be compressed
    /// before anything has arrived. Of a near line that is not slow it is known only that it takes no less.
    pub(super) fn expected_rate(self) -> Option<f64> {
        let rate = self.rate.filter(|_| self.is_far() || self.is_slow());
        rate.map(|rate| rate as f64).or_else(|| self.is_far().then_some(USUAL))
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
            changed: 0,
            older: 0,
            seeding: false,
        }
    }

    /// Where so many mebibytes of an image have changed, of which all are to go.
    fn changed(mebibytes: u64, of: u64, milliseconds: u64) -> Situation {
        Situation { changed: mebibytes * MIB, older: of * MIB, ..situation(mebibytes, milliseconds) }
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
        let near = |rate| Situation { rate: Some(rate), ..situation(20, 1) }.expected_rate();
        assert_eq!((near(1000), near(20 * MIB)), (Some(1000.0), None));
    }

    #[test]
    fn a_rate_that_is_enough_decides_as_a_higher_one() {
        for unknown in [changed(5, 5, 1), changed(30, 300, 1), changed(300, 300, 1), situation(300, 1)] {
            let at = |rate| Situation { rate: Some(rate), ..unknown };
            let decides = |situation: Situation| (situation.wants_receiver(), situation.wants_deltas());
            let (enough, fast) = (unknown.enough(), decides(at(u64::MAX)));
            assert_eq!(decides(at(enough)), fast, "{unknown:?}");
            assert_ne!(decides(at(enough * 9 / 10)), fast, "{unknown:?}");
        }
    }

    #[test]
    fn a_line_is_measured_only_where_that_decides() {
        for (situation, expected) in [
            (situation(300, 1), true),
            (situation(20, 1), false),
            (situation(300, 50), false),
            (Situation { spool: true, ..situation(300, 1) }, false),
            (Situation { rate: Some(1), ..situation(300, 1) }, false),
            (changed(5, 5, 1), true),
            (changed(1, 100, 1), true),
            (changed(5, 5, 50), false),
            (Situation { spool: true, ..changed(5, 5, 1) }, true),
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
            (Situation { gzip: true, ..situation(100, 0) }, true),
            (Situation { gzip: true, ..situation(20, 0) }, false),
            (Situation { seeding: true, ..situation(20, 0) }, true),
            (Situation { seeding: true, ..situation(3, 0) }, false),
            (Situation { spool: true, ..situation(3, 0) }, true),
            (changed(5, 5, 0), true),
        ] {
            assert_eq!(situation.wants_receiver(), expected, "{situation:?}");
        }
    }

    #[test]
    fn a_layer_is_made_out_of_another_where_that_takes_less_time_than_sending_it() {
        let at = |megabytes: f64, situation| Situation { rate: Some((megabytes * 1e6) as u64), ..situation };
        for (situation, expected) in [
            (changed(30, 300, 50), true),
            (changed(2, 20, 50), true),
            (changed(2, 100, 50), false),
            (changed(30, 300, 1), true),
            (at(1.0, changed(30, 300, 1)), true),
            (at(12.5, changed(30, 300, 1)), false),
            (at(1.0, changed(5, 100, 1)), true),
            (at(2.0, changed(5, 100, 1)), false),
            (at(6.0, changed(300, 300, 1)), true),
            (at(100.0, changed(300, 300, 1)), false),
            (at(0.0, changed(30, 300, 1)), true),
            (situation(300, 50), false),
        ] {
            assert_eq!(situation.wants_deltas(), expected, "{situation:?}");
        }
    }
}
