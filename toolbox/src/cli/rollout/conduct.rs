//! Who may go on when several hosts change together.
//!
//! Contract: no host is changed before every host is ready; then they change in batches, and none after the first that
//! failed; nobody throws anything away before all have succeeded. A host that ends early counts as failed. Absent on
//! purpose: what a host does at each stage.

use futures_util::future::join_all;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// What a host that has changed does in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Throw away what was replaced.
    Finish,
    /// Bring it back, since another host failed.
    RollBack,
}

/// One host's part.
pub(super) struct Part {
    staged: Option<Sender<()>>,
    go: Receiver<()>,
    flipped: Option<Sender<()>>,
    end: Receiver<End>,
}

impl Part {
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
    let ((staged_in, staged), (go, go_out)) = (oneshot::channel(), oneshot::channel());
    let ((flipped_in, flipped), (end, end_out)) = (oneshot::channel(), oneshot::channel());
    let part = Part { staged: Some(staged_in), go: go_out, flipped: Some(flipped_in), end: end_out };
    (Seat { staged, go, flipped, end }, part)
}

impl Conductor {
    /// Leads all parts to their end, `batch` at once; with `keep` those that have changed stay so when another fails.
    pub(super) async fn conduct(mut self, batch: usize, keep: bool) {
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
        }
        let end = if well || keep { End::Finish } else { End::RollBack };
        for host in changed {
            let _ = host.send(end);
        }
    }
}

fn begin(seat: Seat) -> (Receiver<()>, Sender<End>) {
    let _ = seat.go.send(());
    (seat.flipped, seat.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of a host: `untouched`, `failed`, `finish`, `roll back`.
    async fn host(mut part: Part, stages: bool, flips: bool) -> &'static str {
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
