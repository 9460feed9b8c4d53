use std::collections::BTreeMap;

use super::*;
use crate::compose::{Content, FileMount, FileObject};
use crate::state::ImageFacts;

const WEB: &str = "name: shop\nservices: { web: { image: shop-web } }\n";

fn id(number: u64) -> String {
    format!("{number:064x}")
}

fn release(day: u32) -> Release {
    let mut project = crate::compose::testing::project(WEB);
    let object = FileObject { digest: format!("digest{day}"), content: Content::default() };
    project.configs.insert("settings".into(), object);
    let mount = FileMount { key: "settings".into(), target: "/s".into(), uid: 0, gid: 0, mode: 0o444 };
    project.services.get_mut("web").unwrap().configs.push(mount);
    Release::new(format!("202611{day:02}-000000").parse().unwrap(), "ann".into(), None, project, BTreeMap::new())
}

fn image(number: u64, names: &[&str]) -> ObservedImage {
    let facts = ImageFacts::new(id(number), Vec::new(), None, &serde_json::Value::Null);
    ObservedImage { facts, references: names.iter().map(|name| (*name).to_owned()).collect() }
}

fn container(number: u64, name: &str, state: &str, image: u64) -> ObservedContainer {
    ObservedContainer {
        id: id(number),
        name: name.into(),
        project: Some("shop".into()),
        service: Some("web".into()),
        release: Some("20261101-000000".into()),
        image_id: id(image),
        state: state.into(),
        ..ObservedContainer::default()
    }
}

fn engine(containers: Vec<ObservedContainer>, images: Vec<ObservedImage>) -> EngineState {
    EngineState { containers, images, ..EngineState::empty() }
}

/// What is listed, one text each.
fn listed(engine: &EngineState, releases: &[Release], keep: usize) -> Vec<String> {
    texts(&prune("shop", engine, releases, true, keep))
}

fn texts(prune: &Prune) -> Vec<String> {
    prune.unused.iter().map(|one| one.thing.to_string()).collect()
}

fn pin(day: u32) -> String {
    format!("toolbox.local/shop/web:202611{day:02}-000000")
}

#[test]
fn the_last_releases_stay_and_older_ones_go_with_their_pins() {
    let releases = [release(3), release(2), release(1)];
    let images =
        vec![image(1, &[&pin(1)]), image(2, &[&pin(2)]), image(3, &[&pin(3), "docker.io/library/shop-web:latest"])];
    let engine = engine(vec![container(9, "shop-web-1", "running", 3)], images);
    let old = ["image name toolbox.local/shop/web:20261101-000000", "release 20261101-000000"];
    assert_eq!(listed(&engine, &releases, 2), old);
    assert_eq!(listed(&engine, &releases, 3), [""; 0]);
    assert_eq!(listed(&engine, &releases, 0).len(), 4, "the newest always stays");
}

#[test]
fn a_pin_of_a_deploy_that_failed_goes() {
    let engine = engine(vec![], vec![image(1, &[&pin(7)])]);
    assert_eq!(listed(&engine, &[release(8), release(6)], 5), [format!("image name {}", pin(7))]);
}

#[test]
fn names_that_are_not_this_projects_stay() {
    let names = [
        "docker.io/library/shop-web:latest",
        "toolbox.local/other/web:20261101-000000",
        "toolbox.local/shop/web:latest",
    ];
    let images = names.iter().enumerate().map(|(number, name)| image(number as u64, &[name])).chain([image(9, &[])]);
    assert_eq!(listed(&engine(vec![], images.collect()), &[release(2)], 5), [""; 0]);
}

#[test]
fn an_image_that_any_container_uses_keeps_its_last_name() {
    let mut stranger = container(9, "other-web-1", "exited", 1);
    (stranger.project, stranger.release) = (Some("other".into()), None);
    let alone = engine(vec![stranger.clone()], vec![image(1, &[&pin(1)])]);
    assert_eq!(listed(&alone, &[release(2)], 5), [""; 0]);
    let named = engine(vec![stranger], vec![image(1, &[&pin(1), "docker.io/library/x:1"])]);
    assert_eq!(listed(&named, &[release(2)], 5), [format!("image name {}", pin(1))]);
}

#[test]
fn a_helper_image_goes_when_nothing_is_made_from_it() {
    let helper = "docker.io/library/toolbox-relay:0123456789ab";
    let mut keeper = container(9, "toolbox.shop", "running", 1);
    (keeper.role, keeper.release) = (Role::Keeper, None);
    let images = vec![image(1, &[helper]), image(2, &["docker.io/library/toolbox-relay:ba9876543210"])];
    let engine = engine(vec![keeper], images);
    assert_eq!(listed(&engine, &[], 5), ["image toolbox-relay:ba9876543210"]);

    let sparing = |own: Option<&str>| {
        let own = own.map(|own| Reference::parse(own).unwrap());
        prune("shop", &engine, &[], true, 5).sparing(own.as_ref()).unused.len()
    };
    let goes = [Some("toolbox-relay:ba9876543210"), Some("toolbox-relay:222222222222"), None].map(sparing);
    assert_eq!(goes, [0, 1, 0], "another project may be about to use this toolbox's own");
}

