//! Who may go on when several hosts change together.
//!
//! Contract: the release has one name on all hosts, chosen when all are locked, after every other that any of them
//! keeps. No host is changed before every host is ready; then they change in batches, and none after the first that
//! failed; nobody throws anything away before all have succeeded. A host whose part is dropped counts as failed, also
//! after it has changed. Absent on purpose: what a host does at each stage.

use std::time::SystemTime;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::release::ReleaseId;

/// What a host that has changed does in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Throw away what was replaced.
    Finish,
    /// Bring it back, since another host failed.
    RollBack,
}

/// One host's part. Dropping it tells that the host has failed, at whichever stage.
pub(super) struct Part {
    locked: Option<Sender<Option<ReleaseId>>>,
    name: Receiver<ReleaseId>,
    staged: Option<Sender<()>>,
    go: Receiver<()>,
    flipped: Option<Sender<()>>,
    end: Receiver<End>,
}

impl Part {
    /// Says that nobody else changes the host, and its newest release; the name of the new one, or `None` where the host
    /// shall not go on.
    pub(super) async fn locked(&mut self, newest: Option<ReleaseId>) -> Option<ReleaseId> {
        self.locked.take().map(|s| s.send(newest));
        (&mut self.name).await.ok()
    }

    /// Says that the host is ready, and waits for its turn; false where it shall not begin.
    pub(super) async fn staged(&mut self) -> bool {
        self.staged.take().map(|s| s.send(()));
        (&mut self.go).await.is_ok()
    }

    /// Says that the host has changed well, and waits for the others.
    pub(super) async fn flipped(&mut self) -> End {
        self.flipped.take().map(|s| s.send(()));
        (&mut self.end).await.unwrap_or(End::RollBack)
    }
}

/// The other side of all parts.
pub(super) struct Conductor(Vec<Seat>);

struct Seat {
    locked: Receiver<Option<ReleaseId>>,
    name: Option<Sender<ReleaseId>>,
    staged: Receiver<()>,
    go: Sender<()>,
    flipped: Receiver<()>,
    end: Sender<End>,
}

/// A conductor and this many parts, in the order in which they change.
pub(super) fn parts(count: usize) -> (Conductor, Vec<Part>) {
    let (seats, parts) = (0..count).map(|_| pair()).unzip();
    (Conductor(seats), parts)
}

fn pair() -> (Seat, Part) {
    let ((locked_in, locked), (name, name_out)) = (oneshot::channel(), oneshot::channel());
    let ((staged_in, staged), (go, go_out)) = (oneshot::channel(), oneshot::channel());
    let ((flipped_in, flipped), (end, end_out)) = (oneshot::channel(), oneshot::channel());
    let part = Part {
        locked: Some(locked_in),
        name: name_out,
        staged: Some(staged_in),
        go: go_out,
        flipped: Some(flipped_in),
        end: end_out,
    };
    (Seat { locked, name: Some(name), staged, go, flipped, end }, part)
}

impl Conductor {
    /// Leads all parts to their end, `batch` at once; with `keep` those that have changed stay so when another fails.
    pub(super) async fn conduct(mut self, batch: usize, keep: bool) {
        if self.name_release().await.is_err() {
            return;
        }
        let staged = join_all(self.0.iter_mut().map(|seat| &mut seat.staged)).await;
        if !staged.iter().all(Result::is_ok) {
            return;
        }
        let mut waiting = self.0.into_iter().peekable();
        let (mut changed, mut well) = (Vec::new(), true);
        while well && waiting.peek().is_some() {
            let (flipped, ends): (Vec<_>, Vec<_>) = waiting.by_ref().take(batch.max(1)).map(begin).unzip();
            for (result, end) in join_all(flipped).await.into_iter().zip(ends) {
                well &= result.is_ok();
                changed.extend(result.ok().map(|()| end));
            }
            // Any that changed before may have been lost meanwhile.
            well &= !changed.iter().any(Sender::is_closed);
        }
        let end = if well || keep { End::Finish } else { End::RollBack };
        for host in changed {
            let _ = host.send(end);
        }
    }

    /// Clocks differ, and another deploy may have ended while this one waited for a lock.
    async fn name_release(&mut self) -> Result<(), oneshot::error::RecvError> {
        let newest = try_join_all(self.0.iter_mut().map(|seat| &mut seat.locked)).await?;
        let id = ReleaseId::after(newest.into_iter().flatten().max(), SystemTime::now());
        for name in self.0.iter_mut().filter_map(|seat| seat.name.take()) {
            let _ = name.send(id);
        }
        Ok(())
    }
}

