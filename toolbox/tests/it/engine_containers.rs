//! Containers as a real engine makes them from our specs: helpers, services behind relays, one-off commands.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde_json::Value;
use toolbox::compose::{Attachment, Project, Protocol, PublishedPort};
use toolbox::engine::{ContainerSpec, Engine as _, FileBind, HelperSpec, Purpose};

use crate::engine_world::World;

const COMPOSE: &str = r#"
services:
  web:
    image: IMAGE
    command: [keep]
    hostname: fixed
    environment: { MODE: fast, KIND: web }
    ports: ["127.0.0.1::9000"]
    restart: always
    stop_signal: SIGKILL
    healthcheck: { test: [CMD, /probe, resolve, localhost], interval: 1s }
    networks:
      default: { aliases: [www], ipv4_address: SUBNET.10 }
      back: { aliases: [shop] }
networks:
  default: { ipam: { config: [{ subnet: SUBNET.0/24 }] } }
  back:
"#;

fn spec<'a>(world: &'a World, project: &'a Project, name: &'a str) -> ContainerSpec<'a> {
    ContainerSpec {
        project,
        service: &project.services["web"],
        name,
        final_name: name,
        number: 3,
        image: &world.image,
        successor_of: None,
        behind_relay: false,
        files: &[],
        release: Some("20261122-175437"),
        purpose: Purpose::Service,
    }
}

/// A world with the project's networks, one of them where no other test's is.
async fn networked(test: &str) -> Option<(World, Project)> {
    let world = World::new(test).await?;
    let mut hasher = DefaultHasher::new();
    world.name.hash(&mut hasher);
    let [a, b, ..] = hasher.finish().to_be_bytes();
    let project = world.project(&COMPOSE.replace("SUBNET", &format!("10.{}.{b}", a | 128)));
    for key in project.networks.keys() {
        world.engine.create_network(&project, key).await.unwrap();
    }
    Some((world, project))
}

async fn running(world: &World, spec: ContainerSpec<'_>) -> String {
    let id = world.engine.create_container(spec).await.unwrap();
    world.engine.start(&id).await.unwrap();
    id
}

