use crate::compose::testing::project;
use crate::plan::When;

use super::*;

const FILE: &str = "
name: shop
services:
  db: {image: db}
  web: {image: web, ports: ['80:8080'], depends_on: {db: {condition: service_healthy}}}
";

fn relayed() -> FakeEngine {
    FakeEngine::default()
        .with_container("old-db", "shop-db-1", "running")
        .with_container_behind("old-web", "shop-web-1", "running")
        .with_relay("relay-web", "toolbox.shop.web", &["old-web"], &[80])
        .watching(&["web"])
}

fn start_first() -> Plan {
    let replaced = replace("web", UpdateOrder::StartFirst, &[(1, "old-web")]);
    plan(vec![replaced], &[("db", &["old-db"]), ("web", &["old-web"])], &[("web", 8080)])
}

#[tokio::test(start_paused = true)]
async fn start_first_is_staged_started_switched_drained_stopped_and_only_then_removed() {
    let (engine, project, plan) = (relayed(), project(FILE), start_first());
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert_eq!(
        engine.calls(),
        [
            "create shop-web-1.next",
            "rename old-web old-web_shop-web-1",
            "rename new1 shop-web-1",
            "start new1",
            "status toolbox.shop.web",
            "status toolbox.shop.web",
            "switch toolbox.shop.web [\"new1\"]",
            "drain toolbox.shop.web [\"old-web\"]",
            "stop old-web",
            "remove old-web",
        ]
    );
    assert_eq!(engine.gaps(), [""; 0]);
    assert_eq!(engine.containers(), running(&["shop-db-1", "shop-web-1", "toolbox.shop.web"]));
}

