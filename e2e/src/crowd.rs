//! Visitors who ask again and again, and what became of their requests.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two requests of a visitor: an emulated machine has one slow processor, which also deploys.
const PAUSE: Duration = Duration::from_millis(250);

/// Two visitors of each page: one keeps its connection, one opens a new one for each request.
#[derive(Debug)]
pub struct Crowd {
    leave: Arc<AtomicBool>,
    visitors: Vec<JoinHandle<Tally>>,
}

/// What became of requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered with status 200 and a whole body.
    pub well: usize,
    /// Why the others were not.
    pub failed: Vec<String>,
    /// The longest time until a whole answer.
    pub slowest: Duration,
}

impl Crowd {
    /// Begins to ask for these addresses.
    pub fn gather(urls: &[String]) -> Self {
        let leave = Arc::new(AtomicBool::new(false));
        let visit = |(url, keep): (&String, bool)| {
            let (url, leave) = (url.clone(), Arc::clone(&leave));
            thread::spawn(move || visit(&url, keep, &leave))
        };
        let visitors = urls.iter().flat_map(|url| [(url, true), (url, false)]).map(visit).collect();
        Self { leave, visitors }
    }

    /// Ends it; the sum of all visitors.
    pub fn leave(self) -> Tally {
        self.leave.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        self.visitors.into_iter().for_each(|v| sum += v.join().expect("a visitor does not panic"));
        sum
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.well += other.well;
        self.failed.extend(other.failed);
        self.slowest = self.slowest.max(other.slowest);
    }
}

fn visit(url: &str, keep: bool, leave: &AtomicBool) -> Tally {
    let connections = usize::from(keep);
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections);
    let agent: ureq::Agent = config.build().into();
    let mut tally = Tally::default();
    while !leave.load(Ordering::Relaxed) {
        let began = Instant::now();
        match agent.get(url).call().and_then(|mut answer| answer.body_mut().read_to_string()) {
            Ok(_) => tally.well += 1,
            Err(why) => tally.failed.push(format!("{url}, connection {}: {why}", if keep { "kept" } else { "new" })),
        }
        tally.slowest = tally.slowest.max(began.elapsed());
        thread::sleep(PAUSE);
    }
    tally
}
