//! What the fixtures do not show: values beside the text.

use crate::compose::Project;
use crate::compose::testing::project;
use crate::plan::{Action, Desired, Plan, render, teardown};
use crate::state::{Owned, Store};

use super::carry::carry;
use super::world::{self, World, image};

fn planned(world: &World, project: &Project) -> Plan {
    let (helper, images) = (World::helper(), &world.images);
    let desired = Desired { project, images, helper: &helper, services: None, remove_orphans: false };
    world::plan(desired, &world.facts()).unwrap()
}

#[test]
fn a_plan_with_a_field_that_is_not_known_is_refused() {
    let plan = teardown("vm", &project("{services: {web: {image: a}}}"), &World::new().state, false);
    let mut json = serde_json::to_value(&plan).unwrap();
    assert!(serde_json::from_value::<Plan>(json.clone()).is_ok());
    json["operations"] = serde_json::json!([
        {"action": "create_keeper", "name": "toolbox.shop", "cause": {"reason": "not_running", "state": "exited"}}
    ]);
    assert!(serde_json::from_value::<Plan>(json.clone()).is_ok());
    for (place, key) in [("/operations/0", "colour"), ("/operations/0/cause", "colour"), ("", "colour")] {
        let mut wrong = json.clone();
        wrong.pointer_mut(place).unwrap()[key] = "red".into();
        assert!(serde_json::from_value::<Plan>(wrong).is_err(), "{place}/{key}");
    }
}

#[test]
fn taking_a_project_down_ends_with_the_keeper_and_leaves_volumes_and_pins_unless_asked() {
    let project = project("{name: shop, services: {web: {image: a, expose: [80]}}}");
    let mut world = World::new();
    world.build(&project);
    let plan = planned(&world, &project);
    carry(&mut world, &project, &plan).unwrap();
    for (content, name) in
        [("a", "toolbox.local/shop/web:20261101-000000"), ("b", "toolbox.local/other/web:20261101-000000")]
    {
        let image = image(name, content, &serde_json::json!({}));
        world.take_in(&image.reference, &image.facts);
    }
    let gone = |volumes| -> Vec<String> {
        let plan = teardown("vm", &project, &world.state, volumes);
        let name = |action: &Action| match action {
            Action::RemoveContainer { container, .. } => container.clone(),
            Action::RemoveNetwork { name } | Action::RemoveVolume { name } => name.clone(),
            Action::RemovePin { reference } => reference.familiar(),
            other => panic!("{other:?}"),
        };
        plan.operations.iter().map(|o| name(&o.action)).collect()
    };
    let without = ["shop-web-1", "toolbox.shop.web", "toolbox.shop", "shop_default"];
    assert_eq!(gone(false), without);
    let pin = "toolbox.local/shop/web:20261101-000000";
    assert_eq!(gone(true), [&without[..], &["toolbox.shop", pin]].concat());
}

#[test]
fn networks_that_the_file_does_not_name_go_with_the_project_that_made_them() {
    let project = project(
        "{name: shop, services: {web: {image: a, networks: [outer]}}, networks: {outer: {external: true, name: out}}}",
    );
    let mut world = World::new();
    for (name, owner) in [("shop_left", Some("shop")), ("out", Some("shop")), ("theirs", Some("other")), ("bare", None)]
    {
        let owner = Owned { project: owner.map(str::to_owned), hash: None };
        world.state.networks.insert(name.to_owned(), owner);
    }
    let plan = teardown("vm", &project, &world.state, false);
    let actions: Vec<&Action> = plan.operations.iter().map(|o| &o.action).collect();
    assert!(matches!(actions[..], [Action::RemoveNetwork { name }] if name == "shop_left"), "{actions:?}");
    assert!(plan.notes.is_empty(), "{:?}", plan.notes);
}

#[test]
fn networks_and_volumes_of_others_are_told_and_stay() {
    let project = project("{name: shop, services: {web: {image: a, volumes: ['data:/d']}}, volumes: {data: {}}}");
    let mut world = World::new();
    world.build(&project);
    let plan = planned(&world, &project);
    carry(&mut world, &project, &plan).unwrap();
    let removes = |world: &World, name: &str| {
        let plan = teardown("vm", &project, &world.state, true);
        let goes = plan.operations.iter().any(|o| match &o.action {
            Action::RemoveNetwork { name: gone } | Action::RemoveVolume { name: gone } => gone == name,
            _ => false,
        });
        let told = plan.notes.iter().any(|note| note.contains(&format!(" {name} ")));
        assert_ne!(goes, told, "{name}: {:?}", plan.notes);
        goes
    };
    for name in ["shop_default", "shop_data", "toolbox.shop"] {
        assert!(removes(&world, name), "{name}");
        for owner in [None, Some("another".to_owned())] {
            let mut other = world.clone();
            let all = [&mut other.state.networks, &mut other.state.volumes];
            all.into_iter().filter_map(|them| them.get_mut(name)).for_each(|it| it.project.clone_from(&owner));
            assert!(!removes(&other, name), "{name} of {owner:?}");
        }
    }
}

#[test]
fn a_helper_for_another_processor_is_refused_where_it_is_needed() {
    let project = project("{name: shop, services: {web: {image: a}}}");
    let mut world = World::new();
    world.build(&project);
    let asked = |world: &World| {
        let mut helper = World::helper();
        helper.facts.architecture = "arm64".into();
        let (helper, images) = (&helper, &world.images);
        let desired = Desired { project: &project, images, helper, services: None, remove_orphans: false };
        world::plan(desired, &world.facts())
    };
    let errors = asked(&world).unwrap_err();
    assert_eq!(errors[0].to_string(), "vm: the helper of this toolbox is for arm64, the host is amd64");
    assert_eq!(errors[0].hint(), "deploy from a toolbox image for linux/amd64");
    let plan = planned(&world, &project);
    carry(&mut world, &project, &plan).unwrap();
    assert!(asked(&world).unwrap().is_empty(), "the keeper is there already");
}

#[test]
fn no_word_of_a_hook_but_its_program_is_in_a_plan() {
    let mut project = project("{name: shop, services: {web: {image: a}}}");
    let command = ["/app/migrate", "--password", "hunter2"].map(str::to_owned).to_vec();
    project.services.get_mut("web").unwrap().toolbox.hooks.before = vec![vec!["true".into()], command];
    let mut world = World::new();
    world.build(&project);
    let plan = planned(&world, &project);
    let text = render(&plan);
    assert!(text.contains("run hooks.before[0] of web (true) ("), "{text}");
    assert!(text.contains("run hooks.before[1] of web (/app/migrate …) ("), "{text}");
    assert!(!(text + &serde_json::to_string(&plan).unwrap()).contains("hunter2"));
}

#[test]
fn layers_count_as_held_on_a_containerd_store_only_when_we_sent_them() {
    let project = project("{name: shop, services: {web: {image: a}}}");
    let mut world = World::new();
    world.build(&project);
    let before = image("a", "before", &serde_json::json!({}));
    world.take_in(&before.reference, &before.facts);
    let ours = [before.facts.id.clone()];
    for (store, ours, expected) in
        [(Store::Classic, &[][..], 1), (Store::Containerd, &[], 0), (Store::Containerd, &ours, 1)]
    {
        world.state.store = store;
        world.state.ours = ours.iter().cloned().collect();
        let plan = planned(&world, &project);
        let held = plan.operations.iter().find_map(|o| match &o.action {
            Action::PushImage { held_layers, .. } => Some(*held_layers),
            _ => None,
        });
        assert_eq!(held, Some(expected));
    }
}
