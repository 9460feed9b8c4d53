//! `lock`: a project's lock on a host, held as long as somebody at the other end of standard input lives.
//!
//! Contract: an flock on the file `lock` of the state directory. The first line of standard input is a
//! [`Claim`]; the answer is one line, `{"locked":true}` or `{"locked":false,"who":…,"since":…}` (null where
//! the holder has not said it yet), with `"waited_s"` where the holder got the lock so long after `since`. Every
//! further line is a heartbeat. The end of standard input, a missing heartbeat and the end of this process, however
//! it comes, free the lock: nothing has to be cleaned up.
//! Exit statuses: 0 held and given back, 1 not held or lost, 2 no claim.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::state_directory;
use crate::{WRONG, fail};

/// How often a lock that is held is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// Bytes of one line, and of what stands in the file.
const MOST_BYTES: usize = 64 * 1024;

/// Who wants the lock.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    /// Shown to others.
    who: String,
    /// RFC 3339, shown to others.
    since: String,
    /// How long to wait for it, milliseconds.
    #[serde(default)]
    wait_ms: u64,
    /// The longest silence that counts as life, milliseconds.
    #[serde(default = "default_heartbeat")]
    heartbeat_ms: u64,
}

fn default_heartbeat() -> u64 {
    60_000
}

/// What stands in the file while the lock is held.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Holder {
    who: Option<String>,
    since: Option<String>,
    /// How long after that it got the lock, seconds.
    #[serde(default)]
    waited_s: u64,
}

/// How holding it ended.
enum End {
    GivenBack,
    Silence,
}

/// Claims, holds, gives back.
pub(crate) fn main() -> ExitCode {
    let mut input = Lines::default();
    let claim = match input.first() {
        Ok(line) => serde_json::from_slice::<Claim>(&line).map_err(io::Error::from),
        Err(error) => Err(error),
    };
    let claim = match claim {
        Ok(claim) => claim,
        Err(error) => return fail(&error, WRONG),
    };
    match hold(&claim, &mut input) {
        Ok(held) => {
            if held {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            say(&json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn hold(claim: &Claim, input: &mut Lines) -> io::Result<bool> {
    let path = state_directory().join("lock");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let began = Instant::now();
    if let Some(holder) = take(&mut file, claim, input)? {
        let mut answer = json!({ "locked": false, "who": holder.who, "since": holder.since });
        if holder.waited_s > 0 {
            answer["waited_s"] = holder.waited_s.into();
        }
        say(&answer);
        return Ok(false);
    }
    let (who, since) = (Some(claim.who.clone()), Some(claim.since.clone()));
    let holder = Holder { who, since, waited_s: began.elapsed().as_secs() };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&holder)?)?;
    say(&json!({ "locked": true }));
    let end = input.until_silence(Duration::from_millis(claim.heartbeat_ms))?;
    file.set_len(0)?;
    if matches!(end, End::Silence) {
        say(&json!({ "error": format!("no heartbeat for {} ms: the lock was given back", claim.heartbeat_ms) }));
    }
    Ok(matches!(end, End::GivenBack))
}

/// `None` when the lock is ours, else who has it after the wait.
fn take(file: &mut File, claim: &Claim, input: &mut Lines) -> io::Result<Option<Holder>> {
    let deadline = Instant::now() + Duration::from_millis(claim.wait_ms);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Whoever waits may give up, too.
        if left.is_zero() || matches!(input.wait(left.min(AGAIN))?, Input::End) {
            return holder(file).map(Some);
        }
    }
}

fn holder(file: &mut File) -> io::Result<Holder> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MOST_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// One line of the answer. Who does not read it any more will end our input, too.
fn say(answer: &serde_json::Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
}

enum Input {
    Line,
    End,
    Nothing,
}

/// Standard input, line by line, without waiting longer than is asked for.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    ended: bool,
}

impl Lines {
    fn first(&mut self) -> io::Result<Vec<u8>> {
        while !self.bytes.contains(&b'\n') && !self.ended {
            self.read()?;
        }
        let end = self.bytes.iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |at| at + 1);
        Ok(self.bytes.drain(..end).collect())
    }

    fn until_silence(&mut self, limit: Duration) -> io::Result<End> {
        loop {
            match self.wait(limit)? {
                Input::Line => {}
                Input::End => return Ok(End::GivenBack),
                Input::Nothing => return Ok(End::Silence),
            }
        }
    }

    /// Waits for one line, for the end, or for so long.
    fn wait(&mut self, limit: Duration) -> io::Result<Input> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.bytes.iter().position(|byte| *byte == b'\n') {
                self.bytes.drain(..=at);
                return Ok(Input::Line);
            }
            if self.ended {
                return Ok(Input::End);
            }
            if !readable(deadline.saturating_duration_since(Instant::now()))? {
                return Ok(Input::Nothing);
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let length = rustix::io::read(rustix::stdio::stdin(), &mut bytes)?;
        self.bytes.extend_from_slice(&bytes[..length]);
        self.ended = length == 0;
        match self.bytes.len() > MOST_BYTES {
            true => Err(io::ErrorKind::InvalidData.into()),
            false => Ok(()),
        }
    }
}

fn readable(limit: Duration) -> io::Result<bool> {
    let stdin = rustix::stdio::stdin();
    let mut entries = [PollFd::new(&stdin, PollFlags::IN)];
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    Ok(poll(&mut entries, Some(&limit))? > 0)
}
