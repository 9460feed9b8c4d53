//! The time by which identities expire.
//!
//! Contract: it goes on while the machine is suspended, as `CLOCK_BOOTTIME` does and OpenSSH's agent has it. A moment is
//! an [`Instant`], ahead of [`Instant::now`] by the time that the machine has been suspended since it was started: the
//! two are not to be compared.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// This moment.
pub(crate) fn now() -> Instant {
    let suspended = suspended();
    let now = Instant::now();
    now.checked_add(suspended).unwrap_or(now)
}

/// How long the machine has been suspended. The clocks are read one after the other; that costs less than it shows.
fn suspended() -> Duration {
    let (awake, booted) = (clock_gettime(ClockId::Monotonic), clock_gettime(ClockId::Boottime));
    let suspended = duration(booted).saturating_sub(duration(awake));
    #[cfg(test)]
    let suspended = suspended + tests::SUSPENDED.get();
    suspended
}

fn duration(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// A suspension for this thread only.
        pub(super) static SUSPENDED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// As if the machine had slept.
    pub(crate) fn suspend(time: Duration) {
        SUSPENDED.set(SUSPENDED.get() + time);
    }

    #[test]
    fn time_goes_on_while_the_machine_is_suspended() {
        let (before, night) = (now(), Duration::from_secs(8 * 3600));
        suspend(night);
        assert!((night..night + Duration::from_secs(60)).contains(&now().duration_since(before)));
    }
}
