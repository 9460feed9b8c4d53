//! Servers that hang up at first: sshd drops connections while too many logins are under way (`MaxStartups`), or for a
//! while after some have failed (`PerSourcePenalties`). It is asked again, more and more slowly.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::SshError;

/// How often it is tried.
const ATTEMPTS: u32 = 6;
/// Before the second attempt; twice as long before each further one. All pauses together take at most 12 s.
const PAUSE: Duration = Duration::from_millis(250);

/// Whether this is what a busy sshd may say before it hangs up: up to OpenSSH 8.4 nothing.
pub(super) fn may_be(said: &str) -> bool {
    ["", "Exceeded MaxStartups", "Not allowed at this time"].contains(&said)
}

/// Attempts until the server does not hang up at once any more, or did so too often.
pub(super) async fn until_let_in<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, SshError>
where
    F: Future<Output = Result<T, SshError>>,
{
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(SshError::HungUp { address, .. }) => tracing::debug!("{address} hung up"),
            other => return other,
        }
        sleep(spread(pause)).await;
        pause *= 2;
    }
    attempt().await.map_err(|error| match error {
        SshError::HungUp { address, port, said, .. } => SshError::HungUp { address, port, said, times: ATTEMPTS },
        other => other,
    })
}

/// Up to half as long again, so that those who were turned away together do not come back together.
fn spread(pause: Duration) -> Duration {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    pause + pause.mul_f64(f64::from(nanoseconds % 1000) / 2000.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn hung_up() -> SshError {
        SshError::HungUp { address: "h".into(), port: 22, said: "Exceeded MaxStartups".into(), times: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_asked_again_and_not_for_ever() {
        let asked = Cell::new(0);
        let ask = |busy: u32| {
            asked.set(asked.get() + 1);
            let answer = if asked.get() > busy { Ok(asked.get()) } else { Err(hung_up()) };
            async { answer }
        };
        assert_eq!(until_let_in(|| ask(3)).await.unwrap(), 4);
        asked.set(0);
        let error = until_let_in(|| ask(u32::MAX)).await.unwrap_err();
        assert!(matches!(error, SshError::HungUp { times: ATTEMPTS, .. }), "{error}");
        assert_eq!(asked.get(), ATTEMPTS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_else_fails_is_not_tried_again() {
        let asked = Cell::new(0);
        let refused = || {
            asked.set(asked.get() + 1);
            async { Err::<(), _>(SshError::Refused { address: "h".into(), port: 22 }) }
        };
        assert!(matches!(until_let_in(refused).await, Err(SshError::Refused { .. })));
        assert_eq!(asked.get(), 1);
    }
}
