//! Hosts that pass images on to each other, and those that do not get to it.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::inventory::{Host, Inventory, Seed};

/// Long for anything that does not wait in vain.
const LONG: Duration = Duration::from_secs(60);

/// Of so many hosts each has the least share of what is compressed.
const MANY: usize = 20;

static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| noise(1, 17 << 20));

fn host(name: &str, seed: Option<&str>) -> Host {
    let host = Inventory::single(name).unwrap().hosts.into_values().next().unwrap();
    Host { seed: seed.map(|seed| Seed { host: seed.into(), address: "127.0.0.1".into(), port: 0 }), ..host }
}

/// Hosts of one shipment; the first one is the seed of the others.
struct Fleet {
    seeding: Arc<Seeding>,
    worlds: Vec<World>,
}

impl Fleet {
    fn new(count: usize) -> Self {
        let layers = vec![LARGE.clone(), noise(2, 100_000)];
        let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let shared = Arc::new(Shipment::new(Arc::new(saved("shop:1", &slices)), MANY));
        let world = || World { shipment: Arc::clone(&shared), ..World::new(layers.clone()) };
        let hosts: Vec<Host> = (0..count).map(|n| host(&format!("h{n}"), (n > 0).then_some("h0"))).collect();
        Self { seeding: Seeding::among(&hosts), worlds: (0..count).map(|_| world()).collect() }
    }

    fn begin(&mut self, number: usize) {
        let world = &mut self.worlds[number];
        world.place = self.seeding.begin(&format!("h{number}"), [&world.shipment].into_iter());
    }

    fn begin_all(mut self) -> Self {
        (0..self.worlds.len()).for_each(|number| self.begin(number));
        self
    }

    /// Pushes to all at once.
    async fn push(&self) -> Vec<Result<(), PushError>> {
        let pushes = self.worlds.iter().map(|world| async {
            let pushed = world.push().await;
            world.place.leave(&world.shipment);
            pushed
        });
        timeout(LONG, futures_util::future::join_all(pushes)).await.expect("somebody waits in vain")
    }

    fn sent(&self) -> Vec<usize> {
        self.worlds.iter().map(|world| world.engine.host.payload() >> 20).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_seed_is_sent_is_not_sent_to_the_others() {
    let mut fleet = Fleet::new(6).begin_all();
    assert!(fleet.push().await.iter().all(Result::is_ok));
    fleet.worlds.iter().for_each(World::is_whole);
    assert_eq!(fleet.sent(), [17, 0, 0, 0, 0, 0]);
    assert!(!fleet.worlds[0].notes().contains("came from"));
    assert!(fleet.worlds[5].notes().contains("0 B sent, 17.9 MB came from h0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_seed_has_already_comes_from_here() {
    let fleet = Fleet::new(2).begin_all();
    let mut seed = World::new(vec![LARGE.clone()]);
    seed.shipment = Arc::clone(&fleet.worlds[0].shipment);
    // The lower layer is what the seed has.
    seed.push().await.unwrap();
    let mut fleet = fleet;
    fleet.worlds[0].engine = seed.engine;
    fleet.worlds[0].held = 1;
    fleet.worlds[0].engine.host.count_anew();
    assert!(fleet.push().await.iter().all(Result::is_ok));
    fleet.worlds[1].is_whole();
    assert_eq!(fleet.sent(), [0, 17]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_do_not_reach_each_other_are_sent_it_from_here() {
    for (broken, request) in [(0, "give"), (1, "take")] {
        let mut fleet = Fleet::new(2).begin_all();
        fleet.worlds[broken].engine.host.break_with(vec![Fault::Refuses(request, ErrorKind::Peer)]);
        assert!(fleet.push().await.iter().all(Result::is_ok));
        fleet.worlds.iter().for_each(World::is_whole);
        assert_eq!(fleet.sent(), [17, 17]);
        let notes = fleet.worlds[1].notes();
        assert!(notes.contains("not all comes from h0, so it is sent from here: injected fault"), "{notes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_dies_at_any_request_costs_the_others_nothing() {
    // Hello, have, ten parts and giving; loading and sweeping come when that is over.
    for at in 0..13 {
        let fleet = Fleet::new(2).begin_all();
        fleet.worlds[0].engine.host.break_with(vec![Fault::GoneAt(at)]);
        let pushed = fleet.push().await;
        assert!(matches!(pushed[0], Err(PushError::Cut { .. })), "gone at {at}: {:?}", pushed[0]);
        assert!(pushed[1].is_ok(), "gone at {at}: {:?}", pushed[1]);
        fleet.worlds[1].is_whole();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_at_any_request_costs_its_seed_nothing() {
    for at in 0..5 {
        let fleet = Fleet::new(2).begin_all();
        fleet.worlds[1].engine.host.break_with(vec![Fault::GoneAt(at)]);
        let pushed = fleet.push().await;
        assert!(pushed[0].is_ok() && pushed[1].is_err(), "gone at {at}: {pushed:?}");
        fleet.worlds[0].is_whole();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_host_that_is_not_there() {
    let no_seed = "h0 is not sent images at the same time, so it passes none on";
    let mut early = Fleet::new(2);
    early.begin(1);
    assert!(early.push().await.iter().all(Result::is_ok));
    assert_eq!((early.sent(), early.worlds[1].notes().contains(no_seed)), (vec![17, 17], true));
    let mut late = Fleet::new(2);
    late.begin(0);
    timeout(LONG, late.worlds[0].push()).await.unwrap().unwrap();
    late.begin(1);
    timeout(LONG, late.worlds[1].push()).await.unwrap().unwrap();
    assert_eq!((late.sent(), late.worlds[1].notes().contains(no_seed)), (vec![17, 17], true));
    let mut gone = Fleet::new(3).begin_all();
    gone.worlds[2].place = Place::default();
    let alone = timeout(LONG, async { tokio::join!(gone.worlds[0].push(), gone.worlds[1].push()) });
    assert!(matches!(alone.await.unwrap(), (Ok(()), Ok(()))));
    let mut seedless = Fleet::new(2).begin_all();
    seedless.worlds[0].place = Place::default();
    timeout(LONG, seedless.worlds[1].push()).await.unwrap().unwrap();
    assert!(seedless.worlds[1].notes().contains("h0 passes none of them on"), "{}", seedless.worlds[1].notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_without_a_seed_get_a_receiver_without_a_network() {
    let fleet = Fleet::new(2);
    assert!(fleet.push().await.iter().all(Result::is_ok));
    let networks = |world: &World| world.engine.calls().iter().filter(|call| call.contains("in its network")).count();
    assert_eq!(fleet.worlds.iter().map(networks).sum::<usize>(), 0);
    let fleet = Fleet::new(2).begin_all();
    assert!(fleet.push().await.iter().all(Result::is_ok));
    assert_eq!(fleet.worlds.iter().map(networks).sum::<usize>(), 2);
}
