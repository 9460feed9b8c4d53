//! Carrying plans out on all hosts: every host is made ready, then they change in batches, and what was replaced goes
//! when all have succeeded.

mod conduct;
mod host;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, oneshot};

use crate::apply::{Seeding, Supply};
use crate::compose::{Batch, ProjectExtension};
use crate::ui::{HostOutcome, Outcome, Ui};

use super::args;
use super::begin::Begun;
use super::connect::Seen;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::prepare::Work;
use super::records::Record;
use host::HostRun;

/// Images to send to each host, by its name.
pub(super) type Supplies = BTreeMap<String, Vec<Arc<Supply>>>;

/// How plans are carried out.
pub(super) struct Rollout {
    /// Images to send.
    pub(super) supplies: Supplies,
    /// Hosts in all.
    pub(super) hosts: usize,
    /// How long a container may take to be healthy.
    pub(super) timeout: Duration,
    /// How long it is tried to reach a host again.
    pub(super) reconnect: Duration,
    /// Hosts that are made ready at once.
    pub(super) parallel: usize,
    /// Hosts that change at once.
    pub(super) batch: NonZeroUsize,
    /// Hosts that have changed stay so when another one fails.
    pub(super) keep_changed: bool,
    /// How long another deploy may take to end.
    pub(super) lock_wait: Duration,
    /// What it is put on record as.
    pub(super) record: Record,
    /// A plan that differs from the one that was shown is not carried out.
    pub(super) exactly: bool,
}

impl Rollout {
    /// As the arguments say, for this many hosts.
    pub(super) fn new(
        arguments: &args::Rollout,
        extension: &ProjectExtension,
        hosts: usize,
        supplies: Supplies,
        record: Record,
    ) -> Self {
        Self {
            supplies,
            hosts,
            timeout: Duration::from_secs(arguments.timeout),
            reconnect: arguments.reconnect.limit(),
            parallel: arguments.parallel.into(),
            batch: batch(extension.batch, hosts),
            keep_changed: arguments.keep_changed,
            lock_wait: Duration::from_secs(arguments.lock_wait),
            record,
            exactly: false,
        }
    }

    /// Carries the plans out; what became of each host.
    pub(super) async fn run(self, works: Vec<Work>, begun: &Begun, ui: Ui) -> Vec<Finished> {
        let (busy, idle): (Vec<Work>, Vec<Work>) = works.into_iter().partition(|work| !work.plan.is_empty());
        let (conductor, parts) = conduct::parts(busy.len());
        let (permits, seeding) = (Semaphore::new(self.parallel), Seeding::among(&begun.context.hosts));
        let hosts = busy.into_iter().zip(parts).zip(turns()).map(|((work, part), turn)| {
            HostRun::new(&self, begun, (&permits, &seeding), ui, work.wanted, work.plan).go(work.seen, part, turn)
        });
        let conducted = conductor.conduct(self.batch.get(), self.keep_changed);
        let (mut finished, ()) = tokio::join!(join_all(hosts), conducted);
        finished.extend(Finished::untouched(idle).await);
        finished.sort_by(|a, b| a.outcome.host.cmp(&b.outcome.host));
        finished
    }
}

/// A host's turn to take its lock.
pub(super) struct Turn {
    /// Ends when the host before has its lock, or has given up.
    come: oneshot::Receiver<()>,
    /// To be dropped when this host has its own.
    pass_on: oneshot::Sender<()>,
}

fn turns() -> impl Iterator<Item = Turn> {
    let mut come = oneshot::channel().1;
    std::iter::repeat_with(move || {
        let (pass_on, next) = oneshot::channel();
        Turn { come: std::mem::replace(&mut come, next), pass_on }
    })
}

/// One host at a time, unless the file says otherwise.
fn batch(asked: Option<Batch>, hosts: usize) -> NonZeroUsize {
    let count = match asked {
        None => 1,
        Some(Batch::Count(count)) => count as usize,
        Some(Batch::Percent(percent)) => (hosts * percent as usize).div_ceil(100),
    };
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

/// What became of a host.
pub(super) struct Finished {
    /// For the recap.
    pub(super) outcome: HostOutcome,
    /// Why it failed.
    pub(super) failure: Option<Failure>,
}

impl Finished {
    /// Hosts that keep no release as old as that to go back to.
    pub(super) async fn without_release(hosts: Vec<Seen>) -> Vec<Self> {
        let mut finished = Vec::new();
        for Seen { session, facts } in hosts {
            session.close().await;
            let outcome = HostOutcome { host: facts.host, changed: 0, unchanged: 0, outcome: Outcome::KeepsNone };
            finished.push(Self { outcome, failure: None });
        }
        finished
    }

    /// Hosts on which nothing is done.
    pub(super) async fn untouched(works: Vec<Work>) -> Vec<Self> {
        let mut finished = Vec::new();
        for work in works {
            let (host, unchanged) = (work.plan.host, work.plan.unchanged.len());
            work.seen.session.close().await;
            let outcome = HostOutcome { host, changed: 0, unchanged, outcome: Outcome::Ok };
            finished.push(Self { outcome, failure: None });
        }
        finished
    }
}

/// Ends a run: what became of every host, also of those that were not begun with; the status to exit with.
///
/// # Errors
/// What kept the run from beginning.
pub(super) async fn end(
    begun: Begun,
    finished: Result<Vec<Finished>, Failures>,
    ui: &Ui,
) -> Result<ExitStatus, Failures> {
    if let Err(failures) = &finished {
        ui.data(&HostOutcome::recap(&failures.outcomes(&begun.context.hosts)));
    }
    begun.end().await;
    Ok(recap(finished?, ui))
}

/// Shows what became of all hosts; the status to exit with.
fn recap(finished: Vec<Finished>, ui: &Ui) -> ExitStatus {
    finished.iter().filter_map(|f| f.failure.as_ref()).for_each(|f| f.show(ui));
    let outcomes: Vec<HostOutcome> = finished.into_iter().map(|f| f.outcome).collect();
    ui.data(&HostOutcome::recap(&outcomes));
    ExitStatus::of(&outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_count_or_a_part_rounded_up() {
        for (asked, hosts, size) in [
            (None, 10, 1),
            (Some(Batch::Count(3)), 10, 3),
            (Some(Batch::Percent(25)), 10, 3),
            (Some(Batch::Percent(1)), 10, 1),
            (Some(Batch::Percent(100)), 10, 10),
        ] {
            assert_eq!(batch(asked, hosts).get(), size, "{asked:?}");
        }
    }
}
