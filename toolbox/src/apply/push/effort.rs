//! How hard parts are compressed, by what the line takes and what the processors give.
//!
//! Contract: a part takes as long as the slower of two: the processors that compress it, or the line that carries it. The
//! harder it is compressed, the longer the one takes and the shorter the other; the level is the one with which the slower
//! of both takes least. Nothing is measured here but by the clock of [`Gauge`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shipment::Form;

/// The line is believed when so much time was measured.
const ENOUGH: Duration = Duration::from_millis(250);
/// Or when it has taken so many bytes in less.
const PLENTY: u64 = 16 << 20;
/// What was measured longer ago counts half.
const MEMORY: Duration = Duration::from_secs(2);
/// Processors shall be ahead of the line by so much, since only a line that never waits can be measured.
const AHEAD: f64 = 1.25;
/// How much the last part changes what is known of all.
const LAST: f64 = 0.25;

/// A level, and what it makes of a usual part.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rung {
    level: i32,
    /// Uncompressed bytes per second and processor.
    speed: f64,
    /// Compressed bytes for each uncompressed one.
    size: f64,
}

const fn rung(level: i32, megabytes: f64, size: f64) -> Rung {
    Rung { level, speed: megabytes * 1e6, size }
}

/// As measured on parts of a Debian system, one processor; how they stand to each other is what counts. None makes more
/// of an image than `zstd -3` or `ssh -C` would.
const ZSTD: [Rung; 6] = [
    rung(4, 205.0, 0.266),
    rung(5, 105.0, 0.261),
    rung(6, 52.0, 0.250),
    rung(9, 42.0, 0.246),
    rung(16, 3.8, 0.234),
    rung(19, 2.0, 0.227),
];
const GZIP: [Rung; 3] = [rung(6, 59.0, 0.280), rung(10, 6.0, 0.269), rung(12, 3.0, 0.268)];

impl Form {
    fn ladder(self) -> &'static [Rung] {
        match self {
            Self::Gzip => &GZIP,
            Self::Zstd => &ZSTD,
        }
    }

    /// For a line that nothing is known of.
    pub(super) fn usual(self) -> i32 {
        match self {
            Self::Gzip => 6,
            Self::Zstd => 4,
        }
    }

    /// For so little that its time is of no weight.
    pub(super) fn hard(self) -> i32 {
        match self {
            Self::Gzip => 12,
            Self::Zstd => 9,
        }
    }
}

/// What this machine's processors make of these images, beside what is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Skill {
    speed: f64,
    size: f64,
}

impl Default for Skill {
    fn default() -> Self {
        Self { speed: 1.0, size: 1.0 }
    }
}

impl Skill {
    /// At this level so many bytes became so many in this time, which is longer where processors are busy elsewhere.
    pub(super) fn learn(&mut self, form: Form, level: i32, raw: usize, packed: usize, time: Duration) {
        let Some(usual) = form.ladder().iter().find(|rung| rung.level == level).filter(|_| raw > 0) else { return };
        let seconds = time.as_secs_f64().max(1e-6);
        self.speed += LAST * (raw as f64 / seconds / usual.speed - self.speed);
        self.size += LAST * (packed as f64 / raw as f64 / usual.size - self.size);
    }

    /// The level for a line of so many bytes per second, with so many processors.
    pub(super) fn level(self, form: Form, processors: usize, line: Option<f64>) -> i32 {
        let Some(line) = line else { return form.usual() };
        let takes = |rung: &Rung| {
            let compressing = AHEAD / (rung.speed * self.speed * processors as f64);
            let sending = rung.size * self.size / line;
            compressing.max(sending)
        };
        let best = form.ladder().iter().min_by(|one, other| takes(one).total_cmp(&takes(other)));
        best.map_or(form.usual(), |rung| rung.level)
    }
}

/// How fast one host's line takes what it is given, whatever that line is made of.
///
/// Its clock stands while anybody waits for a part: then the processors are slow, and the line is not.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    clock: Mutex<Clock>,
    /// Bytes per second, until there is something better.
    expected: Option<f64>,
}

#[derive(Debug, Default)]
struct Clock {
    /// Those who wait for a part.
    waiting: usize,
    /// Since when it runs.
    since: Option<Instant>,
    time: Duration,
    bytes: u64,
}

impl Clock {
    fn stop(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.time += now - since;
        }
    }
}

/// Somebody waits for a part.
pub(super) struct Waiting<'a>(&'a Gauge);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waits_less(Instant::now());
    }
}

