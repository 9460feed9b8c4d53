//! A notice that a device waits for a touch, for as long as it does.
//!
//! Contract: `SSH_ASKPASS` with `SSH_ASKPASS_PROMPT=none` shows it until it is terminated, as OpenSSH's agent does. A
//! notice that cannot be shown keeps nobody from touching the device, and is not an error.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use crate::agent::askpass::Askpass;

/// How long a notice may take to close its window.
const CLOSING: Duration = Duration::from_secs(5);

/// A notice that is shown until this is dropped.
pub(super) struct Notice(Option<Child>);

impl Notice {
    /// Shows `text`; `None` where there is nowhere to show it. Inside a tokio runtime.
    pub(super) fn show(askpass: &Askpass, text: &str) -> Option<Self> {
        Self::of(Command::from(askpass.notice(text)?))
    }

    pub(super) fn of(mut command: Command) -> Option<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().ok().map(|child| Self(Some(child)))
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { tokio::time::timeout(CLOSING, child.wait()).await });
        }
    }
}
