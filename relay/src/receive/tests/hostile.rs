//! Requests that lie.

use toolbox_wire::{Codec, ErrorKind, MOST_RAW, Reply};

use super::*;

fn kind(host: &Host, frame: Frame) -> ErrorKind {
    match host.ask_one(frame) {
        Reply::Error { kind, .. } => kind,
        reply => panic!("{reply:?}"),
    }
}

fn lying(layer: &[u8], (size, offset, length): (u64, u64, u64), codec: Codec, payload: Vec<u8>) -> Frame {
    (Request::Put { diff_id: id(layer), size, offset, length, codec, payload: payload.len() as u64 }, payload)
}

#[test]
fn a_part_beyond_its_layer_or_the_limits_ends_the_session() {
    let (host, layer) = (Host::new(), noise(1, 100));
    let part = layer.clone();
    for numbers in [(100, 1, 100), (99, 0, 100), (u64::MAX, u64::MAX - 50, 100), (1 << 50, 1 << 49, 100), (0, 0, 100)] {
        let frames = [lying(&layer, numbers, Codec::Raw, part.clone()), whole(&layer)];
        let replies = host.ask("one", &frames);
        assert!(matches!(&replies[..], [Reply::Error { kind: ErrorKind::Protocol, .. }]), "{numbers:?}: {replies:?}");
    }
    for length in [0, MOST_RAW as u64 + 1, u64::MAX] {
        assert_eq!(kind(&host, lying(&layer, (u64::MAX, 0, length), Codec::Raw, vec![])), ErrorKind::Protocol);
    }
    assert_eq!(host.held(&layer), []);
    assert_eq!(host.names(), ["lock", "sessions-one"]);
}

#[test]
fn a_payload_that_is_not_its_part_is_not_noted() {
    let (host, layer) = (Host::new(), noise(1, 1 << 20));
    let bomb = zstd::bulk::compress(&vec![0; 16 << 20], 1).unwrap();
    let small = zstd::bulk::compress(&layer[..99], 1).unwrap();
    let mut damaged = zstd::bulk::compress(&layer[..100], 1).unwrap();
    damaged.truncate(50);
    for payload in [bomb, small, damaged, vec![], noise(5, 4000)] {
        let frames = [lying(&layer, (1 << 20, 0, 100), Codec::Zstd, payload), put(&layer, (100, 200), Codec::Zstd)];
        let replies = host.ask("one", &frames);
        assert!(matches!(replies[0], Reply::Error { kind: ErrorKind::Chunk, .. }), "{replies:?}");
        assert!(matches!(replies[1], Reply::Stored { .. }), "the session goes on");
    }
    assert_eq!(kind(&host, lying(&layer, (1 << 20, 0, 100), Codec::Raw, layer[..99].to_vec())), ErrorKind::Chunk);
    assert_eq!(host.held(&layer), [(100, 200)]);
}

#[test]
fn pieces_outside_of_layer_or_base_copy_nothing() {
    let (host, layer, old) = (Host::new(), noise(1, 1000), noise(2, 500));
    let copy = |pieces: &[(u64, u64, u64)]| {
        let pieces = pieces.to_vec();
        (Request::Copy { diff_id: id(&layer), size: 1000, base: id(&old), pieces }, vec![])
    };
    assert_eq!(kind(&host, copy(&[(0, 0, 10)])), ErrorKind::Base);
    std::fs::write(host.path(&old, "base"), &old).unwrap();
    let max = u64::MAX;
    for bad in [(0, 491, 10), (991, 0, 10), (max, 0, 10), (0, max, 10), (0, 0, max), (0, 0, 0), (max, max, max)] {
        assert_eq!(kind(&host, copy(&[(0, 0, 10), bad])), ErrorKind::Protocol, "{bad:?}");
    }
    assert_eq!(kind(&host, copy(&[])), ErrorKind::Protocol);
    assert_eq!(host.held(&layer), []);
    assert!(matches!(
        host.ask_one(copy(&[(990, 490, 10), (0, 0, 500), (400, 0, 200)])),
        Reply::Stored { length: 710, .. }
    ));
    assert_eq!(host.held(&layer), [(0, 600), (990, 1000)]);
}

#[test]
fn a_tarball_of_another_form_or_size_is_not_begun() {
    let (host, layer) = (Host::new(), noise(1, 1000));
    let (Request::Load { entries, size }, _) = load(&[&layer]) else { panic!() };
    let mut evil = entries.clone();
    evil.push(Entry::Text { path: "../../etc/passwd".to_owned(), text: vec![] });
    for (entries, size) in [(entries, size + 512), (evil, size + 512)] {
        assert_eq!(kind(&host, (Request::Load { entries, size }, vec![])), ErrorKind::Protocol);
    }
    assert!(host.engine.seen.lock().unwrap().requests.is_empty());
}

#[test]
fn more_questions_than_are_allowed_are_refused() {
    let host = Host::new();
    let layers = vec![Layer { diff_id: DiffId([1; 32]), size: 1 }; toolbox_wire::MOST_LAYERS + 1];
    assert_eq!(kind(&host, (Request::Have { layers }, vec![])), ErrorKind::Protocol);
}
