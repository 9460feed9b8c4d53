//! Layers read out of the engine, in every form in which engines save images.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use toolbox_wire::{
    ALGORITHM, Codec, Delta, Difference, ErrorKind, MOST_LAYERS, MOST_REFERENCE, PatchForm, Reference, Reply, chunks,
    unpack,
};
use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

use super::engine::Manner;
use super::*;

fn append(builder: &mut Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, path, content).unwrap();
}

fn link(builder: &mut Builder<Vec<u8>>, path: &str, target: &str) {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, path, target).unwrap();
}

fn tarball(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    link(&mut builder, "00ff/layer.tar", "../beef/layer.tar");
    entries.iter().for_each(|(path, content)| append(&mut builder, path, content));
    append(&mut builder, "manifest.json", b"[]");
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn blob(content: Vec<u8>) -> (String, Vec<u8>) {
    (format!("blobs/sha256/{}", id(&content).hex()), content)
}

/// Both layers in the forms of: an engine before 25, podman, a graph driver, a containerd store.
fn forms(one: &[u8], two: &[u8]) -> [Vec<u8>; 5] {
    let classic = |layer: &[u8], folder: char| (format!("{}/layer.tar", folder.to_string().repeat(64)), layer.to_vec());
    let podman = |layer: &[u8]| (format!("{}.tar", id(layer).hex()), layer.to_vec());
    let zstd = |layer: &[u8]| blob(zstd::bulk::compress(layer, 1).unwrap());
    let json = blob(b"{}".to_vec());
    [
        tarball(&[classic(one, 'a'), (format!("{}.json", id(b"{}").hex()), b"{}".to_vec()), classic(two, 'b')]),
        tarball(&[podman(one), podman(two)]),
        tarball(&[json.clone(), blob(one.to_vec()), blob(two.to_vec())]),
        tarball(&[json.clone(), blob(gzip(one)), blob(gzip(two))]),
        tarball(&[json, zstd(one), zstd(two)]),
    ]
}

fn base(layer: &[u8]) -> Frame {
    base_and(layer, &[])
}

fn base_and(layer: &[u8], also: &[&[u8]]) -> Frame {
    let (image, algorithm) = ("registry.example:5000/a/b:1".to_owned(), ALGORITHM.to_owned());
    let also = also.iter().map(|layer| id(layer)).collect();
    (Request::Base { image, diff_id: id(layer), also, algorithm }, vec![])
}

fn refused(reply: Reply) -> (ErrorKind, String) {
    match reply {
        Reply::Error { kind, text, .. } => (kind, text),
        reply => panic!("{reply:?}"),
    }
}

#[test]
fn a_layer_is_found_in_every_form_and_makes_another_one() {
    let (other, old) = (noise(1, 50_000), noise(2, 200_000));
    let new = [&old[..100_001], b"one more line", &old[100_001..]].concat();
    for (form, saved) in forms(&other, &old).into_iter().enumerate() {
        let host = Host::with(FakeEngine::saving(saved));
        let mut session = host.session("one");
        session.answer(&bytes(&[base(&old), base(&old)])[..]).unwrap();
        let replies: Vec<_> = session.said().into_iter().filter(|reply| !reply.is_progress()).collect();
        let [Reply::Base { chunks: signature }, again] = &replies[..] else { panic!("form {form}: {replies:?}") };
        assert_eq!(*again, Reply::Base { chunks: signature.clone() });
        assert_eq!(host.engine.seen.lock().unwrap().requests.len(), 1, "it is read once");
        let delta = Delta::between(&chunks(&new), &unpack(signature).unwrap());
        assert!(delta.literal_bytes() < 75_000);
        let (diff_id, size) = (id(&new), new.len() as u64);
        let copy = (Request::Copy { diff_id, size, base: id(&old), pieces: delta.pieces.clone() }, vec![]);
        let literals = delta.literals.iter().map(|literal| put(&new, *literal, Codec::Zstd));
        let frames: Vec<_> = [copy].into_iter().chain(literals).chain([load(&[&new])]).collect();
        session.answer(&bytes(&frames)[..]).unwrap();
        assert_loaded(&host.engine.loaded(), &[&new]);
        assert_eq!(host.names(), ["loaded-one", "lock", "sessions-one"], "form {form}");
    }
}

#[test]
fn the_engine_is_asked_once_for_several_layers_of_an_image() {
    let (one, two, absent) = (noise(1, 50_000), noise(2, 60_000), noise(3, 10));
    for (form, saved) in forms(&one, &two).into_iter().enumerate() {
        let host = Host::with(FakeEngine::saving(saved));
        let replies = host.ask("one", &[base_and(&two, &[&one, &absent]), base(&one)]);
        let replies: Vec<_> = replies.into_iter().filter(|reply| !reply.is_progress()).collect();
        assert!(matches!(replies[..], [Reply::Base { .. }, Reply::Base { .. }]), "form {form}: {replies:?}");
        assert_eq!(host.engine.seen.lock().unwrap().requests.len(), 1, "form {form}");
        assert_eq!(std::fs::read(host.path(&one, "base")).unwrap(), one);
        assert_eq!(refused(host.ask_one(base_and(&one, &vec![&one[..]; MOST_LAYERS + 1]))).0, ErrorKind::Protocol);
    }
}

/// From the first byte to the one behind the last.
type Span = (usize, usize);

/// A part packed with a part of the old layer as its prefix.
fn patch(new: &[u8], (from, to): Span, old: &[u8], (offset, end): Span) -> Frame {
    let mut zstd = CCtx::create();
    // The window must reach back over part and prefix.
    zstd.set_parameter(CParameter::WindowLog(24)).unwrap();
    zstd.set_parameter(CParameter::EnableLongDistanceMatching(true)).unwrap();
    zstd.ref_prefix(&old[offset..end]).unwrap();
    let mut payload = Vec::with_capacity(compress_bound(to - from));
    zstd.compress2(&mut payload, &new[from..to]).unwrap();
    patched(new, (from, to), old, (offset, end), PatchForm::Prefix, payload)
}

/// A part as its difference from a part of the old layer.
fn difference(new: &[u8], (from, to): Span, old: &[u8], (offset, end): Span) -> Frame {
    let made = Difference::between(&old[offset..end], &new[from..to], from - offset);
    let payload = zstd::bulk::compress(&made.bytes, 3).unwrap();
    patched(new, (from, to), old, (offset, end), PatchForm::Difference, payload)
}

fn patched(new: &[u8], (from, to): Span, old: &[u8], (offset, end): Span, form: PatchForm, payload: Vec<u8>) -> Frame {
    let reference = Reference { base: id(old), offset: offset as u64, length: (end - offset) as u64, form };
    let (diff_id, size, offset, length) = (id(new), new.len() as u64, from as u64, (to - from) as u64);
    (Request::Patch { diff_id, size, offset, length, reference, payload: payload.len() as u64 }, payload)
}

#[test]
fn a_part_may_refer_to_a_part_of_a_base() {
    let old = noise(1, 300_000);
    let mut new = old.clone();
    new.iter_mut().step_by(5000).for_each(|byte| *byte ^= 1);
    let host = Host::new();
    let parts =
        [patch(&new, (0, 200_000), &old, (0, 250_000)), difference(&new, (200_000, 300_000), &old, (150_000, 300_000))];
    assert!(parts.iter().all(|(_, payload)| payload.len() < 2000), "it is a difference");
    assert_eq!(refused(host.ask_one(parts[0].clone())).0, ErrorKind::Base);
    std::fs::write(host.path(&old, "base"), &old).unwrap();
    host.ask("one", &parts);
    assert!(matches!(host.ask_one(load(&[&new])), Reply::Loaded { .. }));
    assert_loaded(&host.engine.loaded(), &[&new]);
}

#[test]
fn a_part_that_refers_beyond_its_base_or_to_other_bytes_is_not_noted() {
    let (old, host) = (noise(1, 100_000), Host::new());
    std::fs::write(host.path(&old, "base"), &old).unwrap();
    let lie = |make: fn(&[u8], Span, &[u8], Span) -> Frame, offset, length| {
        // zstd does not refer to what overlaps its input in memory.
        let (mut request, payload) = make(&old.clone(), (0, 100_000), &old, (0, 100_000));
        assert!(payload.len() < 1000, "it is a difference");
        if let Request::Patch { reference, .. } = &mut request {
            (reference.offset, reference.length) = (offset, length);
        }
        refused(host.ask_one((request, payload))).0
    };
    for make in [patch, difference] {
        for (offset, length) in [(1, 100_000), (u64::MAX, 10), (0, u64::MAX), (0, 0), (0, MOST_REFERENCE as u64 + 1)] {
            assert_eq!(lie(make, offset, length), ErrorKind::Protocol, "{offset} {length}");
        }
        assert_eq!(lie(make, 0, 10), ErrorKind::Chunk);
    }
    let bomb =
        patched(&old, (0, 1000), &old, (0, 1000), PatchForm::Difference, zstd::bulk::compress(&[0; 9999], 1).unwrap());
    assert_eq!(refused(host.ask_one(bomb)).0, ErrorKind::Chunk);
    assert_eq!(host.held(&old), []);
}

#[test]
fn what_is_not_in_the_image_is_no_base() {
    let (one, two, absent) = (noise(1, 5000), noise(2, 5000), noise(3, 5000));
    for saved in forms(&one, &two) {
        let host = Host::with(FakeEngine::saving(saved));
        let (kind, text) = refused(host.ask_one(base(&absent)));
        assert!(kind == ErrorKind::Base && text.contains("registry.example:5000/a/b:1 has no layer"), "{text}");
        assert_eq!(host.names(), ["lock", "sessions-one", "want-one"]);
    }
}

#[test]
fn an_archive_that_lies_or_is_cut_gives_no_base() {
    let (one, two) = (noise(1, 50_000), noise(2, 60_000));
    let lie = tarball(&[(format!("blobs/sha256/{}", id(&two).hex()), one.clone())]);
    assert_eq!(refused(Host::with(FakeEngine::saving(lie)).ask_one(base(&two))).0, ErrorKind::Base);
    for saved in forms(&one, &two) {
        let breaks_after = Some(saved.len() - 10_000);
        let manner = Manner { chunk: 7001, breaks_after, saved, ..Manner::default() };
        let host = Host::with(FakeEngine::of(manner));
        assert_eq!(refused(host.ask_one(base(&noise(9, 10)))).0, ErrorKind::Engine);
        assert_eq!(host.names(), ["lock", "sessions-one", "want-one"]);
    }
}

#[test]
fn a_base_that_was_cut_off_is_read_again() {
    let (one, two) = (noise(1, 50_000), noise(2, 60_000));
    let host = Host::with(FakeEngine::saving(forms(&one, &two)[2].clone()));
    std::fs::write(host.path(&two, "base"), &two[1..]).unwrap();
    assert!(matches!(host.ask_one(base(&two)), Reply::Base { .. }));
    assert_eq!(std::fs::read(host.path(&two, "base")).unwrap(), two);
}

#[test]
fn an_unknown_image_or_algorithm_says_so() {
    let (host, layer) = (Host::new(), noise(1, 10));
    let ask = |image: &str, algorithm: &str| {
        let (image, algorithm) = (image.to_owned(), algorithm.to_owned());
        refused(host.ask_one((Request::Base { image, diff_id: id(&layer), also: vec![], algorithm }, vec![])))
    };
    assert_eq!(ask("missing", ALGORITHM), (ErrorKind::Engine, "No such image".to_owned()));
    assert_eq!(ask("a", "rabin").0, ErrorKind::Base);
    assert_eq!(ask("../containers/json?x=", ALGORITHM).0, ErrorKind::Protocol);
}
