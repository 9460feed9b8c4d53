//! Several images in one push, of which some are not whole afterwards.

use super::*;
use crate::engine::fake::Keeps;

/// A push of `good:1`, whole, and of `shop:1` above a layer that its host was seen to hold.
struct Two {
    engine: FakeEngine,
    shipment: Arc<Shipment<Vec<u8>>>,
    images: Vec<ObservedImage>,
    held: BTreeMap<Reference, usize>,
    ours: Ours,
    events: Events,
    _seen: UnboundedReceiver<Event>,
}

/// Layers of `good:1`, and of `shop:1` from below.
fn layers() -> [Vec<u8>; 3] {
    [noise(1, 400_000), noise(2, 300_000), noise(3, 100_000)]
}

impl Two {
    async fn new(keeps: Keeps, engine: FakeEngine) -> Self {
        let [good, below, above] = layers();
        let before = World { engine, helper: None, ..World::new(vec![below.clone()]) };
        before.engine.host.keeps(keeps);
        before.push().await.unwrap();
        let facts = before.engine.image_facts("shop:1").await.unwrap().unwrap();
        let images = vec![ObservedImage { facts, references: [before.name.full()].into() }];
        let saved = tarball_of(&[("good:1", &[&good]), ("shop:1", &[&below, &above])]);
        let shipment = Arc::new(Shipment::new(Arc::new(Archive::open(saved).unwrap()), 1));
        let held = BTreeMap::from([("good:1".parse().unwrap(), 0), (before.name, 1)]);
        let World { engine, ours, events, seen: _seen, .. } = before;
        Self { engine, shipment, images, held, ours, events, _seen }
    }

    async fn push(&self) -> Result<(), Unsent> {
        let (shipment, held, images, ours) = (&self.shipment, &self.held, &self.images, &self.ours);
        let sending =
            Push { shipment, held, helper: None, images, ours, place: &Place::default(), reconnect: Duration::ZERO };
        push(&self.engine, &Near(&self.engine), &sending, &self.events).await
    }

    /// What was called after the base was there.
    fn calls(&self) -> Vec<String> {
        self.engine.calls()[1..].to_vec()
    }

    fn named(&self) -> String {
        format!("tag {} shop:1", self.images[0].facts.id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_image_that_is_not_whole_loses_its_name_and_is_sent_again() {
    for keeps in [Keeps::Unlisted, Keeps::Hollow] {
        let two = Two::new(keeps, FakeEngine::default()).await;
        two.engine.host.loses(&layers()[1]);
        two.push().await.unwrap();
        assert_eq!(two.calls(), ["load", &two.named(), "load", "remove volume toolbox.receiver.spool"], "{keeps:?}");
        let again = two.engine.host.streams()[2];
        assert!((400_000..500_000).contains(&again), "{again}: more than the two layers of the one image");
        for name in ["good:1", "shop:1"] {
            let facts = two.engine.image_facts(name).await.unwrap().unwrap();
            assert!(two.ours.contains(&facts.id), "{keeps:?}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_could_not_be_unpacked_loses_its_name_alone() {
    let two = Two::new(Keeps::Unlisted, FakeEngine::default()).await;
    two.engine.host.cannot_unpack(&["shop:1"]);
    let unsent = two.push().await.unwrap_err();
    assert_eq!(unsent.images, ["shop:1".parse().unwrap()].into());
    assert_eq!(two.calls(), ["load", &two.named()]);
    // Twice what is sent, of which the engine keeps half.
    let said = unsent.error.to_string();
    assert!(
        said.contains("no space left on device; the images need 1.0 MB on the host's disk, 300.0 kB are free"),
        "{said}"
    );
    assert!(unsent.error.hint().unwrap().contains("docker system df"));

    two.engine.host.cannot_unpack(&["good:1", "shop:1"]);
    assert_eq!(two.push().await.unwrap_err().images.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_engine_does_not_say_which_image_it_failed_for_all_lose_their_names() {
    // The first load is that of the base.
    let two = Two::new(Keeps::Unlisted, FakeEngine::default().failing_at(&[1, 4])).await;
    two.push().await.unwrap_err();
    let names = ["untag docker.io/library/good:1".to_owned(), two.named()];
    let calls = two.calls();
    assert!(names.iter().all(|name| calls.contains(name)), "{calls:?}");
}
