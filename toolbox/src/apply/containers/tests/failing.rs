use crate::compose::testing::project;
use crate::compose::{Content, FailureAction, FileMount, FileObject};
use crate::image::Digest;
use crate::plan::When;

use super::*;

const FILE: &str = "
name: shop
services:
  db: {image: db}
  web: {image: web, ports: ['80:8080']}
";

fn engine() -> FakeEngine {
    FakeEngine::default()
        .with_container("old-db", "shop-db-1", "running")
        .with_container_behind("old-1", "shop-web-1", "running")
        .with_container_behind("old-2", "shop-web-2", "running")
        .with_relay("relay-web", "toolbox.shop.web", &["old-1", "old-2"], &[80])
        .watching(&["web"])
}

fn as_it_was() -> Vec<(String, String)> {
    running(&["shop-db-1", "shop-web-1", "shop-web-2", "toolbox.shop.web"])
}

/// The database first, then both containers of the web one after the other.
fn rolling() -> Plan {
    let operations = vec![
        replace("web", UpdateOrder::StartFirst, &[(1, "old-1")]),
        replace("db", UpdateOrder::StopFirst, &[(1, "old-db")]),
        replace("web", UpdateOrder::StartFirst, &[(2, "old-2")]),
    ];
    plan(operations, &[("db", &["old-db"]), ("web", &["old-1", "old-2"])], &[("web", 8080)])
}

fn acting(action: FailureAction) -> Project {
    let mut project = project(FILE);
    project.services.get_mut("db").unwrap().update.failure_action = action;
    project
}