impl Gauge {
    /// Of a line that probably takes so many bytes per second.
    pub(super) fn expecting(expected: Option<f64>) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Until the value is dropped.
    pub(super) fn waiting(&self) -> Waiting<'_> {
        self.waits_more(Instant::now());
        Waiting(self)
    }

    /// The line has taken so many bytes.
    pub(super) fn took(&self, bytes: usize) {
        self.took_by(Instant::now(), bytes);
    }

    /// Bytes per second, where that can be told.
    pub(super) fn rate(&self) -> Option<f64> {
        let clock = self.clock();
        let known = clock.time >= ENOUGH || clock.bytes >= PLENTY;
        known.then(|| clock.bytes as f64 / clock.time.as_secs_f64().max(1e-3)).or(self.expected)
    }

    fn waits_more(&self, now: Instant) {
        let mut clock = self.clock();
        clock.waiting += 1;
        clock.stop(now);
    }

    fn waits_less(&self, now: Instant) {
        let mut clock = self.clock();
        clock.waiting -= 1;
        if clock.waiting == 0 {
            clock.since = Some(now);
        }
    }

    fn took_by(&self, now: Instant, bytes: usize) {
        let mut clock = self.clock();
        if clock.since.is_some() {
            clock.stop(now);
            clock.since = Some(now);
        }
        clock.bytes += bytes as u64;
        if clock.time >= MEMORY {
            clock.time /= 2;
            clock.bytes /= 2;
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: f64 = 1e6;

    #[test]
    fn slower_lines_get_higher_levels_and_slower_processors_lower_ones() {
        let skill = Skill::default();
        for form in [Form::Gzip, Form::Zstd] {
            let levels = |processors, scale: f64| -> Vec<i32> {
                let lines = [0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0];
                lines.map(|line| skill.level(form, processors, Some(line * scale * MEGABYTE))).to_vec()
            };
            for processors in [1, 2, 4] {
                assert!(levels(processors, 1.0).is_sorted_by(|a, b| a >= b), "{form:?}: {:?}", levels(processors, 1.0));
            }
            assert_eq!(levels(1, 1.0).first(), form.ladder().last().map(|rung| &rung.level));
            assert_eq!(levels(1, 1.0).last(), form.ladder().first().map(|rung| &rung.level));
            // Four processors bear what one bears on a line of a quarter.
            assert_eq!(levels(4, 4.0), levels(1, 1.0));
            assert!(levels(4, 1.0) > levels(1, 1.0));
            assert_eq!(skill.level(form, 2, None), form.usual());
        }
    }

    #[test]
    fn the_usual_and_the_hard_level_are_ones_that_are_known() {
        for form in [Form::Gzip, Form::Zstd] {
            let known = |level| form.ladder().iter().any(|rung| rung.level == level);
            assert!(known(form.usual()) && known(form.hard()));
        }
    }

    #[test]
    fn busy_processors_take_lower_levels() {
        let (mut busy, line) = (Skill::default(), Some(8.0 * MEGABYTE));
        let before = busy.level(Form::Zstd, 2, line);
        for _ in 0..20 {
            busy.learn(Form::Zstd, 5, 2_000_000, 522_000, Duration::from_millis(190));
        }
        assert!((busy.speed - 0.1).abs() < 0.02 && (busy.size - 1.0).abs() < 0.01, "{busy:?}");
        assert!(busy.level(Form::Zstd, 2, line) < before);
    }

    #[test]
    fn the_clock_stands_while_somebody_waits_for_a_part() {
        let (gauge, start) = (Gauge::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let rate = |gauge: &Gauge| gauge.rate().map(|rate| (rate / 1000.0).round());
        gauge.waits_more(at(0));
        gauge.waits_less(at(1000));
        gauge.took_by(at(1100), 100_000);
        assert_eq!(rate(&gauge), None);
        gauge.took_by(at(1400), 300_000);
        assert_eq!(rate(&gauge), Some(1000.0));
        // Two lanes wait, of which one gets a part and sends it meanwhile.
        gauge.waits_more(at(1400));
        gauge.waits_more(at(1400));
        gauge.waits_less(at(1500));
        gauge.took_by(at(1900), 100_000);
        gauge.waits_less(at(2000));
        gauge.took_by(at(2100), 0);
        assert_eq!(rate(&gauge), Some(1000.0));
    }

    #[test]
    fn what_is_expected_of_a_line_holds_until_it_is_measured() {
        let (gauge, start) = (Gauge::expecting(Some(9.0)), Instant::now());
        drop(gauge.waiting());
        assert_eq!(gauge.rate(), Some(9.0));
        gauge.took_by(start + Duration::from_secs(1), 1_000_000);
        assert!(gauge.rate().is_some_and(|rate| rate > 900_000.0), "{:?}", gauge.rate());
    }

    #[test]
    fn a_line_that_has_become_slow_is_noticed() {
        let (gauge, start) = (Gauge::default(), Instant::now());
        drop(gauge.waiting());
        let mut now = start;
        for (count, bytes) in [(100, 1_000_000), (100, 10_000)] {
            for _ in 0..count {
                now += Duration::from_millis(100);
                gauge.took_by(now, bytes);
            }
        }
        assert!(gauge.rate().is_some_and(|rate| rate < 150_000.0), "{:?}", gauge.rate());
    }

    #[test]
    fn a_line_that_never_makes_anybody_wait_is_fast() {
        let (gauge, start) = (Gauge::default(), Instant::now());
        gauge.waits_more(start);
        (0..20).for_each(|_| gauge.took_by(start, 1 << 20));
        assert!(gauge.rate().is_some_and(|rate| rate > 1e9), "{:?}", gauge.rate());
    }
}
