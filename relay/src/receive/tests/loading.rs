//! What reaches the engine.

use std::thread;
use std::time::Duration;

use toolbox_wire::{Codec, ErrorKind, Reply};

use super::engine::Manner;
use super::*;

fn run(host: &Host, frame: &Frame, patience: Duration) -> Result<Reply, super::super::Fault> {
    let Request::Load { entries, size } = &frame.0 else { panic!() };
    let spool = host.spool("loader");
    spool.join().unwrap();
    let engine = Engine::at(host.engine.socket());
    super::super::load::Load { spool: &spool, engine: &engine, patience, is_alone: || false }.run(
        entries,
        *size,
        &mut |_| (),
    )
}

#[test]
fn a_load_takes_what_still_arrives_and_leaves_nothing_behind() {
    let host =
        Host::with(FakeEngine::of(Manner { says: "{\"stream\":\"Loaded image: a\\n\"}\r\n{}", ..Manner::default() }));
    let (one, two) = (noise(1, 700_000), noise(2, 300_001));
    let replies = thread::scope(|scope| {
        let loading = scope.spawn(|| host.ask("one", &[load(&[&one, &two])]));
        let parts = [(600_000, 700_000), (0, 300_000), (300_000, 600_000)].map(|range| put(&one, range, Codec::Zstd));
        host.ask(
            "one",
            &[&[put(&two, (1, 300_001), Codec::Raw)], &parts[..], &[put(&two, (0, 1), Codec::Raw)]].concat(),
        );
        loading.join().unwrap()
    });
    let (last, progress) = replies.split_last().unwrap();
    assert_eq!(*last, Reply::Loaded { messages: vec!["Loaded image: a".to_owned()] });
    assert!(progress.iter().all(Reply::is_progress) && !progress.is_empty());
    assert_loaded(&host.engine.loaded(), &[&one, &two]);
    assert_eq!(host.names(), ["loaded-one", "loaded-one", "lock", "sessions-one"]);
}

#[test]
fn a_layer_of_another_digest_is_forgotten_and_the_engine_loads_nothing() {
    let host = Host::new();
    let (good, bad) = (noise(1, 4000), noise(2, 100_000));
    let mut wrong = bad.clone();
    wrong[99_999] ^= 1;
    host.ask("one", &[whole(&good), put_as(id(&bad), 100_000, (0, &wrong), Codec::Zstd)]);
    let reply = host.ask_one(load(&[&good, &bad]));
    let Reply::Error { kind: ErrorKind::Digest, diff_id, .. } = reply else { panic!("{reply:?}") };
    assert_eq!(diff_id, Some(id(&bad)));
    let seen = host.engine.seen.lock().unwrap();
    assert!(seen.loaded.is_empty() && seen.broken.len() == 1);
    drop(seen);
    assert_eq!((host.held(&good), host.held(&bad)), (vec![(0, 4000)], vec![]));
    host.ask("one", &[whole(&bad)]);
    assert!(matches!(host.ask_one(load(&[&good, &bad])), Reply::Loaded { .. }));
    assert_loaded(&host.engine.loaded(), &[&good, &bad]);
}

#[test]
fn a_load_waits_as_long_as_parts_of_any_layer_arrive() {
    let (host, one, two) = (Host::new(), noise(1, 4000), noise(2, 4000));
    host.ask("one", &[put(&one, (0, 3999), Codec::Raw), whole(&two)]);
    let fault = run(&host, &load(&[&one, &two]), Duration::from_millis(100)).unwrap_err();
    assert_eq!((fault.kind, fault.diff_id), (ErrorKind::Missing, Some(id(&one))));
    let seen = host.engine.seen.lock().unwrap();
    assert!(seen.loaded.is_empty() && seen.broken.len() == 1);
    drop(seen);
    assert_eq!(host.held(&one), [(0, 3999)]);
}

#[test]
fn what_the_engine_says_is_passed_on() {
    let layer = noise(1, 800_000);
    let says = "{\"stream\":\"Loading\"}\n{\"errorDetail\":{\"message\":\"m\"},\"error\":\"no space left\"}\n";
    let early = Manner { refuses: Some((100_000, "read-only")), ..Manner::default() };
    let late = Manner { says, ..Manner::default() };
    for (manner, text) in [(early, "read-only"), (late, "no space left")] {
        let host = Host::with(FakeEngine::of(manner));
        host.ask("one", &[whole(&layer)]);
        let reply = host.ask_one(load(&[&layer]));
        assert_eq!(reply, Reply::Error { kind: ErrorKind::Engine, text: text.to_owned(), diff_id: None });
        assert_eq!(host.held(&layer), [(0, 800_000)], "a refused load loses nothing");
    }
}

#[test]
fn an_engine_that_refuses_while_parts_are_awaited_is_believed() {
    let host = Host::with(FakeEngine::of(Manner { refuses: Some((1024, "shutting down")), ..Manner::default() }));
    let layer = noise(1, 5000);
    let fault = run(&host, &load(&[&layer]), Duration::from_secs(3600)).unwrap_err();
    assert_eq!((fault.kind, fault.text.as_str()), (ErrorKind::Engine, "shutting down"));
}

#[test]
fn documents_alone_are_a_load_and_an_empty_layer_is_one() {
    let host = Host::new();
    assert!(matches!(host.ask_one(load(&[&[]])), Reply::Loaded { .. }));
    assert_loaded(&host.engine.loaded(), &[&[]]);
    assert!(matches!(host.ask_one(load(&[])), Reply::Loaded { .. }));
}
