//! The end of the accept loop, with a route whose answer the test holds back.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use clock_backend::serve::{Limits, Outcome};
use tokio::sync::Notify;

use crate::harness::{Client, LIMITS, Service, wait_until_refused};

const REQUEST: &str = "GET /held HTTP/1.1\r\nHost: test\r\n\r\n";

/// A service whose only route answers when told to.
struct Held {
    service: Service,
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

impl Held {
    fn start(limits: Limits) -> Self {
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (entry, gate) = (entered.clone(), release.clone());
        let answer = move || async move {
            entry.notify_one();
            gate.notified().await;
            "held"
        };
        let service = Service::start(Router::new().route("/held", get(answer)), limits);
        Self { service, entered, release }
    }

    /// A client whose request the handler has begun.
    fn client_in_flight(&self) -> Client {
        let mut client = Client::connect(self.service.address);
        client.send(REQUEST);
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(self.entered.notified());
        client
    }
}

#[test]
fn request_in_flight_is_finished_while_new_connections_are_refused() {
    let held = Held::start(LIMITS);
    let mut client = held.client_in_flight();
    held.service.tell_to_stop();
    wait_until_refused(held.service.address);
    held.release.notify_one();
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("held"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(held.service.outcome(), Outcome::Drained);
}

#[test]
fn idle_connections_are_closed_at_once() {
    let held = Held::start(LIMITS);
    let mut fresh = Client::connect(held.service.address);
    let mut used = held.client_in_flight();
    held.release.notify_one();
    used.until("held");
    held.service.tell_to_stop();
    assert_eq!(fresh.rest(), "");
    assert_eq!(used.rest(), "");
    assert_eq!(held.service.outcome(), Outcome::Drained);
}

#[test]
fn request_sent_just_before_the_end_is_answered() {
    let held = Held::start(LIMITS);
    held.release.notify_one();
    let mut client = Client::connect(held.service.address);
    // A first answer on the way back proves that the connection was accepted.
    client.send(REQUEST);
    client.until("held");
    held.release.notify_one();
    client.send(REQUEST);
    held.service.tell_to_stop();
    assert!(client.rest().ends_with("held"));
    assert_eq!(held.service.outcome(), Outcome::Drained);
}

#[test]
fn request_that_outlasts_the_grace_is_cut_off() {
    let held = Held::start(Limits { shutdown_grace: Duration::from_millis(20), ..LIMITS });
    let mut client = held.client_in_flight();
    held.service.tell_to_stop();
    assert_eq!(client.rest(), "");
    assert_eq!(held.service.outcome(), Outcome::CutOff { connections: 1 });
}

#[test]
fn second_word_ends_the_grace() {
    let held = Held::start(LIMITS);
    let mut client = held.client_in_flight();
    held.service.tell_to_stop();
    wait_until_refused(held.service.address);
    held.service.tell_to_stop();
    assert_eq!(client.rest(), "");
    // The waiting above may have left a connection of its own behind.
    assert!(matches!(held.service.outcome(), Outcome::CutOff { connections: 1.. }));
}
