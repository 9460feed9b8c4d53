//! The name of a release, which is its time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcDateTime};

/// A text that is no release id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a release, which looks like 20261122-175437")]
pub struct IdError(String);

/// A release id: a time in UTC to the second, written `YYYYMMDD-HHMMSS`. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(UtcDateTime);

impl ReleaseId {
    /// The id of this moment.
    pub fn at(now: SystemTime) -> Self {
        let now = OffsetDateTime::from(now).to_utc();
        Self(now.replace_nanosecond(0).unwrap_or(now))
    }

    /// The id of this moment, or of the first second after the `newest` release: ids only grow, whatever clocks do.
    pub fn after(newest: Option<Self>, now: SystemTime) -> Self {
        let now = Self::at(now);
        newest.map_or(now, |newest| now.max(Self(newest.0 + Duration::from_secs(1))))
    }

    /// The same time as RFC 3339 writes it: `2026-11-22T17:54:37Z`.
    pub fn rfc3339(self) -> String {
        let (year, month, day) = self.0.to_calendar_date();
        let (hour, minute, second) = self.0.as_hms();
        format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
    }
}

/// The time so long after one that RFC 3339 writes as `2026-11-22T17:54:37Z`; `None` where the text is none.
pub fn rfc3339_after(text: &str, by: Duration) -> Option<String> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let id: ReleaseId = format!("{}-{}", date.replace('-', ""), time.replace(':', "")).parse().ok()?;
    Some(ReleaseId(id.0.checked_add(by.try_into().ok()?)?).rfc3339())
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.rfc3339().chars().filter(char::is_ascii_digit).collect();
        let (date, time) = digits.split_at(digits.len() - 6);
        write!(f, "{date}-{time}")
    }
}

impl FromStr for ReleaseId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        read(text).map(Self).ok_or_else(|| IdError(text.to_owned()))
    }
}

fn read(text: &str) -> Option<UtcDateTime> {
    let (date, time) = text.split_once('-')?;
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(date, 8) || !digits(time, 6) {
        return None;
    }
    let part = |text: &str, from: usize| text[from..from + 2].parse::<u8>().ok();
    let month = Month::try_from(part(date, 4)?).ok()?;
    let date = Date::from_calendar_date(date[..4].parse().ok()?, month, part(date, 6)?).ok()?;
    let time = Time::from_hms(part(time, 0)?, part(time, 2)?, part(time, 4)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).as_utc())
}

impl TryFrom<String> for ReleaseId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 999)
    }

    #[test]
    fn an_id_is_the_time_to_the_second_in_utc() {
        for (seconds, id, rfc3339) in [
            (0, "19700101-000000", "1970-01-01T00:00:00Z"),
            (951_782_399, "20000228-235959", "2000-02-28T23:59:59Z"),
            (951_782_400, "20000229-000000", "2000-02-29T00:00:00Z"),
            (1_795_370_077, "20261122-175437", "2026-11-22T17:54:37Z"),
        ] {
            let made = ReleaseId::at(moment(seconds));
            assert_eq!((made.to_string(), made.rfc3339()), (id.to_owned(), rfc3339.to_owned()));
            assert_eq!(id.parse(), Ok(made));
        }
    }

    #[test]
    fn ids_grow_also_where_the_clock_stands_or_goes_back() {
        let first = ReleaseId::at(moment(951_782_399));
        for now in [951_782_399, 951_782_390] {
            assert_eq!(ReleaseId::after(Some(first), moment(now)).to_string(), "20000229-000000");
        }
        assert_eq!(ReleaseId::after(Some(first), moment(951_782_500)), ReleaseId::at(moment(951_782_500)));
    }

    #[test]
    fn a_time_is_told_later() {
        let day = Duration::from_secs(86_400);
        assert_eq!(rfc3339_after("2000-02-28T23:59:59Z", day).unwrap(), "2000-02-29T23:59:59Z");
        for (text, by) in [("now", day), ("2000-02-28", day), ("2000-02-28T23:59:59Z", Duration::MAX)] {
            assert_eq!(rfc3339_after(text, by), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_no_id() {
        for text in [
            "",
            "20261122",
            "20261322-000000",
            "20260230-000000",
            "20261122-240000",
            "20261122-1754370",
            "2026112٢-175437",
            "../../x",
        ] {
            assert!(text.parse::<ReleaseId>().is_err(), "{text}");
        }
    }
}
