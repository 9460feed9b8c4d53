//! Pushes that go on when the line breaks.
//!
//! Contract: only what was cut off is tried again, after pauses that become longer, until none of the attempts has lasted
//! for as long as was asked for. What has arrived is not sent again where the host keeps it.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::engine::Engine;
use crate::image::ReadAt;

use super::super::event::{Events, What};
use super::proof::check_all;
use super::{Push, Route, Unsent, push_once};

/// Pauses grow from the first to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(16);
/// An attempt that lasted so long had a line.
const HAD_A_LINE: Duration = Duration::from_secs(30);

/// Sends images of one archive, and checks what the engine made of them; where that is not what was sent, sends
/// everything of those once, if no layer was left out of the archive. When it is cut off, it is tried again.
///
/// # Errors
/// [`Unsent`].
pub async fn push<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    route: &impl Route,
    push: &Push<'_, R>,
    events: &Events,
) -> Result<(), Unsent> {
    let mut backoff = Backoff::new(push.reconnect);
    loop {
        let began = Instant::now();
        let Err(unsent) = push_once(engine, route, push, events).await else { return Ok(()) };
        if !unsent.error.is_cut() {
            return Err(unsent);
        }
        let Some(pause) = backoff.after(began.elapsed()) else { return Err(unsent) };
        events.send(What::Note(format!("{}; trying again in {} s", unsent.error, pause.as_secs_f64().ceil())));
        sleep(pause).await;
        // All may have arrived before the line broke.
        if check_all(engine, push).await.is_ok() {
            return Ok(());
        }
    }
}

/// Pauses between attempts.
struct Backoff {
    limit: Duration,
    left: Duration,
    next: Duration,
}

impl Backoff {
    /// For so long in all.
    fn new(limit: Duration) -> Self {
        Self { limit, left: limit, next: FIRST }
    }

    /// The pause after an attempt that lasted so long; none when the time is over.
    fn after(&mut self, attempt: Duration) -> Option<Duration> {
        if attempt >= HAD_A_LINE {
            *self = Self::new(self.limit);
        } else {
            self.left = self.left.saturating_sub(attempt);
        }
        let pause = self.next.min(self.left);
        self.left -= pause;
        self.next = (pause * 2).min(LONGEST);
        (!pause.is_zero()).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(limit: u64, attempts: &[u64]) -> Vec<Option<u64>> {
        let mut backoff = Backoff::new(Duration::from_secs(limit));
        let seconds = |attempt: &u64| backoff.after(Duration::from_secs(*attempt)).map(|pause| pause.as_secs());
        attempts.iter().map(seconds).collect()
    }

    #[test]
    fn pauses_grow_and_end() {
        let all = |pauses: &[u64]| -> Vec<_> { pauses.iter().copied().map(Some).chain([None]).collect() };
        assert_eq!(pauses(60, &[0; 8]), all(&[1, 2, 4, 8, 16, 16, 13]));
        assert_eq!(pauses(60, &[10; 5]), all(&[1, 2, 4, 8]));
        assert_eq!(pauses(0, &[0]), [None]);
    }

    #[test]
    fn an_attempt_that_had_a_line_gives_all_the_time_again() {
        assert_eq!(pauses(4, &[0, 0, 40, 0, 0, 0]), [Some(1), Some(2), Some(1), Some(2), Some(1), None]);
        assert_eq!(pauses(0, &[40]), [None]);
    }
}
