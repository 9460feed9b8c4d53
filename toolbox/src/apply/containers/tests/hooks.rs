//! What hooks write while they run.

use crate::compose::testing::project;
use crate::plan::When;

use super::*;

fn shop() -> Project {
    hooked(project("{name: shop, services: {web: {image: web, ports: ['80:8080']}}}"))
}

fn before() -> Plan {
    plan(vec![hook("web", When::Before)], &[], &[("web", 8080)])
}

#[tokio::test(start_paused = true)]
async fn lines_are_told_whole_while_the_hook_runs() {
    let engine = FakeEngine::default().with_hook_output("web", &["one\r\ntw", "o\n", "\nthree"]);
    let (project, plan) = (shop(), before());
    let mut run = Run::new(&engine, &project, &plan);
    run.go().await.unwrap();
    let told = ["one", "two", "", "three"].map(|line| format!("web hooks.before[0]: {line}"));
    assert_eq!(run.told(), told);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_writes_faster_than_it_is_shown_waits() {
    let parts = ["x\n".repeat(1000).leak() as &str];
    let engine = FakeEngine::default().with_hook_output("web", &parts);
    let (project, plan) = (shop(), before());
    let mut run = Run::new(&engine, &project, &plan);
    let error = run.go().await.unwrap_err();
    assert!(error.to_string().contains("still ran after 5 s"), "{error}");
    assert_eq!(run.told().len(), 256);
}

#[tokio::test(start_paused = true)]
async fn a_line_without_an_end_is_told_in_parts() {
    let parts = ["x".repeat(10_000).leak() as &str, "\n"];
    let engine = FakeEngine::default().with_hook_output("web", &parts);
    let (project, plan) = (shop(), before());
    let mut run = Run::new(&engine, &project, &plan);
    run.go().await.unwrap();
    let lengths: Vec<usize> = run.told().iter().map(|line| line.matches('x').count()).collect();
    assert_eq!(lengths, [4096, 4096, 1808]);
}
