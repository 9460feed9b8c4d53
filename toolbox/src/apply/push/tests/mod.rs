//! Pushes against an engine in memory whose receivers fail.

mod patches;
mod room;
mod seeding;
mod several;
mod stores;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use toolbox_wire::ErrorKind;

use super::super::event::Event;
use super::patch::Errand;
use super::shipment::{Form, PART, parts};
use super::*;
use crate::engine::fake::{FakeEngine, Fault};
use crate::image::{Archive, Digest};
use crate::state::ObservedImage;

const HELPER: &str = "toolbox-relay:0123456789ab";

/// Bytes that do not compress, unlike those of another seed.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A saved tarball of an image with these layers.
fn saved(name: &str, layers: &[&[u8]]) -> Archive<Vec<u8>> {
    Archive::open(tarball(name, layers)).unwrap()
}

fn tarball(name: &str, layers: &[&[u8]]) -> Vec<u8> {
    tarball_of(&[(name, layers)])
}

/// A saved tarball of these images, each with its layers.
fn tarball_of(images: &[(&str, &[&[u8]])]) -> Vec<u8> {
    let mut tarball = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tarball.append_data(&mut header, path, content).unwrap();
    };
    let mut manifest = Vec::new();
    for (number, (name, layers)) in images.iter().enumerate() {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({ "os": "linux", "architecture": "amd64", "config": { "Cmd": [name] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let paths: Vec<String> = (0..layers.len()).map(|index| format!("{number}.{index}/layer.tar")).collect();
        layers.iter().zip(&paths).for_each(|(layer, path)| add(path, layer));
        let path = format!("config{number}.json");
        add(&path, config.to_string().as_bytes());
        manifest.push(json!({ "Config": path, "RepoTags": [name], "Layers": paths }));
    }
    add("manifest.json", json!(manifest).to_string().as_bytes());
    tarball.into_inner().unwrap()
}

fn shipment(name: &str, layers: &[&[u8]]) -> Arc<Shipment<Vec<u8>>> {
    Arc::new(Shipment::new(Arc::new(saved(name, layers)), 1))
}

/// The engine, as one that lets containers have its socket.
struct Near<'a>(&'a FakeEngine);

impl Route for Near<'_> {
    async fn socket(&self) -> Option<Socket> {
        Some(Socket { path: "/var/run/docker.sock".into(), group: 999 })
    }

    async fn free(&self) -> Option<u64> {
        Some(300_000)
    }

    async fn exec(&self, _: usize, container: &str, command: &[String]) -> Result<ExecStream, EngineError> {
        self.0.exec_stream(container, command).await
    }
}

/// An image on its way to a host.
struct World {
    engine: FakeEngine,
    name: Reference,
    shipment: Arc<Shipment<Vec<u8>>>,
    layers: Vec<Vec<u8>>,
    /// Without one there is only the plain way.
    helper: Option<Arc<Shipment<Vec<u8>>>>,
    images: Vec<ObservedImage>,
    /// Layers that it was seen to hold.
    held: usize,
    ours: Ours,
    place: Place,
    reconnect: Duration,
    events: Events,
    seen: UnboundedReceiver<Event>,
}

impl World {
    fn new(layers: Vec<Vec<u8>>) -> Self {
        let (sender, seen) = unbounded_channel();
        let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let (name, shipment) = ("shop:1".parse().unwrap(), shipment("shop:1", &slices));
        let helper = Some(self::shipment(HELPER, &[b"helper"]));
        let (engine, images, events) = (FakeEngine::default(), Vec::new(), Events::new("h", sender));
        let (ours, place, reconnect) = Default::default();
        Self { engine, name, shipment, layers, helper, images, held: 0, ours, place, reconnect, events, seen }
    }

    async fn push(&self) -> Result<(), PushError> {
        let name: Reference = HELPER.parse().unwrap();
        let helper = self.helper.as_ref().map(|shipment| (&name, shipment));
        let held = BTreeMap::from([(self.name.clone(), self.held)]);
        let Self { shipment, images, ours, place, reconnect, .. } = self;
        let sending = Push { shipment, held: &held, helper, images, ours, place, reconnect: *reconnect };
        push(&self.engine, &Near(&self.engine), &sending, &self.events).await.map_err(|unsent| unsent.error)
    }

