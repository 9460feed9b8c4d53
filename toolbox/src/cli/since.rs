//! Points of time as `docker logs --since` takes them.

use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use crate::compose::duration;

/// Seconds of the Unix epoch with an optional fraction, as the Engine API takes them, from a time before now (`10m`,
/// `1h30m`), an RFC 3339 time or date (without an offset: UTC), or such seconds.
///
/// # Errors
/// A text that says what is understood.
pub(super) fn since(text: &str) -> Result<String, String> {
    if text.parse::<f64>().is_ok_and(|seconds| seconds >= 0.0 && seconds.is_finite()) {
        return Ok(text.to_owned());
    }
    let time = before_now(text).or_else(|| absolute(text));
    time.map(seconds).ok_or_else(|| "give a duration (10m, 1h30m), an RFC 3339 time, or Unix seconds".to_owned())
}

fn before_now(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::now_utc().checked_sub(duration(text).ok()?.try_into().ok()?)
}

fn absolute(text: &str) -> Option<OffsetDateTime> {
    let with_offset = OffsetDateTime::parse(text, &Rfc3339).ok();
    let without_offset = || PrimitiveDateTime::parse(text, &Iso8601::DATE_TIME).ok().map(PrimitiveDateTime::assume_utc);
    let date = || Date::parse(text, &Iso8601::DATE).ok().map(|date| date.midnight().assume_utc());
    with_offset.or_else(without_offset).or_else(date)
}

fn seconds(time: OffsetDateTime) -> String {
    format!("{}.{:09}", time.unix_timestamp(), time.nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_as_docker_does() {
        let exact = [
            ("1700000000", "1700000000"),
            ("1700000000.5", "1700000000.5"),
            ("2023-11-14T22:13:20Z", "1700000000.000000000"),
            ("2023-11-14T23:13:20.25+01:00", "1700000000.250000000"),
            ("2023-11-14T22:13:20", "1700000000.000000000"),
            ("2023-11-14", "1699920000.000000000"),
        ];
        for (text, expected) in exact {
            assert_eq!(since(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "10 apples", "-5m", "NaN", "-1", "inf"] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn duration_counts_back_from_now() {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        for (text, back) in [("10m", 600), ("1h30m", 5400), ("2s", 2)] {
            let seconds: f64 = since(text).unwrap().parse().unwrap();
            let difference = now as f64 - seconds - f64::from(back);
            assert!((-60.0..=60.0).contains(&difference), "{text}: {seconds}");
        }
    }
}
