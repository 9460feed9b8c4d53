use super::shop::{GAPLESS, SERVED, change, host, routes, shop};
use super::*;

/// What is on the host beside what the change adds and may stay.
fn containers(engine: &FakeEngine) -> Vec<(String, String)> {
    engine.containers().into_iter().filter(|(name, _)| name != "toolbox.shop").collect()
}

/// The calls of a run in which nothing fails: all, and those before the first removal of what was replaced.
async fn calls_of_a_good_run() -> (usize, usize) {
    let (engine, project, plan) = (host(), shop(), change());
    Run::new(&engine, &project, &plan).go().await.unwrap();
    let calls = engine.calls();
    let removals = calls.iter().rev().take_while(|c| c.starts_with("remove")).count();
    assert!(removals >= 10, "{calls:#?}");
    (calls.len(), calls.len() - removals)
}

#[tokio::test(start_paused = true)]
async fn a_large_change_leaves_what_the_plan_names_and_nothing_else() {
    let (engine, project, plan) = (host(), shop(), change());
    Run::new(&engine, &project, &plan).go().await.unwrap();
    let services = ["alone-1", "api-1", "cache-1", "db-1", "fresh-1", "front-1", "moved-1", "plain-1"];
    let services = services.into_iter().chain(["web-1", "web-2", "web-3"]).map(|s| format!("shop-{s}"));
    let relays = ["", ".api", ".fresh", ".front", ".moved", ".web"].map(|r| format!("toolbox.shop{r}"));
    let names: Vec<String> = services.chain(relays).collect();
    assert_eq!(engine.containers(), running(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(engine.targets("toolbox.shop.web").len(), 3);
    assert_eq!(engine.gaps(), [""; 0]);
    for service in SERVED.iter().chain(&["fresh"]) {
        assert!(engine.serves(service), "{service}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_brings_everything_back_without_a_gap() {
    let (_, calls) = calls_of_a_good_run().await;
    let (before, sent) = (containers(&host()), routes(&host()));
    for call in 0..calls {
        let (engine, project, plan) = (host().failing_at(&[call]), shop(), change());
        let failed = Run::new(&engine, &project, &plan).go().await;
        let what = format!("call {call}, {}", engine.calls()[call]);
        // A relay that has just been started is asked again.
        let Err(error) = failed else {
            assert!(
                engine.calls()[call].starts_with("status toolbox.shop.f")
                    || engine.calls()[call].starts_with("status toolbox.shop.moved"),
                "{what}"
            );
            continue;
        };
        assert!(error.to_string().contains("injected fault"), "{what}: {error}");
        assert_eq!(containers(&engine), before, "{what}");
        assert_eq!(routes(&engine), sent, "{what}");
        assert_eq!(engine.gaps(), [""; 0], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_say_how_a_container_does_opens_no_gap() {
    let (before, sent) = (containers(&host()), routes(&host()));
    for look in 0.. {
        let (engine, project, plan) = (host().blind_at(look), shop(), change());
        let done = Run::new(&engine, &project, &plan).go().await;
        assert_eq!(engine.gaps(), [""; 0], "look {look}");
        if done.is_err() {
            assert_eq!(containers(&engine), before, "look {look}");
            assert_eq!(routes(&engine), sent, "look {look}");
        }
        if engine.looks() <= look {
            assert!(look > 30, "{look}");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_the_services_are_served_and_nothing_earlier_is_gone() {
    let (_, calls) = calls_of_a_good_run().await;
    let earlier: Vec<String> = containers(&host()).into_iter().map(|(name, _)| name).collect();
    for call in 0..calls {
        let (engine, project, plan) = (host().cut_at(call), shop(), change());
        let run = Run::new(&engine, &project, &plan);
        tokio::select! {
            done = run.go() => panic!("call {call} was not cut: {done:?}"),
            () = engine.was_cut() => {}
        }
        let what = format!("call {call}, {}", engine.calls()[call]);
        assert_eq!(engine.gaps(), [""; 0], "{what}");
        assert!(GAPLESS.iter().all(|service| engine.serves(service)), "{what}");
        let removed = engine.calls().into_iter().filter(|c| c.starts_with("remove") && !c.starts_with("remove new"));
        assert_eq!(removed.collect::<Vec<_>>(), [""; 0], "{what}");
        assert!(engine.containers().len() >= earlier.len(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_at_any_call_brings_everything_back_without_a_gap() {
    let (all, calls) = calls_of_a_good_run().await;
    let (before, sent) = (containers(&host()), routes(&host()));
    let mut interrupted = 0;
    for call in 0..all {
        let (sender, interrupt) = watch::channel(false);
        let (engine, project, plan) = (host().interrupted_at(call, sender), shop(), change());
        let done = Run::interrupted_by(&engine, &project, &plan, interrupt).go().await;
        let what = format!("call {call}, {}", engine.calls()[call]);
        assert_eq!(engine.gaps(), [""; 0], "{what}");
        match done {
            Err(ApplyError::Interrupted) => {
                interrupted += 1;
                assert_eq!(containers(&engine), before, "{what}");
                assert_eq!(routes(&engine), sent, "{what}");
            }
            Err(error) => panic!("{what}: {error}"),
            // Past the last wait everything is as the plan wants it.
            Ok(()) => assert!(call + 4 > calls, "{what}"),
        }
    }
    assert!(interrupted + 4 > calls);
}

#[tokio::test(start_paused = true)]
async fn a_fault_on_the_way_back_takes_away_nobody_who_serves() {
    let (_, there) = calls_of_a_good_run().await;
    let mut failures = 0;
    for call in there.. {
        let (engine, project, plan) = (host().failing_at(&[call]), shop(), change());
        let run = Run::new(&engine, &project, &plan);
        let mut containers = run.containers();
        containers.stage().await.unwrap();
        containers.flip().await.unwrap();
        let back = containers.roll_back().await;
        assert_eq!(engine.gaps(), [""; 0], "call {call}: {:?}", engine.calls().get(call));
        if engine.calls().len() <= call {
            break;
        }
        failures += usize::from(back.is_err());
    }
    assert!(failures > 40, "{failures}");
}
