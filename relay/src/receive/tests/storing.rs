//! Parts in any order, twice, by several sessions, cut off and taken up again.

use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use toolbox_wire::{Codec, ErrorKind, Layer, Range, Reply, Request, VERSION};

use super::*;

fn codec(number: usize) -> Codec {
    if number.is_multiple_of(2) { Codec::Raw } else { Codec::Zstd }
}

/// What is not in these ranges.
fn gaps(held: &[Range], size: u64) -> Vec<Range> {
    let starts = held.iter().map(|(_, to)| *to);
    let ends = held.iter().map(|(from, _)| *from);
    let gaps = [0].into_iter().chain(starts).zip(ends.chain([size]));
    gaps.filter(|(from, to)| from < to).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_order_and_wherever_cut_the_layer_is_the_same_in_the_end(
        length in 1usize..100_000,
        parts in vec((0.0..1.0f64, 1usize..20_000), 0..24),
        cuts in (0.0..1.0f64, 0.0..1.0f64),
    ) {
        let (host, layer) = (Host::new(), noise(length as u64, length));
        let part = |(at, most): &(f64, usize)| {
            let from = (at * (length - 1) as f64) as usize;
            (from as u64, (from + most).min(length) as u64)
        };
        let frames: Vec<Frame> = parts.iter().map(part).enumerate().map(|(at, part)| put(&layer, part, codec(at))).collect();
        let (one, other) = frames.split_at(frames.len() / 2);
        let cut = |frames: &[Frame], cut: f64| {
            let bytes = bytes(frames);
            bytes[..(bytes.len() as f64 * cut) as usize].to_vec()
        };
        let inputs = [("one", cut(one, cuts.0)), ("two", cut(other, cuts.1)), ("one", cut(other, cuts.0))];
        thread::scope(|scope| {
            for (receiver, input) in &inputs {
                scope.spawn(|| host.session(receiver).answer(&input[..]));
            }
        });
        let rest: Vec<Frame> = gaps(&host.held(&layer), length as u64).into_iter().map(|gap| put(&layer, gap, Codec::Zstd)).collect();
        host.ask("three", &rest);
        prop_assert_eq!(host.held(&layer), vec![(0, length as u64)]);
        let replies = host.ask("three", &[load(&[&layer])]);
        prop_assert!(matches!(replies.last(), Some(Reply::Loaded { .. })), "{:?}", replies.last());
        assert_loaded(&host.engine.loaded(), &[&layer]);
    }
}

#[test]
fn replies_come_in_the_order_of_the_requests() {
    let (host, layer) = (Host::new(), noise(1, 1000));
    let have = Request::Have { layers: vec![Layer { diff_id: id(&layer), size: 1000 }] };
    let hello = (Request::Hello { version: VERSION }, vec![]);
    let frames = [hello, put(&layer, (500, 1000), Codec::Raw), (have, vec![]), put(&layer, (0, 9), Codec::Zstd)];
    let replies = host.ask("one", &frames);
    let Reply::Hello { version: VERSION, engine, free } = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(*engine, toolbox_wire::EngineState::Ok("1.41".to_owned()));
    assert!(*free > 0);
    let stored = |offset, length| Reply::Stored { diff_id: id(&layer), offset, length };
    let held = Reply::Have(vec![Held { diff_id: id(&layer), ranges: vec![(500, 1000)] }]);
    assert_eq!(replies[1..], [stored(500, 500), held, stored(0, 9)]);
}

#[test]
fn an_engine_out_of_reach_is_said_at_the_beginning() {
    let host = Host::new();
    let mut session = Session::with(host.spool("one"), Engine::at("/nowhere/engine.sock".into()), Vec::new()).unwrap();
    session.answer(&bytes(&[(Request::Hello { version: VERSION }, vec![])])[..]).unwrap();
    let [Reply::Hello { engine: toolbox_wire::EngineState::Err(text), .. }] = &session.said()[..] else { panic!() };
    assert!(text.contains("/nowhere/engine.sock"), "{text}");
}

#[test]
fn a_part_that_its_file_does_not_hold_is_not_held() {
    let (host, layer) = (Host::new(), noise(2, 5000));
    host.ask("one", &[whole(&layer)]);
    std::fs::File::options().write(true).open(host.path(&layer, "part")).unwrap().set_len(1000).unwrap();
    assert_eq!(host.held(&layer), [(0, 1000)]);
    std::fs::remove_file(host.path(&layer, "part")).unwrap();
    assert_eq!(host.held(&layer), []);
}

#[test]
fn a_full_disk_has_its_own_kind() {
    for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
        let fault = super::super::Fault::from(std::io::Error::from(errno));
        assert_eq!(fault.kind, ErrorKind::Space);
    }
    assert_eq!(super::super::Fault::from(std::io::Error::from(rustix::io::Errno::IO)).kind, ErrorKind::Io);
}
