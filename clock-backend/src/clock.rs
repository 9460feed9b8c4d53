//! The unix time as text. Pure: the time is a parameter.

use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// Why a time has no unix time.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ClockError {
    /// The machine's clock was never set.
    #[error("the system clock stands before 1970-01-01")]
    BeforeEpoch,
}

/// `time` as unix seconds with a fraction of seven digits, such as `1622556914.9101567`.
///
/// Integers all the way: a float would drop the fraction whenever it happens to be zero.
///
/// # Errors
/// [`ClockError::BeforeEpoch`] for a time before 1970.
pub fn unix_text(time: SystemTime) -> Result<String, ClockError> {
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| ClockError::BeforeEpoch)?;
    Ok(format!("{}.{:07}", since.as_secs(), since.subsec_nanos() / 100))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn text(seconds: u64, nanos: u32) -> String {
        unix_text(UNIX_EPOCH + Duration::new(seconds, nanos)).expect("after 1970")
    }

    #[test]
    fn fraction_always_has_seven_digits() {
        assert_eq!(text(1_622_556_914, 910_156_700), "1622556914.9101567");
        assert_eq!(text(0, 0), "0.0000000");
        assert_eq!(text(1, 100), "1.0000001");
        assert_eq!(text(1, 999_999_999), "1.9999999");
    }

    #[test]
    fn time_before_1970_is_an_error() {
        let time = UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(unix_text(time), Err(ClockError::BeforeEpoch));
    }

    proptest! {
        #[test]
        fn text_reads_back_as_the_same_time(seconds in 0..4_000_000_000_u64, nanos in 0..1_000_000_000_u32) {
            let read: f64 = text(seconds, nanos).parse().expect("a number");
            let meant = Duration::new(seconds, nanos).as_secs_f64();
            // An f64 of this size resolves half a microsecond.
            prop_assert!((read - meant).abs() < 1e-6);
        }
    }
}
