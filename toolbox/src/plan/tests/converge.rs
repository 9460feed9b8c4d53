//! Whatever state a host is in, its plan leads to where nothing is to be done.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::compose::testing::project;
use crate::compose::{Project, Protocol, UpdateOrder};
use crate::plan::{Desired, Plan, render};
use crate::state::{Place, Role};

use super::carry::{carry, is_clean};
use super::world::{self, World, image};

#[derive(Debug, Clone)]
struct Wish {
    replicas: u32,
    /// Moves published ports from service to service.
    shift: usize,
    /// What tells the ports of different services apart.
    apart: Apart,
    published: bool,
    /// On one address of the host.
    bound: bool,
    udp: bool,
    exposed: bool,
    volume: bool,
    order: Option<UpdateOrder>,
    parallelism: u32,
    version: u8,
    setting: u8,
    check: bool,
    depends: bool,
}

#[derive(Debug, Clone, Copy)]
enum Apart {
    Number,
    Address,
    Protocol,
}

/// The short form of the published port of a service whose place among three is this one.
fn port(apart: Apart, place: usize, wish: &Wish) -> String {
    let address = if wish.bound { "10.0.0.1:" } else { "" };
    let protocol = if wish.udp { "/udp" } else { "" };
    match (apart, place) {
        (Apart::Number, _) => format!("{address}{}:80{protocol}", 8000 + place),
        (Apart::Address, _) => format!("10.0.0.{}:8000:80{protocol}", 1 + place),
        (Apart::Protocol, 0) => format!("{address}8000:80"),
        (Apart::Protocol, 1) => format!("{address}8000:80/udp"),
        (Apart::Protocol, _) => format!("{address}8001:80{protocol}"),
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    let order = prop_oneof![4 => Just(None), 1 => Just(Some(UpdateOrder::StopFirst))];
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), any::<bool>(), any::<bool>());
    let apart = prop_oneof![2 => Just(Apart::Number), 1 => Just(Apart::Address), 1 => Just(Apart::Protocol)];
    let ports = (0usize..3, apart, any::<bool>(), prop::bool::weighted(0.2));
    (
        prop_oneof![1 => Just(0u32), 4 => Just(1), 2 => Just(2), 2 => Just(3)],
        flags,
        order,
        0u32..3,
        0u8..2,
        0u8..2,
        ports,
    )
        .prop_map(
            |(replicas, (published, exposed, volume, check, depends), order, parallelism, version, setting, ports)| {
                let (shift, apart, bound, udp) = ports;
                Wish {
                    replicas,
                    shift,
                    apart,
                    published,
                    bound,
                    udp,
                    exposed,
                    volume,
                    order,
                    parallelism,
                    version,
                    setting,
                    check,
                    depends,
                }
            },
        )
}

const NAMES: [&str; 3] = ["api", "db", "web"];

fn wanted(wishes: &[Wish]) -> Project {
    let (shift, apart) = (wishes[0].shift, wishes[0].apart);
    let volumes = if wishes.iter().any(|wish| wish.volume) { "volumes: {data: {}}\n" } else { "" };
    let mut text = format!("name: shop\n{volumes}services:\n");
    for (index, (wish, name)) in wishes.iter().zip(NAMES).enumerate() {
        text +=
            &format!("  {name}:\n    image: {name}\n    restart: always\n    environment: {{S: '{}'}}\n", wish.setting);
        if wish.published {
            text += &format!("    ports: ['{}']\n", port(apart, (index + shift) % NAMES.len(), wish));
        }
        if wish.exposed {
            text += "    expose: [9000]\n";
        }
        if wish.volume {
            text += "    volumes: ['data:/data']\n";
        }
        if wish.depends && index > 0 {
            text +=
                &format!("    depends_on: {{{}: {{condition: service_started, restart: true}}}}\n", NAMES[index - 1]);
        }
    }
    let mut project = project(&text);
    for (wish, name) in wishes.iter().zip(NAMES) {
        let service = project.services.get_mut(name).unwrap();
        // Two containers cannot publish one port of the host themselves.
        let udp = service.ports.iter().any(|port| port.protocol == Protocol::Udp);
        let alone = wish.published && (wish.volume || wish.order.is_some() || udp);
        service.replicas = if alone { wish.replicas.min(1) } else { wish.replicas };
        service.update.order = wish.order;
        service.update.parallelism = wish.parallelism;
    }
    project
}

fn build(world: &mut World, wishes: &[Wish]) {
    for (wish, name) in wishes.iter().zip(NAMES) {
        let check = if wish.check { serde_json::json!({"Test": ["CMD", "true"]}) } else { serde_json::Value::Null };
        let config = serde_json::json!({"Healthcheck": check});
        world.images.insert(name.into(), image(name, &format!("{name}{}", wish.version), &config));
    }
}