fn begin(seat: Seat) -> (Receiver<()>, Sender<End>) {
    let _ = seat.go.send(());
    (seat.flipped, seat.end)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// What became of a host: `untouched`, `failed`, `finish`, `roll back`.
    async fn host(mut part: Part, stages: bool, flips: bool) -> &'static str {
        if part.locked(None).await.is_none() {
            return "not named";
        }
        if !stages {
            return "failed";
        }
        if !part.staged().await {
            return "untouched";
        }
        if !flips {
            return "failed";
        }
        match part.flipped().await {
            End::Finish => "finish",
            End::RollBack => "roll back",
        }
    }

    async fn run(hosts: &[(bool, bool)], batch: usize, keep: bool) -> Vec<&'static str> {
        let (conductor, parts) = parts(hosts.len());
        let hosts = parts.into_iter().zip(hosts).map(|(part, (stages, flips))| host(part, *stages, *flips));
        tokio::join!(conductor.conduct(batch, keep), join_all(hosts)).1
    }

    const WELL: (bool, bool) = (true, true);
    const STAGE_FAILS: (bool, bool) = (false, true);
    const FLIP_FAILS: (bool, bool) = (true, false);

    #[tokio::test]
    async fn a_host_that_is_lost_after_it_changed_ends_the_deploy_on_all() {
        for (keep, other) in [(false, End::RollBack), (true, End::Finish)] {
            let (conductor, mut parts) = parts(3);
            let (mut last, mut second, mut lost) = (parts.pop().unwrap(), parts.pop().unwrap(), parts.pop().unwrap());
            let lost = async move {
                lost.locked(None).await.unwrap();
                assert!(lost.staged().await);
                assert_eq!(lost.flipped().now_or_never(), None);
                drop(lost);
            };
            let second = async {
                second.locked(None).await.unwrap();
                assert!(second.staged().await);
                second.flipped().await
            };
            let last = async {
                last.locked(None).await.unwrap();
                last.staged().await
            };
            let ((), (), second, last) = tokio::join!(conductor.conduct(2, keep), lost, second, last);
            assert_eq!((second, last), (other, false), "keep {keep}");
        }
    }

    #[tokio::test]
    async fn a_release_has_one_name_that_comes_after_all_that_any_host_keeps() {
        let kept: [Option<ReleaseId>; 3] = [None, Some("29991231-235958".parse().unwrap()), None];
        let (conductor, mut parts) = parts(3);
        let names = async move { join_all(parts.iter_mut().zip(kept).map(|(part, newest)| part.locked(newest))).await };
        let (names, ()) = tokio::join!(names, conductor.conduct(1, false));
        let after: ReleaseId = "29991231-235959".parse().unwrap();
        assert_eq!(names, [Some(after); 3]);
    }

    #[tokio::test]
    async fn a_host_that_is_not_locked_stops_the_others_before_anything_is_sent() {
        let (conductor, mut parts) = parts(2);
        drop(parts.pop());
        let name = async move { parts[0].locked(None).await };
        assert_eq!(tokio::join!(name, conductor.conduct(1, false)), (None, ()));
    }

    #[tokio::test]
    async fn hosts_change_together_or_not_at_all() {
        for (hosts, batch, keep, ends) in [
            (vec![WELL, WELL, WELL], 1, false, vec!["finish", "finish", "finish"]),
            (vec![WELL, STAGE_FAILS, WELL], 1, false, vec!["untouched", "failed", "untouched"]),
            (vec![WELL, FLIP_FAILS, WELL], 1, false, vec!["roll back", "failed", "untouched"]),
            (vec![WELL, FLIP_FAILS, WELL], 1, true, vec!["finish", "failed", "untouched"]),
            (vec![WELL, FLIP_FAILS, WELL, WELL], 3, false, vec!["roll back", "failed", "roll back", "untouched"]),
            (vec![WELL, WELL, FLIP_FAILS], 2, false, vec!["roll back", "roll back", "failed"]),
            (vec![], 1, false, vec![]),
        ] {
            assert_eq!(run(&hosts, batch, keep).await, ends, "{hosts:?} {batch} {keep}");
        }
    }
}
