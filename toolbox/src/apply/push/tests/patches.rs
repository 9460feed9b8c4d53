//! Layers that were built anew, where the layer before is still here.

use std::collections::BTreeSet;

use super::*;
use crate::apply::ImageSource;

/// Bytes of which each takes half of its bits, as a program's do.
fn program(length: usize) -> Vec<u8> {
    noise(8, length)
        .into_iter()
        .map(|byte| b"\x00\x48\x8b\x89\xe8\x0f\xff\x24\x45\x83\xc3\x31\x74\x75\x01\x10"[usize::from(byte % 16)])
        .collect()
}

/// The same program, with an address changed every 200 to 400 bytes.
fn linked_anew(program: &[u8]) -> Vec<u8> {
    let (mut new, mut at) = (program.to_vec(), 0);
    let changes = noise(9, program.len() / 50);
    for change in changes.chunks_exact(4) {
        at += 200 + usize::from(change[0]) % 200;
        if at + 4 > new.len() {
            break;
        }
        new[at..at + 4].copy_from_slice(change);
    }
    new
}

/// A host that holds an image with the older layer, which is also in a file here, and the image with the new one.
struct Update {
    world: World,
    old: Vec<u8>,
    _files: tempfile::TempDir,
}

impl Update {
    async fn new(old: Vec<u8>, new: Vec<u8>, hosts: usize) -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("old.tar");
        std::fs::write(&path, tarball("other:name", &[&old])).unwrap();
        let source = ImageSource::files(&[path], files.path()).await.unwrap();
        let mut world = World::new(vec![new.clone()]);
        let shipment = Shipment::new(Arc::new(saved("shop:1", &[&new])), hosts);
        world.shipment = Arc::new(shipment.with_older(Some(Arc::new(source))));
        let mut update = Self { world, old, _files: files };
        update.reset_host().await;
        update
    }

    /// A host that has had the old image only.
    async fn reset_host(&mut self) {
        let before = World::new(vec![self.old.clone()]);
        before.push().await.unwrap();
        self.world.engine = before.engine;
        let facts = self.world.engine.image_facts("shop:1").await.unwrap().unwrap();
        self.world.images = vec![ObservedImage { facts, references: [self.world.name.full()].into() }];
        self.world.engine.host.count_anew();
    }

    fn asked(&self, name: &str) -> usize {
        self.world.engine.host.requests().iter().filter(|request| **request == name).count()
    }

    fn whole(&self) -> usize {
        zstd::bulk::compress(&self.world.layers[0], 9).unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_linked_anew_costs_what_has_changed() {
    let old = program(9 << 20);
    let new = linked_anew(&old);
    let mut update = Update::new(old, new, 1).await;
    update.world.push().await.unwrap();
    update.world.is_whole();
    let (sent, whole) = (update.world.engine.host.payload(), update.whole());
    assert!(sent * 100 < whole * 15, "{sent} of {whole}");
    assert_eq!((update.asked("patch"), update.asked("put")), (5, 0));
    let notes = update.world.notes();
    assert!(notes.contains(&format!("{} sent", human_bytes(sent as u64))), "{notes}");
    assert!(notes.contains("9.4 MB made out of the image before"), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_have_all_moved_alike_cost_next_to_nothing() {
    let old = program(4 << 20);
    let mut new = old.clone();
    new.chunks_exact_mut(40).for_each(|code| {
        let (address, _) = code.split_first_chunk_mut::<4>().unwrap();
        *address = (u32::from_le_bytes(*address).wrapping_add(0x0100_1040)).to_le_bytes();
    });
    let update = Update::new(old, new, 1).await;
    update.world.push().await.unwrap();
    update.world.is_whole();
    let (sent, whole) = (update.world.engine.host.payload(), update.whole());
    assert!(sent * 100 < whole, "{sent} of {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insertion_costs_no_more_than_a_patch_of_its_surroundings() {
    let old = program(4 << 20);
    let mut new = old.clone();
    new.splice(2_500_000..2_500_000, *b"one line more");
    let update = Update::new(old, new, 1).await;
    update.world.push().await.unwrap();
    update.world.is_whole();
    assert!(update.world.engine.host.payload() < 1000, "{}", update.world.engine.host.payload());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_unlike_the_one_before_is_sent_as_it_is() {
    let update = Update::new(program(4 << 20), noise(10, 4 << 20), 1).await;
    update.world.push().await.unwrap();
    update.world.is_whole();
    assert_eq!((update.asked("patch"), update.asked("put")), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_layer_that_is_another_one_on_the_host_is_found_out() {
    let old = program(4 << 20);
    let base = Digest::of(&old).into();
    let mut update = Update::new(old.clone(), linked_anew(&old), 1).await;
    update.world.engine.host.damage_layer(base);
    update.world.push().await.unwrap();
    update.world.is_whole();
    assert_eq!((update.asked("load"), update.asked("put"), update.world.streams()), (2, 2, 0));

    // As long as nothing else has arrived, the name stays with the image before.
    update.reset_host().await;
    update.world.engine.host.damage_layer(base);
    update.world.engine.host.break_with(vec![Fault::Refuses("put", ErrorKind::Space)]);
    update.world.push().await.unwrap_err();
    assert!(update.asked("patch") > 0);
    let facts = update.world.engine.image_facts("shop:1").await.unwrap().unwrap();
    assert_eq!(facts.layers, [base]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_no_patches_gets_the_layer() {
    for kind in [ErrorKind::Chunk, ErrorKind::Base] {
        let old = program(4 << 20);
        let update = Update::new(old.clone(), linked_anew(&old), 1).await;
        update.world.engine.host.break_with(vec![Fault::Refuses("patch", kind)]);
        update.world.push().await.unwrap();
        update.world.is_whole();
        assert_eq!(update.world.streams(), 0, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_made_once_for_all_hosts_with_the_same_older_layer() {
    let old = program(4 << 20);
    let mut update = Update::new(old.clone(), linked_anew(&old), 2).await;
    for _ in 0..2 {
        update.reset_host().await;
        update.world.push().await.unwrap();
        update.world.is_whole();
        assert_eq!(update.asked("patch"), 2);
    }
    assert_eq!(update.world.shipment.compressed(), 2);
}

#[tokio::test]
async fn an_older_layer_is_read_out_of_the_files_that_hold_it() {
    let update = Update::new(program(4 << 20), noise(11, 100), 1).await;
    let (here, elsewhere) = (Digest::of(&update.old).into(), Digest::of(b"elsewhere").into());
    let found = update.world.shipment.older(&BTreeSet::from([here, elsewhere])).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), [&here]);
    assert_eq!(found[&here].size(), 4 << 20);
    assert_eq!(found[&here].read(1000, 70_000).unwrap(), update.old[1000..71_000]);
    assert!(found[&here].read(4 << 20, 1).is_err());
}