#[tokio::test(start_paused = true)]
async fn stop_first_stops_the_old_one_before_the_new_one_starts() {
    let engine = relayed();
    let project = project(FILE);
    let replaced = replace("db", UpdateOrder::StopFirst, &[(1, "old-db")]);
    let plan = plan(vec![replaced], &[("db", &["old-db"])], &[]);
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert_eq!(
        engine.calls(),
        [
            "create shop-db-1.next",
            "rename old-db old-db_shop-db-1",
            "rename new1 shop-db-1",
            "stop old-db",
            "start new1",
            "remove old-db",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_relay_the_old_one_runs_until_the_new_one_is_well() {
    let engine = relayed().watching(&["db"]);
    let project = project(FILE);
    let replaced = replace("db", UpdateOrder::StartFirst, &[(1, "old-db")]);
    let plan = plan(vec![replaced], &[("db", &["old-db"])], &[]);
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert_eq!(engine.gaps(), [""; 0]);
    assert_eq!(engine.calls()[3..], ["start new1", "stop old-db", "remove old-db"]);
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_as_gapless_as_the_way_there() {
    let (engine, project, plan) = (relayed(), project(FILE), start_first());
    let run = Run::new(&engine, &project, &plan);
    let mut containers = run.containers();
    containers.stage().await.unwrap();
    containers.flip().await.unwrap();
    let there = engine.calls().len();
    assert!(containers.roll_back().await.unwrap());
    assert_eq!(
        engine.calls()[there..],
        [
            "start old-web",
            "status toolbox.shop.web",
            "switch toolbox.shop.web [\"old-web\"]",
            "drain toolbox.shop.web [\"new1\"]",
            "stop new1",
            "rename new1 shop-web-1.next",
            "rename old-web shop-web-1",
            "remove new1",
        ]
    );
    assert_eq!(engine.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_publishes_its_ports_keeps_them_until_its_relay_stands_ready() {
    let old = FakeEngine::default().with_container("old-web", "shop-web-1", "running").holding("old-web", &[80]);
    let project = project(FILE);
    let replaced = replace("web", UpdateOrder::StartFirst, &[(1, "old-web")]);
    let plan = plan(vec![replaced, create_relay("web", None)], &[("web", &["old-web"])], &[("web", 8080)]);
    Run::new(&old, &project, &plan).go().await.unwrap();
    let calls = old.calls();
    let at = |call: &str| calls.iter().position(|c| c == call).unwrap();
    assert!(at("start new1") < at("create helper toolbox.shop.web"));
    assert_eq!(at("stop old-web"), at("create helper toolbox.shop.web") + 1);
    assert_eq!(at("start new2"), at("stop old-web") + 1);
    assert_eq!(old.targets("toolbox.shop.web"), ["new1".to_owned()].into());
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_replaced_serves_with_the_old_containers_until_its_successor_starts() {
    let (engine, project) = (relayed(), project(FILE));
    let replaced = replace("web", UpdateOrder::StartFirst, &[(1, "old-web")]);
    let operations = vec![replaced, create_relay("web", Some("relay-web"))];
    let plan = plan(operations, &[("db", &["old-db"]), ("web", &["old-web"])], &[("web", 9090)]);
    Run::new(&engine, &project, &plan).go().await.unwrap();
    let calls: Vec<String> = engine.calls().into_iter().filter(|c| !c.starts_with("status")).collect();
    let expected = [
        "start new1",
        "rename relay-web relay-web_toolbox.shop.web",
        "create helper toolbox.shop.web",
        "stop relay-web",
        "start new2",
        "drain toolbox.shop.web [\"old-web\"]",
        "stop old-web",
        "remove relay-web",
        "remove old-web",
    ];
    assert_eq!(calls[3..], expected);
    assert_eq!(engine.gaps(), ["web after 6: stop relay-web"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_makes_relays_before_anything_is_well_as_containers_may_need_each_other() {
    let (engine, project) = (FakeEngine::default().with_health("db", "starting"), project(FILE));
    let plan = plan(vec![create("db", 1), create_relay("db", None)], &[], &[("db", 5432)]);
    let run = Run::new(&engine, &project, &plan);
    let error = run.go().await.unwrap_err();
    assert!(matches!(error, ApplyError::Unwell { .. }), "{error}");
    assert!(engine.calls().contains(&"start new2".to_owned()), "{:?}", engine.calls());
}

#[tokio::test(start_paused = true)]
async fn a_left_over_that_serves_stays_until_the_relay_sends_elsewhere() {
    let engine = relayed().with_container_behind("dead", "dead_shop-web-1", "running").with_relay(
        "relay-web",
        "toolbox.shop.web",
        &["dead"],
        &[80],
    );
    let project = project(FILE);
    let operations = vec![left_over("web", "dead_shop-web-1", "dead"), switch_relay("web")];
    let plan = plan(operations, &[("web", &["old-web"])], &[("web", 8080)]);
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert_eq!(engine.gaps(), [""; 0]);
    assert_eq!(engine.targets("toolbox.shop.web"), ["old-web".to_owned()].into());
    assert_eq!(engine.calls().last().unwrap(), "remove dead");
}

#[tokio::test(start_paused = true)]
async fn what_an_interrupted_run_staged_is_removed_before_its_name_is_used_again() {
    let engine = relayed().with_container_behind("half", "shop-web-1.next", "created");
    let (project, mut plan) = (project(FILE), start_first());
    let stray = left_over("web", "shop-web-1.next", "half");
    plan.operations.push(Operation { cause: Cause::NeverInCharge, ..stray });
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert_eq!(engine.calls()[..3], ["stop half", "remove half", "create shop-web-1.next"]);
}

#[tokio::test(start_paused = true)]
async fn a_container_too_many_leaves_the_relay_before_it_stops() {
    let engine = relayed().with_container_behind("second", "shop-web-2", "running").with_relay(
        "relay-web",
        "toolbox.shop.web",
        &["old-web", "second"],
        &[80],
    );
    let project = project(FILE);
    let action = Action::RemoveContainer {
        service: Some("web".into()),
        container: "shop-web-2".into(),
        id: "second".into(),
        volumes: true,
    };
    let operations = vec![Operation { action, cause: Cause::ScaledDown }];
    let plan = plan(operations, &[("web", &["old-web", "second"])], &[("web", 8080)]);
    Run::new(&engine, &project, &plan).go().await.unwrap();
    let changes: Vec<String> = engine.calls().into_iter().filter(|c| !c.starts_with("status")).collect();
    let expected = [
        "switch toolbox.shop.web [\"old-web\"]",
        "drain toolbox.shop.web [\"second\"]",
        "stop second",
        "remove second",
    ];
    assert_eq!(changes, expected);
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_the_swap_and_leave_no_container() {
    let (engine, project, mut plan) = (relayed(), hooked(project(FILE)), start_first());
    plan.operations.insert(0, hook("web", When::Before));
    plan.operations.push(hook("web", When::After));
    let mut run = Run::new(&engine, &project, &plan);
    run.go().await.unwrap();
    let calls = engine.calls();
    let at = |call: &str| calls.iter().position(|c| c == call).unwrap();
    assert!(at("remove new2") < at("rename old-web old-web_shop-web-1"));
    assert!(at("stop old-web") < at("start new3") && at("start new3") < at("remove new3"));
    let told = run.told();
    for hook in ["hooks.before[0]", "hooks.after[0]"] {
        assert!(told.contains(&format!("web {hook}: the last line of the log")), "{told:?}");
    }
    assert_eq!(engine.containers(), running(&["shop-db-1", "shop-web-1", "toolbox.shop.web"]));
}

#[tokio::test(start_paused = true)]
async fn batches_wait_for_their_delay() {
    let engine = relayed().with_container_behind("second", "shop-web-2", "running");
    let (project, mut plan) = (project(FILE), start_first());
    plan.operations.push(replace("web", UpdateOrder::StartFirst, &[(2, "second")]));
    let Action::ReplaceContainers { delay, .. } = &mut plan.operations[1].action else { unreachable!() };
    *delay = Duration::from_secs(3600);
    let began = tokio::time::Instant::now();
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn two_first_deploys_at_once_share_the_keeper() {
    let engine = FakeEngine::default().with_relay("keeper", "toolbox.shop", &[], &[]);
    let (project, keeper) = (project(FILE), op(Action::CreateKeeper { name: "toolbox.shop".into() }));
    Run::new(&engine, &project, &plan(vec![keeper], &[], &[])).go().await.unwrap();
    assert_eq!(engine.calls().last().unwrap(), "start toolbox.shop");
}

#[tokio::test]
async fn a_container_that_shares_a_namespace_is_created_after_the_one_that_it_shares_with() {
    let project = project("{name: shop, services: {a: {image: a}, b: {image: b, network_mode: 'service:a'}}}");
    let engine = FakeEngine::default();
    let plan = plan(vec![create("a", 1), create("b", 1)], &[], &[]);
    Run::new(&engine, &project, &plan).containers().stage().await.unwrap();
    assert_eq!(engine.calls(), ["create shop-a-1.next"]);
}

#[tokio::test(start_paused = true)]
async fn a_parked_one_that_serves_in_place_of_a_sick_one_goes_last() {
    let engine = FakeEngine::default()
        .with_container_behind("parked", "parked_shop-web-1", "running")
        .with_container_behind("sick", "shop-web-1", "exited")
        .with_relay("relay-web", "toolbox.shop.web", &["parked"], &[80])
        .watching(&["web"]);
    let project = project(FILE);
    let operations =
        vec![replace("web", UpdateOrder::StartFirst, &[(1, "sick")]), left_over("web", "parked_shop-web-1", "parked")];
    let plan = plan(operations, &[("web", &["parked"])], &[("web", 8080)]);
    Run::new(&engine, &project, &plan).go().await.unwrap();
    assert_eq!(engine.gaps(), [""; 0]);
    assert_eq!(engine.targets("toolbox.shop.web"), ["new1".to_owned()].into());
    assert_eq!(engine.containers(), running(&["shop-web-1", "toolbox.shop.web"]));
}

#[tokio::test(start_paused = true)]
async fn a_keeper_is_replaced_before_anything_else_and_not_taken_for_a_container_too_many() {
    let engine = FakeEngine::default().with_relay("keeper", "toolbox.shop", &[], &[]);
    let project = project(FILE);
    let gone = Action::RemoveContainer {
        service: None,
        container: "toolbox.shop".into(),
        id: "keeper".into(),
        volumes: false,
    };
    let plan = plan(vec![op(gone), op(Action::CreateKeeper { name: "toolbox.shop".into() })], &[], &[]);
    let run = Run::new(&engine, &project, &plan);
    let mut containers = run.containers();
    containers.make_keeper().await.unwrap();
    let made =
        ["stop keeper", "remove keeper", "create volume toolbox.shop", "create helper toolbox.shop", "start new1"];
    assert_eq!(engine.calls(), made);
    containers.stage().await.unwrap();
    containers.flip().await.unwrap();
    assert_eq!(engine.calls(), made);
}

#[test]
fn a_run_can_be_sent_to_another_thread() {
    fn sent(_: impl Send) {}
    let (engine, project, plan) = (FakeEngine::default(), project(FILE), start_first());
    let run = Run::new(&engine, &project, &plan);
    let mut containers = run.containers();
    sent(async {
        containers.stage().await?;
        containers.flip().await?;
        containers.roll_back().await.map(drop).map_err(|error| ApplyError::Engine { what: String::new(), error })
    });
}
