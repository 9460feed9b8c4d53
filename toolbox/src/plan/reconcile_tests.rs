use std::collections::BTreeMap;

use crate::compose::testing::project;
use crate::image::Digest;
use crate::plan::render;
use crate::state::ObservedImage;

use super::*;

const FILE: &str = "
name: shop
services:
  db: {image: db, volumes: ['data:/data']}
  web: {image: web, ports: ['80:8080'], depends_on: [db]}
volumes: {data: {}}
";

fn layer(name: &str) -> DiffId {
    Digest::of(name.as_bytes()).into()
}

fn facts(id: &str, layers: &[&str]) -> ImageFacts {
    let layers = layers.iter().map(|l| layer(l)).collect();
    ImageFacts::new(id.into(), layers, Some("2026-01-01T00:00:00Z"), &id).on("linux", "amd64")
}

fn image(name: &str, id: &str, layers: &[&str]) -> (String, DesiredImage) {
    let layer_sizes = layers.iter().map(|l| (layer(l), 1_000_000)).collect();
    let reference = Reference::parse(name).unwrap();
    (name.to_owned(), DesiredImage { reference, facts: facts(id, layers), layer_sizes })
}

fn images() -> BTreeMap<String, DesiredImage> {
    BTreeMap::from([image("db", "db1", &["base", "db"]), image("web", "web1", &["base", "web"])])
}

fn host(engine: Result<EngineState, Cause>) -> HostFacts {
    HostFacts { host: "vm".into(), engine, listening: BTreeSet::from([listener("0.0.0.0:22")]) }
}