#[tokio::test(start_paused = true)]
async fn a_failed_container_is_shown_with_its_health_check_and_its_log() {
    let (engine, project, plan) = (engine().with_health("db", "unhealthy"), project(FILE), rolling());
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "service db did not become healthy: it is unhealthy (container shop-db-1); its last health check said:\n    \
         connection refused; the last lines of its log:\n    the last line of the log"
    );
    assert_eq!(engine.containers(), as_it_was());
    assert_eq!(engine.targets("toolbox.shop.web"), ["old-1".to_owned(), "old-2".to_owned()].into());
    assert_eq!(engine.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_stays_in_starting_times_out() {
    let (engine, project, plan) = (engine().with_health("web", "starting"), project(FILE), rolling());
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert!(error.to_string().contains("health is starting after 5 s (container shop-web-1)"), "{error}");
    assert_eq!(engine.containers(), as_it_was());
}

#[tokio::test(start_paused = true)]
async fn pause_keeps_what_was_replaced_and_does_nothing_more() {
    let engine = engine().with_health("db", "unhealthy");
    let (project, plan) = (acting(FailureAction::Pause), rolling());
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert!(error.keeps(), "{error}");
    assert!(error.to_string().contains("service db did not become healthy"), "{error}");
    // The first of the web is new, the second and the database are as they were, and nothing is left beside them.
    assert_eq!(engine.containers(), as_it_was());
    assert_eq!(engine.targets("toolbox.shop.web"), ["new1".to_owned(), "old-2".to_owned()].into());
    assert_eq!(engine.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_relay_is_rolled_back_whatever_the_service_asks_for() {
    let engine = engine().with_health("web", "unhealthy");
    let (mut project, mut plan) = (project(FILE), rolling());
    project.services.get_mut("web").unwrap().update.failure_action = FailureAction::Continue;
    plan.operations.push(create_relay("web", Some("relay-web")));
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert!(!error.keeps(), "{error}");
    assert_eq!(engine.containers(), as_it_was());
}

#[tokio::test(start_paused = true)]
async fn continue_goes_on_with_the_next_container_and_fails_at_the_end() {
    let engine = engine().with_health("db", "unhealthy");
    let (project, plan) = (acting(FailureAction::Continue), rolling());
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert!(error.keeps(), "{error}");
    assert_eq!(engine.containers(), as_it_was());
    assert_eq!(engine.targets("toolbox.shop.web"), ["new1".to_owned(), "new3".to_owned()].into());
    assert!(engine.calls().contains(&"start old-db".to_owned()));
    assert_eq!(engine.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_ends_the_deploy_before_anything_is_replaced() {
    let engine = engine().with_hook_status("web", 3);
    let (project, mut plan) = (hooked(project(FILE)), rolling());
    plan.operations.insert(0, hook("web", When::Before));
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    let text =
        "service web: hook `migrate …` exited with status 3; the last lines of its log:\n    the last line of the log";
    assert_eq!(error.to_string(), text);
    assert_eq!(engine.containers(), as_it_was());
    assert!(!engine.calls().iter().any(|c| c.starts_with("rename")), "{:?}", engine.calls());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ended_well_serves_nobody_behind_a_relay() {
    let (engine, project, plan) = (engine().with_health("web", "exits"), project(FILE), rolling());
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert!(error.to_string().contains("exited with status 0"), "{error}");
    assert_eq!(engine.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_while_staging_touches_nothing_in_charge() {
    for call in 0..3 {
        let (engine, project, plan) = (engine().failing_at(&[call]), project(FILE), rolling());
        let run = Run::new(&engine, &project, &plan);
        let mut containers = run.containers();
        containers.stage().await.unwrap_err();
        assert!(!containers.roll_back().await.unwrap(), "call {call} touched something");
        assert_eq!(engine.containers(), as_it_was());
        let touching =
            engine.calls().into_iter().filter(|c| !c.starts_with("create shop") && !c.starts_with("remove new"));
        assert_eq!(touching.collect::<Vec<_>>(), [""; 0], "call {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_cannot_be_removed_is_named() {
    let (project, plan) = (project(FILE), rolling());
    let calls = {
        let engine = engine();
        Run::new(&engine, &project, &plan).go().await.unwrap();
        engine.calls().len()
    };
    let engine = engine().failing_at(&[calls - 2]);
    let error = Run::new(&engine, &project, &plan).go().await.unwrap_err();
    assert!(error.to_string().starts_with("removing old-db_shop-db-1: "), "{error}");
    assert!(engine.containers().contains(&("old-db_shop-db-1".into(), "exited".into())));
}

#[tokio::test(start_paused = true)]
async fn files_are_stored_by_what_they_hold_and_shown_where_the_service_wants_them() {
    let mut project = project(FILE);
    let content = b"password".to_vec();
    let digest = Digest::of(&content).hex();
    let here = FileObject { digest: digest.clone(), content: Content(content.into()) };
    let there = FileObject { digest: "00".repeat(32), content: Content::default() };
    project.secrets = [("here".to_owned(), here), ("there".to_owned(), there)].into();
    let mount =
        |key: &str| FileMount { key: key.into(), target: format!("/run/secrets/{key}"), uid: 1, gid: 2, mode: 0o400 };
    project.services.get_mut("db").unwrap().secrets = vec![mount("here"), mount("there")];
    let engine = engine().with_relay("keeper", "toolbox.shop", &[], &[]);
    let store = Action::StoreFiles { configs: vec![], secrets: vec!["here".into(), "there".into()] };
    let operations = vec![op(store), replace("db", UpdateOrder::StopFirst, &[(1, "old-db")])];
    Run::new(&engine, &project, &plan(operations, &[("db", &["old-db"])], &[])).go().await.unwrap();
    let path = |digest: &str| format!("/volumes/toolbox.shop/_data/files/{digest}-1-2-400");
    let expected =
        [(path(&digest), "/run/secrets/here".to_owned()), (path(&"00".repeat(32)), "/run/secrets/there".to_owned())];
    assert_eq!(engine.files("shop-db-1"), expected);
    let tarball = String::from_utf8_lossy(&engine.tarballs()[0]).into_owned();
    assert!(tarball.contains("password") && !tarball.contains(&"00".repeat(32)));
}
