//! A project's lock on one host: no two deploys of it interleave there.
//!
//! Contract: the lock is a file lock that a process of the keeper holds as long as its standard input lives, which ends
//! with our connection: a deployer that is killed or cut off frees it, and nothing is left to be cleaned up. [`Lock`]
//! keeps it alive until it is released or dropped, and tells when it is lost.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::engine::{Engine, EngineError, ExecStream};
use crate::release::{ReleaseId, rfc3339_after};

/// Far below the silence after which the keeper frees the lock, which is 60 s.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long giving it back may take.
const GOODBYE: Duration = Duration::from_secs(30);
/// How often the engine is asked whether a keeper that has not answered yet still runs.
const LOOK: Duration = Duration::from_secs(5);
/// Nobody waits longer.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// More of an answer is not read, bytes.
const MOST: usize = 64 * 1024;

type Output = BoxStream<'static, Result<(bool, Bytes), EngineError>>;

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{who} is deploying this project to this host since {since}")]
    Held {
        /// Who, as that toolbox said.
        who: String,
        /// Since when it has it, RFC 3339.
        since: String,
    },
    /// The engine refused.
    #[error("taking the project's lock: {0}")]
    Engine(#[from] EngineError),
    /// The keeper gave no answer that can be understood.
    #[error("taking the project's lock: the keeper did not answer: {0}")]
    NoAnswer(String),
    /// The keeper stopped running before it answered.
    #[error("taking the project's lock: the keeper {keeper} is {state}")]
    Stopped {
        /// Its name.
        keeper: String,
        /// The engine's word for its state, or `gone`.
        state: String,
    },
    /// The keeper runs, the connection lives, and there is no answer all the same.
    #[error("taking the project's lock: the keeper {keeper} runs and has not answered for {seconds} s")]
    Slow {
        /// Its name.
        keeper: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl LockError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => Some("wait for it: deploy --lock-wait SECONDS".into()),
            Self::Engine(error) => error.hint(),
            Self::NoAnswer(_) | Self::Stopped { .. } => {
                Some("deploy again; a keeper that does not run is started then".into())
            }
            Self::Slow { .. } => Some(
                "see what keeps the host busy: uptime, docker stats; then run it again, a deploy with more --timeout SECONDS"
                    .into(),
            ),
        }
    }
}

/// The lock, while it lives. Dropping it frees it, too.
#[derive(Debug)]
pub struct Lock {
    lost: watch::Receiver<bool>,
    release: oneshot::Sender<()>,
    holding: JoinHandle<()>,
}

impl Lock {
    /// Turns true when the lock was lost: whoever works under it must stop.
    pub fn lost(&self) -> watch::Receiver<bool> {
        self.lost.clone()
    }

    /// Gives the lock back, and waits until the host knows.
    pub async fn release(self) {
        drop(self.release);
        let _ = self.holding.await;
    }
}

/// Takes the lock of the project whose keeper this is, for `who`; waits for it up to `wait`, a week at most. A host that
/// is so busy that the keeper does not come to answer has `patience` more, as long as the keeper runs.
///
/// # Errors
/// [`LockError::Held`] where somebody else has it all that time.
pub async fn acquire<E: Engine>(
    engine: &E,
    keeper: &str,
    who: &str,
    wait: Duration,
    patience: Duration,
) -> Result<Lock, LockError> {
    let command = ["/toolbox-relay".to_owned(), "lock".to_owned()];
    let mut stream = engine.exec_stream(keeper, &command).await?;
    let since = ReleaseId::at(SystemTime::now()).rfc3339();
    let wait = wait.min(LONGEST);
    let claim =
        json!({ "who": who, "since": since, "wait_ms": wait.as_secs() * 1000 + u64::from(wait.subsec_millis()) });
    // Where that fails the output ends too, and says why.
    let _ = stream.input.write_all(format!("{claim}\n").as_bytes()).await;
    let limit = wait.saturating_add(patience);
    let answer = tokio::select! {
        answer = answer(&mut stream.output) => answer?,
        stopped = until_it_stops(engine, keeper) => return Err(stopped),
        () = sleep(limit) => return Err(LockError::Slow { keeper: keeper.to_owned(), seconds: limit.as_secs() }),
    };
    if !answer.locked {
        let unknown = || "somebody".to_owned();
        let (since, waited) = (answer.since, Duration::from_secs(answer.waited_s));
        let since = since.map(|since| rfc3339_after(&since, waited).unwrap_or(since));
        let (who, since) = (answer.who.unwrap_or_else(unknown), since.unwrap_or_else(|| "now".into()));
        return Err(LockError::Held { who, since });
    }
    let (lost_sender, lost) = watch::channel(false);
    let (release, released) = oneshot::channel();
    let holding = tokio::spawn(hold(stream, lost_sender, released));
    Ok(Lock { lost, release, holding })
}

