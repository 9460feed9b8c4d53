//! What pushes to many hosts hold in memory.

use futures_util::StreamExt as _;
use futures_util::future::join_all;

use super::*;

const MIB: usize = 1 << 20;

fn shared(length: usize, hosts: usize, room: usize, kept: usize) -> Arc<Shipment<Vec<u8>>> {
    let layer = noise(12, length);
    Arc::new(Shipment::new(Arc::new(saved("shop:1", &[&layer])), hosts).with_room_for(room, kept))
}

fn stream_of(shipment: &Arc<Shipment<Vec<u8>>>) -> crate::engine::ArchiveStream {
    let (sender, _) = unbounded_channel();
    let archive = compose(shipment, &BTreeMap::from([("shop:1".parse().unwrap(), 0)])).unwrap();
    let progress = Arc::new(Progress::new(&archive, archive.size(), Events::new("h", sender)));
    stream::stream(shipment, &archive, stream::ZSTD, progress)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_has_given_is_held_until_it_is_dropped() {
    let shipment = shared(16 * MIB, 1, 6, 0);
    let (mut stream, mut given, mut length) = (stream_of(&shipment), Vec::new(), 0);
    while length < 6 * MIB {
        let bytes = stream.next().await.unwrap().unwrap();
        length += bytes.len();
        given.push(bytes);
    }
    assert!((6 * MIB..=12 * MIB + MIB).contains(&shipment.held()), "{}", shipment.held());
    drop((stream, given));
    while shipment.held() > 0 {
        // What was begun is ended first.
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_hosts_go_through_the_room_of_five_parts() {
    let layer = noise(12, 9 * MIB);
    let shipment = shared(9 * MIB, 10, 5, 2);
    let worlds: Vec<World> = (0..10)
        .map(|number| {
            let mut world = World { shipment: Arc::clone(&shipment), ..World::new(vec![layer.clone()]) };
            if number % 2 == 0 {
                world.helper = None;
            }
            world
        })
        .collect();
    join_all(worlds.iter().map(World::push)).await.into_iter().for_each(Result::unwrap);
    assert!(worlds.iter().all(|world| world.engine.host.layer(Digest::of(&layer).into()).as_ref() == Some(&layer)));
    // Two parts are kept, and nothing else is left.
    assert!(shipment.held() <= 5 * MIB, "{}", shipment.held());
}
