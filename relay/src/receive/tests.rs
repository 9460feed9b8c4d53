//! Sessions on one spool, with an engine whose socket is ours.

mod bases;
mod engine;
mod hostile;
mod loading;
mod passing;
mod sharing;
mod storing;

use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use toolbox_wire::{Codec, DiffId, Entry, Held, Layer, Range, Reply, Request, write_frame};

use super::Session;
use super::engine::Engine;
use super::spool::Spool;
use engine::FakeEngine;

/// A request and what follows it.
type Frame = (Request, Vec<u8>);

/// A spool and an engine.
struct Host {
    directory: TempDir,
    engine: FakeEngine,
}

impl Host {
    fn new() -> Self {
        Self::with(FakeEngine::start())
    }

    fn with(engine: FakeEngine) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), engine }
    }

    fn spool(&self, receiver: &str) -> Spool {
        Spool::open(self.directory.path().to_owned(), receiver).unwrap()
    }

    fn session(&self, receiver: &str) -> Session<Vec<u8>> {
        let engine = Engine::at(self.engine.socket().to_owned());
        Session::with(self.spool(receiver), engine, Vec::new()).unwrap()
    }

    /// One session, from its first frame to its end.
    fn ask(&self, receiver: &str, frames: &[Frame]) -> Vec<Reply> {
        let mut session = self.session(receiver);
        // Whether it ends well is in its replies.
        let _ = session.answer(&bytes(frames)[..]);
        session.said()
    }

    fn ask_one(&self, frame: Frame) -> Reply {
        let replies = self.ask("one", &[frame]);
        replies.into_iter().rfind(|reply| !reply.is_progress()).unwrap()
    }

    fn held(&self, layer: &[u8]) -> Vec<Range> {
        let layers = vec![Layer { diff_id: id(layer), size: layer.len() as u64 }];
        match self.ask_one((Request::Have { layers }, vec![])) {
            Reply::Have(held) => {
                let [Held { diff_id, ranges }] = &held[..] else { panic!("{held:?}") };
                assert_eq!(*diff_id, id(layer));
                ranges.clone()
            }
            reply => panic!("{reply:?}"),
        }
    }

    /// Names of the files in the spool, digests shortened.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.map(|name| name.split_once('.').map_or(name.clone(), |(_, rest)| rest.into())).collect();
        names.sort();
        names
    }

    fn path(&self, layer: &[u8], ending: &str) -> std::path::PathBuf {
        self.directory.path().join(format!("{}.{ending}", id(layer).hex()))
    }
}

impl Session<Vec<u8>> {
    fn said(&self) -> Vec<Reply> {
        self.out
            .out
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|(request, payload)| write_frame(&mut bytes, request, payload).unwrap());
    bytes
}

fn id(layer: &[u8]) -> DiffId {
    DiffId(Sha256::digest(layer).into())
}

/// Bytes that do not repeat.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut step = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    (0..length).map(|_| step()).collect()
}

/// The part of a layer, as it is sent.
fn put(layer: &[u8], (from, to): Range, codec: Codec) -> Frame {
    put_as(id(layer), layer.len() as u64, (from, &layer[from as usize..to as usize]), codec)
}

fn put_as(diff_id: DiffId, size: u64, (offset, part): (u64, &[u8]), codec: Codec) -> Frame {
    let payload = match codec {
        Codec::Raw => part.to_vec(),
        Codec::Zstd => zstd::bulk::compress(part, 1).unwrap(),
    };
    let length = part.len() as u64;
    (Request::Put { diff_id, size, offset, length, codec, payload: payload.len() as u64 }, payload)
}

fn whole(layer: &[u8]) -> Frame {
    put(layer, (0, layer.len() as u64), Codec::Zstd)
}

/// A load of these layers and a document.
fn load(layers: &[&[u8]]) -> Frame {
    let blob = |layer: &[u8]| format!("blobs/sha256/{}", id(layer).hex());
    let layer = |layer: &&[u8]| Entry::Layer { path: blob(layer), diff_id: id(layer), size: layer.len() as u64 };
    let mut entries: Vec<_> = layers.iter().map(layer).collect();
    entries.push(Entry::Text { path: "manifest.json".to_owned(), text: b"[]".to_vec() });
    entries.sort_by(|one, other| one.path().cmp(other.path()));
    let content: u64 = entries.iter().map(|entry| 512 + entry.size().next_multiple_of(512)).sum();
    (Request::Load { entries, size: content + 4 * 512 }, vec![])
}

/// Whether the engine got a tarball with exactly these layers.
fn assert_loaded(tarball: &[u8], layers: &[&[u8]]) {
    let mut found = Vec::new();
    for entry in tar::Archive::new(tarball).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content).unwrap();
        found.push((entry.path().unwrap().into_owned(), content));
    }
    let blob = |layer: &&[u8]| (Path::new("blobs/sha256").join(id(layer).hex()), layer.to_vec());
    let mut wanted: Vec<_> = layers.iter().map(blob).collect();
    wanted.push(("blobs/".into(), vec![]));
    wanted.push(("blobs/sha256/".into(), vec![]));
    wanted.push(("manifest.json".into(), b"[]".to_vec()));
    wanted.sort();
    assert!(found == wanted, "other entries or contents");
    assert!(tarball.ends_with(&[0; 1024]) && tarball.len().is_multiple_of(512));
}
