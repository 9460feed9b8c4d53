//! How the process ends.

use std::process::ExitCode;

use crate::ui::{HostOutcome, Outcome};

/// The documented exit statuses, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExitStatus {
    /// 0: done, or nothing to do.
    Done,
    /// That of the command that was run in a container.
    Command(u8),
    /// 1: failed; what was changed was rolled back.
    Failed,
    /// 2: usage or configuration; nothing was touched. With `plan --detailed-exitcode`: there are changes.
    Configuration,
    /// 130: interrupted.
    Interrupted,
    /// 3: the way back failed too; a person is needed.
    Broken,
}

impl ExitStatus {
    /// What the hosts' outcomes come to: the worst of them.
    pub(super) fn of(outcomes: &[HostOutcome]) -> Self {
        let statuses = outcomes.iter().map(|o| match o.outcome {
            Outcome::Ok | Outcome::Untouched | Outcome::KeepsNone | Outcome::RolledBack => Self::Done,
            Outcome::FailedUntouched
            | Outcome::FailedRolledBack
            | Outcome::FailedUnrecorded
            | Outcome::FailedIncomplete => Self::Failed,
            Outcome::FailedBroken => Self::Broken,
            Outcome::Interrupted => Self::Interrupted,
        });
        statuses.max().unwrap_or(Self::Done)
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Done => 0,
            ExitStatus::Command(status) => status,
            ExitStatus::Failed => 1,
            ExitStatus::Configuration => 2,
            ExitStatus::Broken => 3,
            ExitStatus::Interrupted => 130,
        })
    }
}