fn listener(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn held(name: &str, id: &str, layers: &[&str]) -> ObservedImage {
    let full = Reference::parse(name).unwrap().full();
    ObservedImage { facts: facts(id, layers), references: BTreeSet::from([full]) }
}

fn container(project: &Project, service: &str, image_id: &str) -> ObservedContainer {
    let definition = &project.services[service];
    ObservedContainer {
        id: format!("id-{service}"),
        name: container_name(project, definition),
        project: Some(project.name.clone()),
        service: Some(service.into()),
        config_hash: Some(definition.config_hash(project)),
        image_id: image_id.into(),
        state: "running".into(),
        status: "Up 2 minutes".into(),
        ..Default::default()
    }
}

/// A host on which everything is as it should be.
fn deployed(project: &Project) -> EngineState {
    EngineState {
        architecture: "amd64".into(),
        images: vec![held("db", "db1", &["base", "db"]), held("web", "web1", &["base", "web"])],
        containers: vec![container(project, "db", "db1"), container(project, "web", "web1")],
        networks: BTreeSet::from(["shop_default".into()]),
        volumes: BTreeSet::from(["shop_data".into()]),
        ..EngineState::empty()
    }
}

fn plan(project: &Project, images: &BTreeMap<String, DesiredImage>, facts: &HostFacts) -> Plan {
    reconcile(Desired { project, images }, facts).unwrap()
}

/// The plan's text after `change` was made to a host that was as it should be.
fn text_after(change: impl FnOnce(&mut EngineState)) -> String {
    let project = project(FILE);
    let mut state = deployed(&project);
    change(&mut state);
    render(&plan(&project, &images(), &host(Ok(state))))
}

#[test]
fn a_bare_host_gets_everything_in_order() {
    let project = project(FILE);
    let text = render(&plan(&project, &images(), &host(Err(Cause::NoEngine))));
    assert_eq!(
        text,
        "vm
  + install Docker from the host's own package archive (the host has no container engine)
  > push image db:latest: 2 of 2 layers, 2.0 MB (not on the host)
  > push image web:latest: 2 of 2 layers, 1.0 MB (not on the host)
  + create network shop_default (not on the host)
  + create volume shop_data (not on the host)
  + create container shop-db-1 (not on the host)
  + create container shop-web-1 (not on the host)
  7 operations
"
    );
}

#[test]
fn a_host_as_it_should_be_needs_nothing() {
    assert_eq!(text_after(|_| ()), "vm\n  = db: unchanged\n  = web: unchanged\n  nothing to do\n");
}

#[test]
fn each_difference_has_its_operation_and_cause() {
    type Change = fn(&mut EngineState);
    let cases: [(Change, &str); 9] = [
        (
            |s| s.containers[0].status = "Up 2 minutes (unhealthy)".into(),
            "! container shop-db-1 is unhealthy; see docker logs shop-db-1 on the host",
        ),
        (
            |s| s.images[1].facts = facts("web0", &["base", "old"]),
            "> push image web:latest: 1 of 2 layers, 1.0 MB (the host holds another image under this name)",
        ),
        (
            |s| s.images[1].facts = facts("web0", &["base", "old"]),
            "~ recreate container shop-web-1, stop-first (image changed)",
        ),
        (|s| s.containers[1].config_hash = None, "~ recreate container shop-web-1, stop-first (definition changed)"),
        (|s| s.containers[1].image_id = "web0".into(), "~ recreate container shop-web-1, stop-first (image changed)"),
        (|s| s.containers[1].state = "exited".into(), "~ start container shop-web-1 (state is exited)"),
        (
            |s| s.containers[1].name = "abc_shop-web-1".into(),
            "~ recreate container shop-web-1, stop-first (left over from an interrupted run)",
        ),
        (|s| s.networks.clear(), "+ create network shop_default (not on the host)"),
        (
            |s| s.containers[1].service = Some("gone".into()),
            "! container shop-web-1 belongs to the project and to no service of the file; left alone",
        ),
    ];
    for (change, line) in cases {
        let text = text_after(change);
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn what_an_interrupted_run_left_is_removed_before_the_service_is_touched() {
    let text = text_after(|s| {
        let mut old = s.containers[1].clone();
        (old.name, old.id, old.state) = ("old_shop-web-1".into(), "old".into(), "exited".into());
        s.containers.insert(0, old);
    });
    assert!(text.contains("- remove container old_shop-web-1 (left over from an interrupted run)"), "{text}");
}

#[test]
fn layers_count_as_held_on_a_containerd_store_only_when_we_sent_them() {
    let text = text_after(|s| {
        s.store = Store::Containerd;
        s.images[1].facts = facts("web0", &["base", "old"]);
    });
    assert!(text.contains("push image web:latest: 2 of 2 layers"), "{text}");
}

#[test]
fn a_one_shot_that_ended_well_is_done() {
    let mut state = deployed(&project(FILE));
    let project = project("{name: shop, services: {job: {image: db}}}");
    state.containers = vec![container(&project, "job", "db1")];
    state.containers[0].state = "exited".into();
    for (status, empty) in [("Exited (0) 2 minutes ago", true), ("Exited (1) 2 minutes ago", false)] {
        state.containers[0].status = status.into();
        assert_eq!(plan(&project, &images(), &host(Ok(state.clone()))).is_empty(), empty, "{status}");
    }
}

fn errors_after(change: impl FnOnce(&mut HostFacts, &mut BTreeMap<String, DesiredImage>)) -> Vec<String> {
    let project = project(FILE);
    let (mut facts, mut images) =
        (host(Ok(EngineState { architecture: "amd64".into(), ..EngineState::empty() })), images());
    change(&mut facts, &mut images);
    let errors = reconcile(Desired { project: &project, images: &images }, &facts).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_taken_port_is_named_with_its_holder() {
    let process = errors_after(|facts, _| facts.listening.extend([listener("127.0.0.1:80")]));
    assert_eq!(process, ["vm: service web: port 80 is taken on the host by another process"]);
    let stranger = errors_after(|facts, _| {
        let published = BTreeMap::from([(80, 80)]);
        let nginx =
            ObservedContainer { name: "nginx".into(), state: "running".into(), published, ..Default::default() };
        facts.engine.as_mut().unwrap().containers.push(nginx);
    });
    assert_eq!(stranger, ["vm: service web: port 80 is taken on the host by container nginx"]);
}

#[test]
fn a_port_held_by_the_project_itself_is_free() {
    let project = project(FILE);
    let mut state = deployed(&project);
    state.containers[1].published = BTreeMap::from([(80, 8080)]);
    let facts = HostFacts { listening: BTreeSet::from([listener("[::]:80")]), ..host(Ok(state)) };
    assert!(plan(&project, &images(), &facts).is_empty());
}

#[test]
fn an_image_that_exists_nowhere_is_an_error_and_one_that_the_host_holds_is_not() {
    let nowhere = errors_after(|_, images| drop(images.remove("db")));
    assert_eq!(nowhere, ["vm: service db: image db is neither here nor on the host"]);
    let project = project(FILE);
    let facts = host(Ok(deployed(&project)));
    assert!(plan(&project, &BTreeMap::new(), &facts).is_empty());
}

#[test]
fn an_image_for_another_processor_is_an_error() {
    let wrong = errors_after(|facts, _| facts.engine.as_mut().unwrap().architecture = "arm64".into());
    assert_eq!(wrong[0], "vm: service db: image db is for amd64, the host is arm64");
    assert_eq!(wrong.len(), 2);
}

#[test]
fn a_port_on_one_address_clashes_with_listeners_on_it_or_on_all() {
    for (ours, theirs, expected) in [
        (None, "127.0.0.1", true),
        (Some("0.0.0.0"), "10.0.0.1", true),
        (Some("127.0.0.1"), "0.0.0.0", true),
        (Some("127.0.0.1"), "::", true),
        (Some("127.0.0.1"), "127.0.0.1", true),
        (Some("127.0.0.1"), "10.0.0.1", false),
        (Some("127.0.0.1"), "::1", false),
    ] {
        let (ours, theirs) = (ours.map(|ip: &str| ip.parse().unwrap()), theirs.parse().unwrap());
        assert_eq!(clashes(ours, theirs), expected, "{ours:?} {theirs}");
    }
}
