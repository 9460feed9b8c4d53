//! Waiting until a container does its work.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::compose::{RestartPolicy, Service};
use crate::engine::{ContainerStatus, Engine, EngineError};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a container may fail at its start, for example because a neighbour is not there yet.
const RESTARTS: i64 = 3;

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// At most, until it is well or settles.
    pub limit: Duration,
    /// How long a container without a health check must run without a restart.
    pub settle: Duration,
}

/// How long a container without a health check must run without a restart, where the file does not say.
const SETTLE: Duration = Duration::from_secs(2);

impl Patience {
    /// With a container of this service.
    pub fn with(service: Option<&Service>, limit: Duration) -> Self {
        Self { limit, settle: service.and_then(|s| s.update.monitor).unwrap_or(SETTLE) }
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Healthy, or running where there is no health check, or ended well where it is a one-shot.
    Well,
    /// The same, but one that ended well serves nobody.
    Serving,
    /// Ended with status 0.
    Completed,
}

/// How a wait ended that did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwell {
    /// The container's state says it will not come up; the text says why.
    Failed(String),
    /// Time ran out in this state.
    TimedOut(String),
}

/// A look at a container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Good,
    Settling,
    Wait(String),
    Bad(String),
}

/// Waits until the container is as `wanted`.
///
/// # Errors
/// [`EngineError`].
pub async fn wait<E: Engine>(
    engine: &E,
    id: &str,
    restart: RestartPolicy,
    wanted: Wanted,
    patience: Patience,
) -> Result<Result<(), Unwell>, EngineError> {
    let deadline = Instant::now() + patience.limit;
    let mut settled_since: Option<Instant> = None;
    let mut seen = engine.status(id).await?;
    let before = seen.restarts;
    loop {
        let word = match judge(&seen, restart, wanted, seen.restarts - before) {
            Verdict::Good => return Ok(Ok(())),
            Verdict::Bad(why) => return Ok(Err(Unwell::Failed(why))),
            // Restarts are counted, so that this ends without the limit.
            Verdict::Settling => {
                if settled_since.get_or_insert_with(Instant::now).elapsed() >= patience.settle {
                    return Ok(Ok(()));
                }
                None
            }
            Verdict::Wait(word) => {
                settled_since = None;
                Some(word)
            }
        };
        if let (Some(word), true) = (word, Instant::now() >= deadline) {
            return Ok(Err(Unwell::TimedOut(word)));
        }
        sleep(PAUSE).await;
        let next = engine.status(id).await?;
        if next.restarts != seen.restarts {
            settled_since = None;
        }
        seen = next;
    }
}

/// `restarts` counts those since the wait began.
fn judge(status: &ContainerStatus, restart: RestartPolicy, wanted: Wanted, restarts: i64) -> Verdict {
    let may_end = match wanted {
        Wanted::Completed => true,
        Wanted::Serving => false,
        Wanted::Well => matches!(restart, RestartPolicy::No | RestartPolicy::OnFailure { .. }),
    };
    match status.state.as_str() {
        "exited" if status.exit_code == 0 && may_end => Verdict::Good,
        "exited" | "dead" => Verdict::Bad(exit_text(status)),
        "running" | "restarting" if restarts >= RESTARTS => {
            Verdict::Bad(format!("it exited {restarts} times, last with status {}", status.exit_code))
        }
        "running" if wanted == Wanted::Completed => Verdict::Wait("still running".into()),
        "running" => match status.health.as_deref() {
            None => Verdict::Settling,
            Some("healthy") => Verdict::Good,
            Some("unhealthy") => Verdict::Bad("it is unhealthy".into()),
            Some(other) => Verdict::Wait(format!("health is {other}")),
        },
        other => Verdict::Wait(format!("state is {other}")),
    }
}

fn exit_text(status: &ContainerStatus) -> String {
    match status.error.as_str() {
        "" => format!("it exited with status {}", status.exit_code),
        error => format!("it exited with status {}: {error}", status.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, health: Option<&str>, exit_code: i64) -> ContainerStatus {
        let health = health.map(str::to_owned);
        ContainerStatus { state: state.into(), health, exit_code, ..Default::default() }
    }

    #[test]
    fn a_container_is_judged_by_health_state_and_restarts() {
        use RestartPolicy::{No, UnlessStopped};
        let wait = |s: &str| Verdict::Wait(s.into());
        let bad = |s: &str| Verdict::Bad(s.into());
        for (state, health, code, restarts, policy, wanted, verdict) in [
            ("running", Some("healthy"), 0, 0, UnlessStopped, Wanted::Well, Verdict::Good),
            ("running", Some("starting"), 0, 0, UnlessStopped, Wanted::Well, wait("health is starting")),
            ("running", Some("unhealthy"), 0, 0, UnlessStopped, Wanted::Well, bad("it is unhealthy")),
            ("running", None, 0, 0, UnlessStopped, Wanted::Well, Verdict::Settling),
            ("running", None, 0, 2, UnlessStopped, Wanted::Well, Verdict::Settling),
            ("running", None, 1, 3, UnlessStopped, Wanted::Well, bad("it exited 3 times, last with status 1")),
            ("restarting", None, 1, 1, UnlessStopped, Wanted::Well, wait("state is restarting")),
            ("restarting", None, 1, 3, UnlessStopped, Wanted::Well, bad("it exited 3 times, last with status 1")),
            ("exited", None, 0, 0, UnlessStopped, Wanted::Well, bad("it exited with status 0")),
            ("exited", None, 0, 0, No, Wanted::Well, Verdict::Good),
            ("exited", None, 0, 0, No, Wanted::Serving, bad("it exited with status 0")),
            ("running", Some("healthy"), 0, 0, No, Wanted::Serving, Verdict::Good),
            ("exited", None, 3, 0, No, Wanted::Well, bad("it exited with status 3")),
            ("running", None, 0, 0, No, Wanted::Completed, wait("still running")),
            ("exited", None, 0, 0, UnlessStopped, Wanted::Completed, Verdict::Good),
            ("created", None, 0, 0, UnlessStopped, Wanted::Well, wait("state is created")),
        ] {
            let seen = judge(&status(state, health, code), policy, wanted, restarts);
            assert_eq!(seen, verdict, "{state} {health:?} {code} {restarts} {policy:?} {wanted:?}");
        }
    }
}
