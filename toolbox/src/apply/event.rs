//! What happens during a run, for whoever watches.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

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
}

/// Where a host's events go.
#[derive(Debug, Clone)]
pub struct Events {
    host: String,
    sender: UnboundedSender<Event>,
}

impl Events {
    /// Events of this host.
    pub fn new(host: &str, sender: UnboundedSender<Event>) -> Self {
        Self { host: host.to_owned(), sender }
    }

    /// Sends an event; that nobody watches is no error.
    pub fn send(&self, what: What) {
        let _ = self.sender.send(Event { host: self.host.clone(), what });
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