/// A process in a container that is paused, or was cut off from its engine, says nothing for ever.
async fn until_it_stops<E: Engine>(engine: &E, keeper: &str) -> LockError {
    loop {
        sleep(LOOK).await;
        let state = match engine.status(keeper).await {
            Ok(status) if status.state == "running" => continue,
            Ok(status) => status.state,
            Err(error) if error.is_not_found() => "gone".to_owned(),
            Err(error) => return error.into(),
        };
        return LockError::Stopped { keeper: keeper.to_owned(), state };
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    locked: bool,
    who: Option<String>,
    /// When it asked for the lock.
    since: Option<String>,
    /// How long after that it got it.
    #[serde(default)]
    waited_s: u64,
}

/// The first line that the command writes.
async fn answer(output: &mut Output) -> Result<Answer, LockError> {
    let (mut line, mut errors) = (Vec::new(), Vec::new());
    while let Some(chunk) = output.next().await {
        let (is_error, bytes) = chunk?;
        let into = if is_error { &mut errors } else { &mut line };
        into.extend_from_slice(&bytes[..bytes.len().min(MOST - into.len().min(MOST))]);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let line = &line[..end];
            return serde_json::from_slice(line).map_err(|_| LockError::NoAnswer(text(line)));
        }
    }
    line.append(&mut errors);
    Err(LockError::NoAnswer(text(&line)))
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() { "it ended without a word".into() } else { text.trim().to_owned() }
}

/// Keeps the lock until it is given back or the command ends.
async fn hold(stream: ExecStream, lost: watch::Sender<bool>, mut released: oneshot::Receiver<()>) {
    let ExecStream { mut input, mut output, .. } = stream;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut released => break,
            _ = heartbeat.tick() => {
                // Where that fails the output ends too.
                let _ = input.write_all(b"\n").await;
            }
            said = output.next() => if !matches!(said, Some(Ok(_))) {
                let _ = lost.send(true);
                return;
            },
        }
    }
    drop(input);
    let ended = async { while let Some(Ok(_)) = output.next().await {} };
    let _ = timeout(GOODBYE, ended).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeEngine;

    const SECOND: Duration = Duration::from_secs(1);

    fn host(state: &str) -> FakeEngine {
        FakeEngine::default().with_container("keeper", "toolbox.shop", state)
    }

    async fn asked(engine: &FakeEngine) -> Result<Lock, LockError> {
        acquire(engine, "toolbox.shop", "ann@box", Duration::ZERO, 300 * SECOND).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_busy_gets_the_time_that_was_given() {
        asked(&host("running").with_lock_after(250 * SECOND)).await.unwrap();
        let slow = asked(&host("running").with_lock_after(350 * SECOND)).await.unwrap_err();
        let text = "taking the project's lock: the keeper toolbox.shop runs and has not answered for 300 s";
        assert_eq!(slow.to_string(), text);
        assert!(slow.hint().unwrap().contains("--timeout SECONDS"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_keeper_that_stopped_is_not_waited_for() {
        let began = tokio::time::Instant::now();
        let stopped = asked(&host("paused").with_lock_after(350 * SECOND)).await.unwrap_err();
        assert_eq!(stopped.to_string(), "taking the project's lock: the keeper toolbox.shop is paused");
        assert!(began.elapsed() < 30 * SECOND);
    }
}
