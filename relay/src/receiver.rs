//! `receiver`: the first process of a container in which images are received.
//!
//! Contract: it ends by itself some time after the last session in its container, so that a deployer that was
//! killed leaves no container behind. When it starts, it sweeps what others have left.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::keep::End;
use crate::receive::{Spool, sweep};

/// How long it waits for another session.
pub(crate) const IDLE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// Parts that nobody has asked for since are not wanted any more.
const OLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Runs until nobody has sent for so long, or until SIGTERM.
pub(crate) fn main(idle: Duration) -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(receive(idle))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::fail(&error, 1),
    }
}

async fn receive(idle: Duration) -> io::Result<()> {
    let end = End::new()?;
    let spool = Spool::from_environment()?;
    sweep(&spool, OLD)?;
    tokio::select! {
        () = end.told() => Ok(()),
        ended = no_session_for(&spool, idle) => ended,
    }
}

/// A session that begins in the last moment finds the door locked, and goes with the container.
async fn no_session_for(spool: &Spool, idle: Duration) -> io::Result<()> {
    let mut last = Instant::now();
    loop {
        match spool.no_session()? {
            None => last = Instant::now(),
            Some(locked) if last.elapsed() >= idle => {
                std::mem::forget(locked);
                return Ok(());
            }
            Some(_) => {}
        }
        sleep(LOOK).await;
    }
}
