//! What happens during a run, for whoever watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Something that happened on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The host's name in the inventory.
    pub host: String,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A step began.
    Started(String),
    /// The step's latest line of output.
    Line(String),
    /// Bytes done, and all bytes.
    Progress(u64, u64),
    /// The step ended well after this time.
    Done(String, Duration),
    /// The step failed.
    Failed(String),
    /// Something a person should know.
    Note(String),
    /// A line that a command wrote.
    Output {
        /// What the command is, for a person.
        of: String,
        /// The line without its end.
        line: String,
        /// Its place among those that wait to be shown.
        place: Place,
    },
}

/// Given back when it is dropped. All are alike.
#[derive(Debug, Clone)]
pub struct Place(#[expect(dead_code, reason = "it is held")] Option<Arc<OwnedSemaphorePermit>>);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// How many lines of commands wait to be shown, for each host: one that writes more waits.
const LINES: usize = 256;

/// Where a host's events go.
#[derive(Debug, Clone)]
pub struct Events {
    host: String,
    sender: UnboundedSender<Event>,
    places: Arc<Semaphore>,
}

impl Events {
    /// Events of this host.
    pub fn new(host: &str, sender: UnboundedSender<Event>) -> Self {
        Self { host: host.to_owned(), sender, places: Arc::new(Semaphore::new(LINES)) }
    }

    /// Sends an event; that nobody watches is no error.
    pub fn send(&self, what: What) {
        let _ = self.sender.send(Event { host: self.host.clone(), what });
    }

    /// Sends a line that a command wrote; waits while too many are not shown yet.
    pub async fn output(&self, of: &str, line: String) {
        let place = Place(Arc::clone(&self.places).acquire_owned().await.ok().map(Arc::new));
        self.send(What::Output { of: of.to_owned(), line, place });
    }

    /// Runs a step between its two events.
    pub async fn step<T, E>(&self, label: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = Instant::now();
        self.send(What::Started(label.to_owned()));
        let result = work.await;
        self.send(match result {
            Ok(_) => What::Done(label.to_owned(), began.elapsed()),
            Err(_) => What::Failed(label.to_owned()),
        });
        result
    }
}