    fn notes(&mut self) -> String {
        let mut notes = String::new();
        while let Ok(event) = self.seen.try_recv() {
            if let What::Note(note) = event.what {
                notes += &note;
            }
        }
        notes
    }

    /// The host has the image, and nothing is left but it.
    #[track_caller]
    fn is_whole(&self) {
        for layer in &self.layers {
            assert!(self.engine.host.layer(Digest::of(layer).into()).as_ref() == Some(layer), "a layer differs");
        }
        assert_eq!(self.engine.host.spooled(), 0);
        assert_eq!(self.engine.containers(), []);
    }

    /// Tarballs in one stream beside the helper's.
    fn streams(&self) -> usize {
        self.engine.host.streams().len() - 1
    }
}

fn two_layers() -> Vec<Vec<u8>> {
    vec![noise(1, (2 << 20) + 100_000), noise(2, 100_000)]
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_go_in_parts_through_a_receiver() {
    let world = World::new(two_layers());
    world.push().await.unwrap();
    world.is_whole();
    assert_eq!(world.streams(), 0);
    assert_eq!(world.engine.host.requests().iter().filter(|name| **name == "put").count(), 3);
    assert!(world.engine.calls().contains(&"remove volume toolbox.receiver.spool".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_cut_at_any_request_costs_no_more_than_what_was_under_way() {
    let world = World::new(two_layers());
    world.push().await.unwrap();
    let requests = world.engine.host.requests().len();
    for at in 0..requests {
        let world = World::new(two_layers());
        world.engine.host.break_with(vec![Fault::CutAt(at)]);
        if let Err(error) = world.push().await {
            assert!(matches!(error, PushError::Cut { .. }), "cut at {at}: {error}");
            world.engine.host.break_with(vec![]);
            world.push().await.unwrap();
        }
        world.is_whole();
        assert_eq!(world.streams(), 0, "cut at {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_comes_back_is_gone_on_with() {
    let mut world = World { reconnect: Duration::from_secs(60), ..World::new(vec![noise(3, 12 << 20)]) };
    // hello, have, load and three parts.
    world.engine.host.break_with(vec![Fault::GoneAt(6)]);
    let mut seen = std::mem::replace(&mut world.seen, unbounded_channel().1);
    let mend = async {
        let waits = |event: &Event| matches!(&event.what, What::Note(note) if note.contains("trying again in 1 s"));
        while seen.recv().await.is_some_and(|event| !waits(&event)) {}
        world.engine.host.break_with(vec![]);
    };
    let (pushed, ()) = tokio::join!(world.push(), mend);
    pushed.unwrap();
    world.is_whole();
    let (sent, whole) = (world.engine.host.payload(), 12 << 20);
    assert!((whole..whole + (4 << 20)).contains(&sent), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_line_that_broke_only_the_rest_is_sent() {
    let world = World::new(vec![noise(3, 12 << 20)]);
    // hello, have, load and three parts.
    world.engine.host.break_with(vec![Fault::GoneAt(6)]);
    let error = world.push().await.unwrap_err();
    assert!(matches!(error, PushError::Cut { .. }), "{error}");
    assert_eq!(error.hint().as_deref(), Some("run it again: it goes on from what has arrived"));
    let first = world.engine.host.payload();
    assert!(first >= 3 << 20, "{first}");
    world.engine.host.break_with(vec![]);
    world.engine.host.count_anew();
    world.push().await.unwrap();
    world.is_whole();
    let (second, whole) = (world.engine.host.payload(), 12 << 20);
    assert!(first + second <= whole + (whole / 100), "{first} and {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_may_not_work_is_no_hindrance() {
    let refusals = [ErrorKind::Protocol, ErrorKind::Chunk, ErrorKind::Io, ErrorKind::Missing];
    let faults = refusals.map(|kind| vec![Fault::Refuses("put", kind)]);
    for fault in faults.into_iter().chain([vec![Fault::NoSocket], vec![Fault::Refuses("hello", ErrorKind::Protocol)]]) {
        let mut world = World::new(two_layers());
        world.engine.host.break_with(fault.clone());
        world.push().await.unwrap();
        assert_eq!(world.streams(), 1, "{fault:?}");
        assert!(world.notes().contains("images go in one stream"), "{fault:?}");
        assert_eq!(world.engine.containers(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_left_out_where_there_is_no_room_for_its_spool_too() {
    let layer = noise(13, 6 << 20);
    let world = || World::new(vec![layer.clone()]);
    for (free, streams) in [(18 << 20, 0), ((18 << 20) - 1, 1)] {
        let mut world = world();
        world.engine.host.break_with(vec![Fault::Free(free)]);
        world.push().await.unwrap();
        assert_eq!(world.streams(), streams);
        assert_eq!(world.notes().contains("it would need 18.9 MB on the disk at once, 18.9 MB are free"), streams == 1);
    }
    // What is there already needs no more room.
    let world = world();
    world.engine.host.break_with(vec![Fault::GoneAt(5)]);
    world.push().await.unwrap_err();
    world.engine.host.break_with(vec![Fault::Free(16 << 20)]);
    world.push().await.unwrap();
    assert_eq!(world.streams(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_an_engine_that_refuses_are_told() {
    for (request, kind, what) in
        [("put", ErrorKind::Space, "keeping what has arrived"), ("load", ErrorKind::Engine, "loading images")]
    {
        let world = World::new(two_layers());
        world.engine.host.break_with(vec![Fault::Refuses(request, kind)]);
        let error = world.push().await.unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
        let numbers = "need 6.9 MB on the host's disk, 300.0 kB are free now";
        assert_eq!(error.to_string().contains(numbers), kind == ErrorKind::Space, "{error}");
        assert_eq!((world.streams(), world.engine.containers()), (0, vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_bytes_that_are_wrong_are_found_out_and_sent_again() {
    let world = World::new(vec![noise(4, 6 << 20)]);
    world.engine.host.break_with(vec![Fault::GoneAt(5)]);
    world.push().await.unwrap_err();
    world.engine.host.break_with(vec![]);
    world.engine.host.damage_spool();
    world.push().await.unwrap();
    world.is_whole();
    assert_eq!(world.streams(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_changed_a_little_is_made_out_of_the_one_before() {
    let old = noise(5, 8 << 20);
    let mut new = old.clone();
    new.splice(4_000_000..4_000_000, *b"one line more");
    let before = World::new(vec![old.clone()]);
    before.push().await.unwrap();
    let mut world = World::new(vec![new]);
    world.engine = before.engine;
    let facts = world.engine.image_facts("shop:1").await.unwrap().unwrap();
    world.images = vec![ObservedImage { facts, references: [world.name.full()].into() }];
    world.engine.host.count_anew();
    world.push().await.unwrap();
    world.is_whole();
    assert!(world.engine.host.payload() < 200_000, "{}", world.engine.host.payload());
    assert!(world.notes().contains("made out of the image before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_base_on_the_host_the_layer_is_sent() {
    let mut world = World::new(vec![noise(6, 5 << 20)]);
    let layers = vec![Digest::of(b"gone").into()];
    let facts = crate::state::ImageFacts::new("old".into(), layers, None, &());
    world.images = vec![ObservedImage { facts, references: ["docker.io/library/shop:0".to_owned()].into() }];
    world.push().await.unwrap();
    world.is_whole();
    assert!(world.engine.host.requests().contains(&"base"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hosts_share_what_was_compressed() {
    let layer = noise(7, 5 << 20);
    let shared = Arc::new(Shipment::new(Arc::new(saved("shop:1", &[&layer])), 2));
    let worlds = [World::new(vec![layer.clone()]), World::new(vec![layer.clone()])];
    let worlds = worlds.map(|world| World { shipment: Arc::clone(&shared), ..world });
    for world in &worlds {
        world.push().await.unwrap();
        world.is_whole();
    }
    // Three parts of the layer.
    assert_eq!(shared.compressed(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_for_a_slow_line_are_smaller() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let shipment = shipment("shop:1", &[&program[..9 << 20]]);
    let layer = image(&shipment, &"shop:1".parse().unwrap()).unwrap().layers[0];
    let errand = Errand::of(parts(&layer, (0, PART), PART).next().unwrap());
    for form in [Form::Gzip, Form::Zstd] {
        let mut lengths = Vec::new();
        for line in [1e12, 1e4] {
            let claim = shipment.claim(&shipment.share(PART), &errand, form).await.unwrap();
            let packed = shipment.fulfil(claim, errand.clone(), form, Some(line)).await.unwrap();
            lengths.push(packed[0].bytes.len());
        }
        assert!(lengths[1] < lengths[0], "{form:?}: {lengths:?}");
    }
}
