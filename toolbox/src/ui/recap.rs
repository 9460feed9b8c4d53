//! What became of every host, at the end of a run.

use serde::Serialize;

use super::table;

/// What became of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostOutcome {
    /// The host's name in the inventory.
    pub host: String,
    /// Operations carried out.
    pub changed: usize,
    /// Services that were as they should be.
    pub unchanged: usize,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is as it should be.
    Ok,
    /// Nothing was tried, because another host failed.
    Untouched,
    /// Nothing was tried, because it keeps no release as old as that to go back to.
    KeepsNone,
    /// It failed before anything was changed.
    FailedUntouched,
    /// It failed, and the containers are as they were.
    FailedRolledBack,
    /// It changed well and was brought back, because another host failed.
    RolledBack,
    /// It changed well, and the release could not be put on record.
    FailedUnrecorded,
    /// It failed, and so did the way back.
    FailedBroken,
    /// It failed half-way and goes on from there when it is run again.
    FailedIncomplete,
    /// A person interrupted. A deploy has put its containers back, a removal goes on when it is run again.
    Interrupted,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Untouched => "not touched",
            Self::KeepsNone => "not touched, it keeps no release that old",
            Self::FailedUntouched => "failed, nothing changed",
            Self::FailedRolledBack => "failed, rolled back",
            Self::RolledBack => "rolled back with the others",
            Self::FailedUnrecorded => "done, but not on record",
            Self::FailedBroken => "FAILED, ROLL BACK FAILED",
            Self::FailedIncomplete => "failed, run it again",
            Self::Interrupted => "interrupted",
        }
    }
}

impl HostOutcome {
    /// The recap of all hosts as a table.
    pub fn recap(outcomes: &[Self]) -> String {
        let rows = outcomes.iter().map(|o| {
            let well = [Outcome::Ok, Outcome::Untouched, Outcome::KeepsNone, Outcome::RolledBack];
            let failed = usize::from(!well.contains(&o.outcome));
            vec![
                o.host.clone(),
                format!("changed={}", o.changed),
                format!("unchanged={}", o.unchanged),
                format!("failed={failed}"),
                o.outcome.word().to_owned(),
            ]
        });
        table(&rows.collect::<Vec<_>>())
    }
}