fn plan(world: &World, project: &Project) -> Plan {
    let helper = World::helper();
    let images = &world.images;
    let desired = Desired { project, images, helper: &helper, services: None, remove_orphans: false };
    world::plan(desired, &world.facts()).unwrap()
}

/// What a person does by hand.
#[derive(Debug, Clone, Copy)]
enum Hand {
    Stop,
    Remove,
    Pause,
    Rename,
    Update,
    Disconnect,
    Reconnect,
    Misdirect,
    Scale,
}

fn hand() -> impl Strategy<Value = (Hand, prop::sample::Index)> {
    use Hand::{Disconnect, Misdirect, Pause, Reconnect, Remove, Rename, Scale, Stop, Update};
    let all = vec![Stop, Remove, Pause, Rename, Update, Disconnect, Reconnect, Misdirect, Scale];
    (prop::sample::select(all), any::<prop::sample::Index>())
}

fn meddle(world: &mut World, (hand, which): (Hand, prop::sample::Index)) {
    if world.state.containers.is_empty() {
        return;
    }
    let container = which.get(&world.state.containers).clone();
    let one = world.get(&container.id);
    match hand {
        Hand::Stop => world.stop(&container.id),
        Hand::Remove => world.remove(&container.id),
        Hand::Pause => one.state = "paused".into(),
        // Parts of our own are not found again under another name: what is in their place then is a person's business.
        Hand::Rename if container.role == Role::Service => {
            let name = format!("other-{}", container.name);
            if world.named(&name).is_none() {
                world.rename(&container.id, &name);
            }
        }
        Hand::Update => one.live.iter_mut().for_each(|live| live.restart = "no".into()),
        Hand::Disconnect => one.live.iter_mut().for_each(|live| live.networks.clear()),
        Hand::Reconnect => {
            let places = one.live.iter_mut().flat_map(|live| live.networks.values_mut());
            places.for_each(|place| *place = Place::default());
        }
        Hand::Misdirect => one.relay_targets.iter_mut().for_each(|targets| *targets = BTreeSet::from(["x".into()])),
        Hand::Scale if container.role == Role::Service && container.published.is_empty() => {
            let mut copy = container.clone();
            (copy.number, copy.name) = (7, format!("shop-{}-7", container.service.unwrap()));
            copy.id = crate::image::Digest::of(copy.name.as_bytes()).hex();
            if world.named(&copy.name).is_none() {
                world.state.containers.push(copy);
            }
        }
        Hand::Rename | Hand::Scale => {}
    }
}

/// Every service has its containers, all of them run, and its relay sends to them and to nobody else.
fn is_settled(world: &World, project: &Project) -> bool {
    project.services.values().all(|service| {
        let all = &world.state.containers;
        let own: Vec<_> = all.iter().filter(|c| c.service.as_ref() == Some(&service.name)).collect();
        let ids: BTreeSet<String> = own.iter().map(|c| c.short_id().to_owned()).collect();
        let mut relays = all.iter().filter(|c| c.relay_of.as_ref() == Some(&service.name));
        ids.len() == service.replicas as usize
            && own.iter().all(|c| c.is_running())
            && relays.all(|relay| relay.is_running() && relay.relay_targets.as_ref() == Some(&ids))
    })
}

fn converges(world: &mut World, project: &Project) {
    let first = plan(world, project);
    carry(world, project, &first).unwrap();
    let second = plan(world, project);
    assert!(is_settled(world, project), "after\n{}\nthere is\n{:#?}", render(&first), world.shown());
    assert!(
        is_clean(world, &second),
        "after\n{}\nthere is still\n{}{:#?}",
        render(&first),
        render(&second),
        world.shown()
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_261_122),
        ..ProptestConfig::default()
    })]

    #[test]
    fn after_any_interrupted_run_and_any_meddling_one_deploy_puts_everything_right(
        before in prop::collection::vec(wish(), 3),
        after in prop::collection::vec(wish(), 3),
        kills in prop::collection::vec((1usize..60, prop::option::of(0usize..3)), 0..3),
        hands in prop::collection::vec(hand(), 0..3),
    ) {
        let mut world = World::new();
        let (old, new) = (wanted(&before), wanted(&after));
        build(&mut world, &before);
        converges(&mut world, &old);
        build(&mut world, &after);
        for (steps, sick) in kills {
            world.steps_left = Some(steps);
            world.sick = sick.map(|index| NAMES[index].to_owned()).into_iter().collect();
            let plan = plan(&world, &new);
            let _ = carry(&mut world, &new, &plan);
            (world.steps_left, world.sick) = (None, BTreeSet::new());
        }
        for hand in hands {
            meddle(&mut world, hand);
        }
        converges(&mut world, &new);
    }
}
