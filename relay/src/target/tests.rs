use std::net::SocketAddr;
use std::task::Context;

use tokio::net::TcpListener;

use super::*;

fn name(text: impl ToString) -> Name {
    text.to_string().try_into().unwrap()
}

fn targets(names: &[&str]) -> Arc<Targets> {
    let targets = Arc::new(Targets::default());
    targets.switch(&names.iter().map(name).collect::<Vec<_>>());
    targets
}

fn lease(targets: &Arc<Targets>) -> (String, Lease) {
    let lease = targets.lease(&[]).unwrap();
    (lease.target().name.to_string(), lease)
}

fn has_left(lease: &mut Lease) -> bool {
    lease.poll_left(&mut Context::from_waker(std::task::Waker::noop()))
}

/// An address where nothing listens: the port was just given back.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[test]
fn connections_are_shared_out_evenly() {
    let targets = targets(&["a", "b", "c"]);
    let mut names: Vec<_> = (0..6).map(|_| lease(&targets)).collect();
    for name in ["a", "b", "c"] {
        assert_eq!(targets.counts()[name], Count { open: 2, busy: 0 });
    }
    names.retain(|(name, _)| name != "b");
    assert_eq!(lease(&targets).0, "b");
}

#[test]
fn after_a_switch_only_new_targets_are_chosen_and_old_connections_are_told() {
    let targets = targets(&["a", "b"]);
    let mut old: Vec<_> = (0..2).map(|_| lease(&targets)).collect();
    targets.switch(&[name("b"), name("c")]);
    for (name, lease) in &mut old {
        assert_eq!(has_left(lease), name == "a");
    }
    assert!((0..10).all(|_| lease(&targets).0 != "a"));
    assert_eq!(targets.counts().len(), 3);
    drop(old);
    assert_eq!(targets.counts().into_keys().collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn a_target_that_comes_back_does_not_take_its_old_connections_back() {
    let targets = targets(&["a"]);
    let (_, mut old) = lease(&targets);
    targets.switch(&[name("b")]);
    targets.switch(&[name("a")]);
    let (_, mut new) = lease(&targets);
    assert!(has_left(&mut old) && !has_left(&mut new));
    assert_eq!(targets.counts()["a"].open, 2);
}

#[test]
fn busy_connections_are_counted_until_they_end() {
    let targets = targets(&["a"]);
    let (_, mut lease) = lease(&targets);
    lease.set_busy(true);
    lease.set_busy(true);
    assert_eq!(targets.counts()["a"], Count { open: 1, busy: 1 });
    drop(lease);
    assert_eq!(targets.counts()["a"], Count::default());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_the_last_connection_or_with_its_limit() {
    let targets = targets(&["a"]);
    let (_, held) = lease(&targets);
    targets.switch(&[name("b")]);
    let names = [name("a")];
    assert_eq!(targets.drain(Some(&names), Duration::from_secs(1)).await, 1);
    let drain = targets.drain(Some(&names), Duration::from_secs(3600));
    let end = async { drop(held) };
    assert_eq!(tokio::join!(drain, end).0, 0);
}

#[tokio::test]
async fn a_target_that_refuses_is_passed_over_and_then_avoided() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (good, bad) = (listener.local_addr().unwrap(), nobody().await);
    let targets = targets(&[&bad.to_string(), &good.to_string()]);
    for _ in 0..4 {
        assert_eq!(targets.connect(&1.into()).await.unwrap().0.peer_addr().unwrap(), good);
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(lease(&targets));
    }
    assert!(held.iter().all(|(name, _)| *name == good.to_string()));
}

#[tokio::test]
async fn a_client_that_waits_for_a_target_gets_the_one_that_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (good, bad) = (listener.local_addr().unwrap(), nobody().await);
    let targets = targets(&[&bad.to_string()]);
    let switch = async {
        tokio::task::yield_now().await;
        targets.switch(&[name(good)]);
    };
    let port = 1.into();
    let (connected, ()) = tokio::join!(targets.connect(&port), switch);
    assert_eq!(connected.unwrap().0.peer_addr().unwrap(), good);
}

#[tokio::test]
async fn after_the_stop_nobody_is_connected() {
    let targets = targets(&["127.0.0.1"]);
    let (_, mut held) = lease(&targets);
    targets.stop();
    assert!(has_left(&mut held));
    assert!(targets.connect(&1.into()).await.is_none());
}
