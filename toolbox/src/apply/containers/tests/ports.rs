//! Containers that publish by themselves and pass their ports round.

use crate::compose::testing::project;

use super::*;

const FILE: &str = "
name: shop
services:
  a: {image: a, ports: ['81:80']}
  b: {image: b, ports: ['80:80']}
";

fn host() -> FakeEngine {
    FakeEngine::default()
        .with_container("old-a", "shop-a-1", "running")
        .holding("old-a", &[80])
        .with_container("old-b", "shop-b-1", "running")
        .holding("old-b", &[81])
}

fn circle() -> Plan {
    let ahead = Action::StopContainer { service: "b".into(), container: "shop-b-1".into(), id: "old-b".into() };
    let operations = vec![
        op(ahead),
        replace("a", UpdateOrder::StopFirst, &[(1, "old-a")]),
        replace("b", UpdateOrder::StopFirst, &[(1, "old-b")]),
    ];
    plan(operations, &[("a", &["old-a"]), ("b", &["old-b"])], &[])
}

#[tokio::test(start_paused = true)]
async fn two_services_exchange_their_ports() {
    let (engine, project, plan) = (host(), project(FILE), circle());
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert_eq!(engine.containers(), running(&["shop-a-1", "shop-b-1"]));
    let calls = engine.calls();
    let at = |call: &str| calls.iter().position(|c| c == call).unwrap();
    assert!(at("stop old-b") < at("start new1") && at("stop old-a") < at("start new1"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_gives_both_their_ports_back() {
    let (project, plan) = (project(FILE), circle());
    let good = host();
    Run::new(&good, &project, &plan).go().await.unwrap();
    let calls = good.calls().iter().filter(|c| !c.starts_with("remove")).count();
    for call in 0..calls {
        let engine = host().failing_at(&[call]);
        Run::new(&engine, &project, &plan).go().await.unwrap_err();
        assert_eq!(engine.containers(), running(&["shop-a-1", "shop-b-1"]), "call {call}");
        for old in ["old-a", "old-b"] {
            assert!(engine.status(old).await.unwrap().state == "running", "call {call}: {old}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_them_that_fails_takes_both_back_whatever_it_asks_for() {
    let (engine, mut project, plan) = (host().with_health("b", "unhealthy"), project(FILE), circle());
    project.services.get_mut("b").unwrap().update.failure_action = crate::compose::FailureAction::Continue;
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert!(!error.keeps(), "{error}");
    assert!(engine.calls().ends_with(&["remove new2".to_owned(), "remove new1".to_owned()]), "{:?}", engine.calls());
    assert_eq!(engine.containers(), running(&["shop-a-1", "shop-b-1"]));
}
