//! Runs that were killed, and what the next one makes of it.

use crate::compose::testing::project;
use crate::image::{Digest, Reference};
use crate::plan::{Desired, DesiredImage, HostFacts, reconcile};
use crate::state::{ImageFacts, ObservedContainer};

use super::*;

/// A service of which only one container may run; each version has another setting.
fn version(version: u8) -> Project {
    let mut project = project(&format!(
        "{{name: shop, services: {{db: {{image: db, restart: always, environment: {{V: '{version}'}}}}}}}}"
    ));
    project.services.get_mut("db").unwrap().update.order = Some(UpdateOrder::StopFirst);
    project
}

/// The first version runs.
fn host() -> FakeEngine {
    FakeEngine::default().with_container("old-db", "shop-db-1", "running")
}

fn image(name: &str) -> DesiredImage {
    let layers = vec![Digest::of(name.as_bytes()).into()];
    let facts = ImageFacts::new(String::new(), layers, None, &serde_json::json!({})).on("linux", "");
    DesiredImage { reference: Reference::parse(name).unwrap(), facts, layer_sizes: BTreeMap::new() }
}

async fn planned(engine: &FakeEngine, project: &Project) -> Plan {
    let (images, helper) = (BTreeMap::from([("db".to_owned(), image("db"))]), image("toolbox-relay:0123456789ab"));
    let desired = Desired { project, images: &images, helper: &helper, services: None, remove_orphans: false };
    let state = engine.observe("shop").await.unwrap();
    let mut plan =
        reconcile(desired, &HostFacts { host: "h".into(), engine: Ok(state), listening: [].into() }).unwrap();
    // The engine in memory has no images, and shows no keeper's hash.
    let shared =
        |a: &Action| matches!(a, Action::PushImage { .. } | Action::CreateKeeper { .. } | Action::CreateNetwork { .. });
    plan.operations.retain(|o| !shared(&o.action));
    plan
}

/// Deploys; `false` where it was killed at this call.
async fn deployed(engine: &FakeEngine, project: &Project) -> Option<Result<(), ApplyError>> {
    let plan = planned(engine, project).await;
    let run = Run::new(engine, project, &plan);
    tokio::select! {
        done = run.go() => Some(done),
        () = engine.was_cut() => None,
    }
}

/// The engine's ids of the service's containers that run, or that are well.
async fn ids(engine: &FakeEngine, which: impl Fn(&ObservedContainer) -> bool) -> Vec<String> {
    let all = engine.observe("shop").await.unwrap().containers.into_iter();
    all.filter(|c| c.service.is_some() && which(c)).map(|c| c.id).collect()
}

/// A run is killed at each call in turn, once where its container never becomes healthy and once where it does, and so is
/// the next; the one after that fails.
#[tokio::test(start_paused = true)]
async fn what_was_healthy_last_is_what_a_failing_deploy_brings_back_after_killed_ones() {
    let mut seen = BTreeSet::new();
    for (second, third) in (0..8).flat_map(|second| (0..10).map(move |third| (second, third))) {
        for healthy in [false, true] {
            let mut engine = host().cut_at(second);
            if !healthy {
                engine = engine.with_health("db", "starting");
            }
            let killed = deployed(&engine, &version(2)).await.is_none();
            let before = ids(&engine, ObservedContainer::is_well).await;
            let good = if before.is_empty() { vec!["old-db".to_owned()] } else { before };
            let calls = engine.calls().len();
            let engine = engine.with_health("db", "starting").cut_at(calls + third);
            let _ = deployed(&engine, &version(3)).await;
            let engine = engine.with_health("db", "unhealthy").cut_at(usize::MAX);
            let failed = deployed(&engine, &version(4)).await.unwrap();
            let what = format!("{second} {third} {healthy}: {:#?} {:?}", engine.calls(), engine.containers());
            assert!(matches!(failed, Err(ApplyError::Unwell { .. })), "{what} {failed:?}");
            assert_eq!(ids(&engine, ObservedContainer::is_running).await, good, "{what}");
            seen.insert((killed, good));

            let engine = engine.with_health("db", "healthy");
            deployed(&engine, &version(4)).await.unwrap().unwrap();
            assert_eq!(engine.containers(), running(&["shop-db-1"]), "{what}");
        }
    }
    assert!(seen.len() >= 3, "{seen:?}");
}