#[test]
fn containers_that_did_their_work_go_and_others_stay() {
    let parked = |number: u64, state| container(number, &format!("{}_shop-web-1", &id(number)[..12]), state, 1);
    let with = |mut container: ObservedContainer, role| {
        container.role = role;
        container
    };
    let by_compose = ObservedContainer { release: None, ..parked(4, "exited") };
    let others = ObservedContainer { project: Some("other".into()), ..parked(5, "exited") };
    let going = vec![
        parked(1, "exited"),
        container(2, "shop-web-1.next", "created", 1),
        with(container(3, "shop-web-run-1", "exited", 1), Role::OneOff),
    ];
    let staying = vec![
        by_compose,
        others,
        parked(6, "running"),
        container(7, "shop-web-1", "running", 1),
        container(13, "shop-web-2", "exited", 1),
        container(8, "shop-web-1.next", "running", 1),
        with(container(9, "shop-web-run-2", "running", 1), Role::OneOff),
        with(container(10, "shop-web-run-3", "created", 1), Role::OneOff),
        with(container(11, "toolbox.shop", "exited", 1), Role::Keeper),
        with(container(12, "toolbox.shop.web", "exited", 1), Role::Relay),
    ];
    let names: Vec<String> = going.iter().map(|c| format!("container {}", c.name)).collect();
    assert_eq!(listed(&engine(going.into_iter().chain(staying).collect(), vec![]), &[], 5), names);
}

#[test]
fn a_replaced_container_stays_until_its_successor_is_well() {
    let parked = container(1, &format!("{}_shop-web-1", &id(1)[..12]), "exited", 1);
    let starting = ObservedContainer {
        status: "Up 2 seconds (health: starting)".into(),
        ..container(2, "shop-web-1", "running", 2)
    };
    for successor in [None, Some(starting), Some(container(2, "shop-web-1.next", "running", 2))] {
        let engine = engine(successor.iter().cloned().chain([parked.clone()]).collect(), vec![]);
        assert_eq!(listed(&engine, &[release(2)], 5), [""; 0], "{successor:?}");
    }
}

#[test]
fn an_image_goes_with_the_last_container_that_used_it() {
    let parked = container(1, &format!("{}_shop-web-1", &id(1)[..12]), "exited", 1);
    let engine = engine(vec![parked, container(2, "shop-web-1", "running", 2)], vec![image(1, &[&pin(1)])]);
    assert_eq!(listed(&engine, &[release(2)], 5).len(), 2);
}

#[test]
fn files_of_kept_releases_and_of_containers_stay() {
    let orphan = ObservedContainer {
        binds: BTreeSet::from([
            "/var/lib/docker/volumes/toolbox.shop/_data/files/orphans-0-0-444".into(),
            "/srv/x".into(),
        ]),
        ..container(1, "shop-old-1", "running", 1)
    };
    let engine = engine(vec![orphan], vec![]);
    let files = prune("shop", &engine, &[release(3), release(2), release(1)], true, 2).files.unwrap();
    assert_eq!(Vec::from_iter(files), ["digest2-0-0-444", "digest3-0-0-444", "orphans-0-0-444"]);
}

#[test]
fn a_record_that_cannot_be_read_protects_what_it_may_need() {
    let engine = engine(vec![], vec![image(1, &[&pin(1)]), image(7, &[&pin(7)])]);
    let prune = prune("shop", &engine, &[release(2), release(1)], false, 1);
    assert_eq!(texts(&prune), [format!("image name {}", pin(1)), "release 20261101-000000".into()]);
    assert_eq!(prune.files, None);
}

#[test]
fn where_no_record_could_be_read_every_pin_and_file_stays() {
    let engine = engine(vec![], vec![image(1, &[&pin(1)]), image(7, &[&pin(7)])]);
    assert_eq!(prune("shop", &engine, &[], false, 1), Prune::default());
    assert_eq!(prune("shop", &engine, &[], true, 1).unused.len(), 2, "no records at all: nothing needs them");
}

#[test]
fn after_a_deploy_containers_stay() {
    let parked = container(1, &format!("{}_shop-web-1", &id(1)[..12]), "exited", 1);
    let engine = engine(vec![parked, container(2, "shop-web-1", "running", 3)], vec![image(2, &[&pin(1)])]);
    let all = prune("shop", &engine, &[release(2)], true, 5);
    assert_eq!((all.unused.len(), texts(&all.releases_only())), (2, vec![format!("image name {}", pin(1))]));
}
