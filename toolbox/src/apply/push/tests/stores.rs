//! What an engine makes of an image that was sent in part.

use super::*;
use crate::engine::fake::Keeps;

const STORES: [Keeps; 3] = [Keeps::Classic, Keeps::Unlisted, Keeps::Hollow];

/// An engine that holds the lower of two layers, as an image that came in one stream.
async fn with_base(keeps: Keeps) -> World {
    let [below, above] = [noise(1, 300_000), noise(2, 100_000)];
    let before = World { helper: None, ..World::new(vec![below.clone()]) };
    before.engine.host.keeps(keeps);
    before.push().await.unwrap();
    let facts = before.engine.image_facts("shop:1").await.unwrap().unwrap();
    let images = vec![ObservedImage { facts, references: [before.name.full()].into() }];
    let World { engine, ours, .. } = before;
    World { engine, ours, images, held: 1, helper: None, ..World::new(vec![below, above]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_is_held_is_left_out_on_every_store() {
    for keeps in STORES {
        let mut world = with_base(keeps).await;
        world.push().await.unwrap();
        world.is_whole();
        assert_eq!(world.notes(), "", "{keeps:?}");
        let streams = world.engine.host.streams();
        assert!(streams.len() == 2 && streams[1] < streams[0] / 2, "{keeps:?}: {streams:?}");
        let id = world.engine.image_facts("shop:1").await.unwrap().unwrap().id;
        assert_eq!(world.ours.contains(&id), keeps != Keeps::Classic, "{keeps:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_has_gone_meanwhile_is_sent_with_all_others_once_and_that_is_said() {
    // The base; the helper, or the image in part; the whole image.
    for (keeps, receives) in STORES.into_iter().flat_map(|keeps| [(keeps, false), (keeps, true)]) {
        let mut world = with_base(keeps).await;
        world.helper = receives.then(|| shipment(HELPER, &[b"helper"]));
        world.engine.host.loses(&world.layers[0]);
        world.push().await.unwrap();
        world.is_whole();
        assert_eq!(world.engine.host.streams().len(), 3, "{keeps:?}, {receives}");
        assert_eq!(world.engine.host.requests().contains(&"load"), receives, "{keeps:?}");
        assert_eq!(world.notes().matches("sending everything: ").count(), 1, "{keeps:?}, {receives}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_whole_image_is_sent_half_of_it_has_lost_the_name() {
    for (keeps, had_another) in [(Keeps::Unlisted, true), (Keeps::Hollow, true), (Keeps::Hollow, false)] {
        let mut world = with_base(keeps).await;
        let named = format!("tag {} shop:1", world.images[0].facts.id);
        if !had_another {
            world.images.clear();
        }
        world.engine.host.loses(&world.layers[0]);
        let before = world.engine.calls().len();
        world.push().await.unwrap();
        let name = if had_another { named } else { format!("untag {}", world.name.full()) };
        assert_eq!(
            world.engine.calls()[before..],
            ["load", &name, "load", "remove volume toolbox.receiver.spool"],
            "{keeps:?}"
        );
    }
}