fn addresses(container: &Value) -> Vec<&str> {
    let networks = container["NetworkSettings"]["Networks"].as_object().unwrap();
    networks.values().map(|network| network["IPAddress"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_short_id_is_a_name_in_every_network_of_the_container_and_nowhere_else() {
    let Some((world, project)) = networked("shortid").await else { return };
    let name = format!("{}-web-1", world.name);
    let id = running(&world, ContainerSpec { behind_relay: true, ..spec(&world, &project, &name) }).await;
    let shown = world.cli.container(&id);
    let own = addresses(&shown);
    for network in project.networks.values() {
        let networks = BTreeMap::from([(network.name.clone(), Attachment::default())]);
        let other = HelperSpec { name: network.name.clone(), networks, ..HelperSpec::default() };
        let other = world.helper(other).await;
        let found = world.lines(&other, &["resolve", &id[..12]]).await;
        assert!(own.contains(&found[0].as_str()), "{found:?}, not of {own:?}");
        world.engine.remove(&other, true).await.unwrap();
    }
    let outside = world.helper(HelperSpec::default()).await;
    assert_eq!(world.lines(&outside, &["resolve", &id[..12]]).await, ["unknown"]);
}

#[tokio::test]
async fn behind_a_relay_a_container_has_its_own_name_and_nothing_of_the_service() {
    let Some((world, project)) = networked("behind").await else { return };
    let (name, staged) = (format!("{}-web-1", world.name), format!("{}-web-1.next", world.name));
    let behind =
        ContainerSpec { behind_relay: true, name: &staged, final_name: &name, ..spec(&world, &project, &staged) };
    let id = running(&world, behind).await;
    let networks = project.networks.values().map(|network| (network.name.clone(), Attachment::default())).collect();
    let other = world.helper(HelperSpec { networks, ..HelperSpec::default() }).await;
    for (asked, known) in [("web", false), ("www", false), ("shop", false), ("fixed", true), (name.as_str(), true)] {
        // The engine makes a host name a name in all networks, whatever is asked for.
        let found = world.lines(&other, &["resolve", asked]).await;
        assert_eq!(found != ["unknown"], known, "{asked}: {found:?}");
    }
    let shown = world.cli.container(&id);
    assert_eq!(shown["HostConfig"]["PortBindings"], serde_json::json!({}));
    assert!(!addresses(&shown).iter().any(|address| address.ends_with(".10")));
    world.engine.remove(&id, true).await.unwrap();

    let id = running(&world, spec(&world, &project, &name)).await;
    for asked in ["web", "www", "shop", name.as_str()] {
        assert_ne!(world.lines(&other, &["resolve", asked]).await, ["unknown"], "{asked}, without a relay");
    }
    let shown = world.cli.container(&id);
    assert_eq!(shown["HostConfig"]["PortBindings"]["9000/tcp"][0]["HostIp"], "127.0.0.1");
    assert!(addresses(&shown).iter().any(|address| address.ends_with(".10")));
}

#[tokio::test]
async fn a_container_says_what_it_is_and_sees_its_files_read_only() {
    let Some((world, project)) = networked("labels").await else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "settings").unwrap();
    let source = file.path().display().to_string();
    let files = [FileBind { source: source.clone(), target: "/run/deep/settings".into() }];
    let name = format!("{}-web-3", world.name);
    let id = running(&world, ContainerSpec { files: &files, ..spec(&world, &project, &name) }).await;
    assert_eq!(world.lines(&id, &["write", "/run/deep/settings"]).await, ["read-only filesystem or storage medium"]);
    let observed = world.engine.observe(&world.name).await.unwrap();
    let seen = observed.containers.iter().find(|c| c.id == id).unwrap();
    assert_eq!((seen.number, seen.oneoff, seen.release.as_deref()), (3, false, Some("20261122-175437")));
    assert_eq!(Vec::from_iter(&seen.binds), [&source]);
    assert_eq!(world.cli.container(&id)["Config"]["Labels"]["io.toolbox.role"], "service");
}

#[tokio::test]
async fn a_one_off_command_has_the_services_surroundings_and_none_of_its_duties() {
    let Some((world, project)) = networked("oneoff").await else { return };
    let name = format!("{}-web-run", world.name);
    let added = BTreeMap::from([("MODE".to_owned(), "slow".to_owned())]);
    let words = ["resolve".to_owned(), "localhost".to_owned()];
    let purpose =
        Purpose::OneOff { role: "hook", command: &words, terminal: false, entrypoint: None, environment: &added };
    let id = running(&world, ContainerSpec { purpose, ..spec(&world, &project, &name) }).await;
    while world.engine.status(&id).await.unwrap().state == "running" {
        tokio::task::yield_now().await;
    }
    let status = world.engine.status(&id).await.unwrap();
    assert_eq!((status.state.as_str(), status.exit_code, status.restarts), ("exited", 0, 0));
    assert_eq!(world.engine.logs(&id, 1).await.unwrap(), ["127.0.0.1"]);
    let shown = world.cli.container(&id);
    let environment = shown["Config"]["Env"].as_array().unwrap();
    assert!(environment.contains(&"MODE=slow".into()) && environment.contains(&"KIND=web".into()));
    assert_eq!(shown["Config"]["Labels"]["com.docker.compose.oneoff"], "True");
    assert_eq!(shown["Config"]["Labels"]["io.toolbox.role"], "hook");
    assert_eq!(shown["Config"]["Healthcheck"]["Test"][0], "NONE");
    assert_eq!(shown["HostConfig"]["PortBindings"], serde_json::json!({}));
    assert_eq!(shown["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_eq!(shown["NetworkSettings"]["Networks"].as_object().unwrap().len(), 2);
    for network in shown["NetworkSettings"]["Networks"].as_object().unwrap().values() {
        let aliases = network["Aliases"].as_array();
        assert!(
            !aliases.into_iter().flatten().any(|alias| ["web", "www", "fixed"].iter().any(|name| alias == name)),
            "{network}"
        );
    }
}

#[tokio::test]
async fn a_person_at_a_terminal_gets_one_with_another_entrypoint() {
    let Some((world, project)) = networked("terminal").await else { return };
    let name = format!("{}-web-run", world.name);
    let (none, entrypoint) = (BTreeMap::new(), ["/probe".to_owned(), "echo".to_owned(), "0".to_owned()]);
    let purpose = Purpose::OneOff {
        role: "run",
        command: &[],
        terminal: true,
        entrypoint: Some(&entrypoint),
        environment: &none,
    };
    let id = world.engine.create_container(ContainerSpec { purpose, ..spec(&world, &project, &name) }).await.unwrap();
    let config = &world.cli.container(&id)["Config"];
    assert_eq!(
        (&config["Tty"], &config["OpenStdin"], &config["StdinOnce"]),
        (&true.into(), &true.into(), &true.into())
    );
    assert_eq!(config["Entrypoint"], serde_json::json!(["/probe", "echo", "0"]));
    assert!(config["Cmd"].as_array().is_none_or(Vec::is_empty), "the service's command does not follow: {config}");
}

#[tokio::test]
async fn a_helper_has_names_ports_and_addresses_and_no_power() {
    let Some((world, project)) = networked("helper").await else { return };
    let network = |key: &str| project.networks[key].name.clone();
    let fixed = project.services["web"].networks["default"].clone();
    let networks = BTreeMap::from([
        (network("default"), fixed.clone()),
        (network("back"), Attachment { aliases: vec!["shop".into()], ..Attachment::default() }),
    ]);
    let port = PublishedPort {
        host_ip: Some("127.0.0.1".parse().unwrap()),
        published: None,
        target: 9000,
        protocol: Protocol::Tcp,
    };
    let relay = HelperSpec {
        networks,
        ports: vec![port],
        environment: [("RELAY_CONFIG".to_owned(), "{}".to_owned())].into(),
        labels: [("io.toolbox.role".to_owned(), "relay".to_owned())].into(),
        ..HelperSpec::default()
    };
    let id = world.helper(relay).await;
    let other = HelperSpec {
        name: "-other".into(),
        networks: BTreeMap::from([(network("back"), Attachment::default())]),
        ..HelperSpec::default()
    };
    let other = world.helper(other).await;
    assert_ne!(world.lines(&other, &["resolve", "shop"]).await, ["unknown"]);
    let shown = world.cli.container(&id);
    assert!(addresses(&shown).contains(&fixed.ipv4_address.unwrap().as_str()));
    assert_eq!(addresses(&shown).len(), 2);
    let host = &shown["HostConfig"];
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges:true"]));
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(host["ReadonlyRootfs"], false, "a relay keeps its state in its own layer");
    assert_eq!(shown["NetworkSettings"]["Ports"]["9000/tcp"][0]["HostIp"], "127.0.0.1");
    assert_eq!(world.lines(&id, &["write", "/state/relay.json"]).await, [""; 0]);
    assert_eq!(world.lines(&id, &["write", "/other"]).await, ["permission denied"], "it is not root");
}

#[tokio::test]
async fn a_keeper_has_its_volume_and_no_network() {
    let Some(world) = World::new("keeper").await else { return };
    let id = world.keeper().await;
    let shown = world.cli.container(&id);
    assert_eq!(shown["HostConfig"]["NetworkMode"], "none");
    assert_eq!(shown["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(world.lines(&id, &["write", "/state/lock"]).await, [""; 0], "its volume begins as the image's");
    assert_eq!(world.lines(&id, &["stat", "/state"]).await[..2], ["65532", "65532"]);
    world.engine.stop(&id, Some(Duration::ZERO)).await.unwrap();
}

#[tokio::test]
async fn a_helper_that_cannot_be_connected_is_not_left_behind() {
    let Some((world, project)) = networked("halfmade").await else { return };
    let networks = BTreeMap::from([
        (project.networks["back"].name.clone(), Attachment::default()),
        // It takes no names.
        ("none".to_owned(), Attachment { aliases: vec!["shop".into()], ..Attachment::default() }),
    ]);
    let spec = world.spec(HelperSpec { networks, ..HelperSpec::default() });
    let error = world.engine.create_helper(&spec).await.unwrap_err();
    assert!(error.to_string().contains("network none"), "{error}");
    assert!(!world.cli.succeeds(&["container", "inspect", &spec.name]));
}
