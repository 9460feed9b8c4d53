//! Ctrl-C and SIGTERM. The first asks for an orderly end, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::agent;
use crate::apply::Interrupt;
use crate::ui::restore_terminal;

use super::exit_status::ExitStatus;
use super::failure::Failures;

/// Turns true at the first signal; at the second the process ends.
pub(super) fn listen() -> Interrupt {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                let _ = sender.send(true);
            } else {
                agent::wipe();
                restore_terminal();
                std::process::exit(130);
            }
        }
    });
    receiver
}

/// Work that changes nothing, given up at an interrupt.
pub(super) async fn or_interrupted<T>(
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T, Failures>>,
) -> Result<T, Failures> {
    let mut interrupt = interrupt.clone();
    tokio::select! {
        result = work => result,
        _ = interrupt.wait_for(|i| *i) => Err(Failures::interrupted()),
    }
}

impl Failures {
    fn interrupted() -> Self {
        Self::with_status(ExitStatus::Interrupted)
    }
}
