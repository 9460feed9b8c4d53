use tokio::sync::mpsc::unbounded_channel;

use crate::compose::testing::project;
use crate::engine::fake::FakeEngine;
use crate::plan::Operation;

use super::*;

const FILE: &str = "
name: shop
services:
  db: {image: db}
  web: {image: web, depends_on: {db: {condition: service_healthy}}}
";

/// Both services run already and both are replaced.
fn recreate_both() -> Plan {
    let recreate = |service: &str| Operation {
        action: Action::RecreateContainer {
            service: service.into(),
            container: format!("shop-{service}-1"),
            replaces: format!("old-{service}"),
            replaced_name: format!("shop-{service}-1"),
        },
        cause: Cause::ConfigChanged,
    };
    let network = Action::CreateNetwork { key: "default".into(), name: "shop_default".into() };
    let network = Operation { action: network, cause: Cause::Missing };
    let operations = vec![network, recreate("db"), recreate("web")];
    Plan { host: "h".into(), operations, unchanged: vec![], notes: vec![] }
}

fn both_running() -> FakeEngine {
    FakeEngine::default().with_container("old-db", "shop-db-1", "running").with_container(
        "old-web",
        "shop-web-1",
        "running",
    )
}

fn as_they_were() -> Vec<(String, String)> {
    [("shop-db-1", "running"), ("shop-web-1", "running")].map(|(n, s)| (n.into(), s.into())).to_vec()
}

/// Runs the plan, and finishes or rolls back as a deploy does.
async fn run(engine: &FakeEngine, interrupted: bool) -> Result<(), ApplyError> {
    let (sender, _receiver) = unbounded_channel();
    let events = Events::new("h", sender);
    let (_keep, interrupt) = watch::channel(interrupted);
    let project = project(FILE);
    let mut containers = Containers::new(engine, &project, &events, Duration::from_secs(5), interrupt);
    match containers.run(&recreate_both()).await {
        Ok(()) => containers.finish().await,
        Err(error) => {
            containers.roll_back().await.unwrap();
            Err(error)
        }
    }
}

#[tokio::test]
async fn dependencies_are_healthy_before_dependents_are_replaced() {
    let engine = both_running();
    run(&engine, false).await.unwrap();
    assert_eq!(
        engine.calls(),
        [
            "create network default",
            "rename old-db old-db_shop-db-1",
            "stop old-db",
            "create shop-db-1",
            "start new1",
            "rename old-web old-web_shop-web-1",
            "stop old-web",
            "create shop-web-1",
            "start new2",
            "remove old-db",
            "remove old-web",
        ]
    );
    assert_eq!(engine.containers(), as_they_were());
}

#[tokio::test]
async fn a_fault_at_any_operation_brings_the_earlier_containers_back() {
    // The two calls after these nine only remove what was replaced.
    for call in 0..9 {
        let engine = both_running().failing_at(call);
        let error = run(&engine, false).await.unwrap_err();
        assert!(error.to_string().contains("injected fault"), "call {call}: {error}");
        assert_eq!(engine.containers(), as_they_were(), "call {call}: {:?}", engine.calls());
    }
}

#[tokio::test]
async fn an_unhealthy_container_is_named_with_its_log_and_the_earlier_one_runs_again() {
    let engine = both_running().with_health("web", "unhealthy");
    let error = run(&engine, false).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "service web did not become healthy: it is unhealthy; the last lines of its log:\n    the last line of the log"
    );
    assert_eq!(engine.containers(), as_they_were());
}

#[tokio::test]
async fn an_interrupted_run_touches_nothing_more() {
    let engine = both_running();
    assert!(matches!(run(&engine, true).await, Err(ApplyError::Interrupted)));
    assert!(engine.calls().is_empty());
    assert_eq!(engine.containers(), as_they_were());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_stays_in_starting_times_out() {
    let engine = both_running().with_health("db", "starting");
    let error = run(&engine, false).await.unwrap_err();
    assert!(error.to_string().contains("service db did not become healthy: health is starting after 5 s"));
    assert_eq!(engine.containers(), as_they_were());
}
