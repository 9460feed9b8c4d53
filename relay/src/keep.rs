//! `keep`: is there until it is told to end.
//!
//! Contract: a container of this program is where a project's volume can be reached through the engine's API
//! and where `lock` is run. As the first process of a container it must take SIGTERM itself.

use std::io;
use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs until SIGTERM or SIGINT.
pub(crate) fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_io().build();
    let kept = runtime.and_then(|runtime| {
        runtime.block_on(async {
            End::new()?.told().await;
            Ok(())
        })
    });
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::fail(&error, 1),
    }
}

/// The signals that end a program; they are taken from the making of this value on.
pub(crate) struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for SIGTERM or SIGINT.
    pub(crate) async fn told(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
