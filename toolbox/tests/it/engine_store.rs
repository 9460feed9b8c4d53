//! The project's lock and its releases on a real engine, behind a keeper with the real relay program.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Duration;

use toolbox::apply::{LockError, Store, acquire};
use toolbox::engine::Engine as _;
use toolbox::image::Reference;
use toolbox::plan::{Prune, prune};
use toolbox::release::{Release, ReleasedImage, ReleasedService};

use crate::engine_world::{World, has_relay};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

/// A world with a keeper; `None` where that cannot be had.
async fn kept(test: &str) -> Option<(World, String)> {
    if !has_relay(test) {
        return None;
    }
    let world = World::new(test).await?;
    let keeper = world.keeper().await;
    Some((world, keeper))
}

#[tokio::test]
async fn the_lock_is_one_persons_at_a_time_and_the_next_ones_afterwards() {
    let Some((world, keeper)) = kept("lock").await else { return };
    let ann = acquire(&world.engine, &keeper, "ann@box", NOW, LONG).await.unwrap();
    let refused = acquire(&world.engine, &keeper, "bob@box", NOW, LONG).await.unwrap_err();
    let LockError::Held { who, since } = &refused else { panic!("{refused}") };
    assert_eq!(who, "ann@box");
    assert!(since.starts_with("20") && since.ends_with('Z'), "{since}");
    assert!(!*ann.lost().borrow());
    let (engine, container) = (world.engine.clone(), keeper.clone());
    let waiting = tokio::spawn(async move { acquire(&engine, &container, "bob@box", LONG, LONG).await });
    ann.release().await;
    let bob = waiting.await.unwrap().unwrap();
    drop(bob);
    acquire(&world.engine, &keeper, "cat@box", LONG, LONG).await.unwrap().release().await;
    acquire(&world.engine, &keeper, "dan@box", NOW, LONG).await.expect("who gave it back waits until the host knows");
}

#[tokio::test]
async fn a_holder_that_is_killed_frees_the_lock() {
    let Some((world, keeper)) = kept("killed").await else { return };
    let mut command = world.cli.command(&["exec", "--interactive", &keeper, "/toolbox-relay", "lock"]);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let claim = br#"{"who":"ann@box","since":"2026-11-22T17:54:37Z","wait_ms":0}"#;
    let stdin = holder.stdin.as_mut().unwrap();
    stdin.write_all(claim).and_then(|()| stdin.write_all(b"\n")).unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"locked\":true}\n");
    let refused = acquire(&world.engine, &keeper, "bob@box", NOW, LONG).await.unwrap_err();
    assert_eq!(refused.to_string(), "ann@box is deploying this project to this host since 2026-11-22T17:54:37Z");
    holder.kill().unwrap();
    holder.wait().unwrap();
    acquire(&world.engine, &keeper, "bob@box", LONG, LONG).await.unwrap();
}

#[tokio::test]
async fn a_holder_whose_connection_dies_frees_the_lock_and_learns_of_it() {
    let Some((world, keeper)) = kept("lockcut").await else { return };
    let (engine, cable) = world.cable().await;
    let ann = acquire(&engine, &keeper, "ann@box", NOW, LONG).await.unwrap();
    let mut lost = ann.lost();
    cable.cut();
    lost.wait_for(|lost| *lost).await.unwrap();
    acquire(&world.engine, &keeper, "bob@box", LONG, LONG).await.unwrap();
}

#[tokio::test]
async fn a_keeper_that_is_stopped_takes_the_lock_along() {
    let Some((world, keeper)) = kept("stopped").await else { return };
    let ann = acquire(&world.engine, &keeper, "ann@box", NOW, LONG).await.unwrap();
    world.engine.stop(&keeper, Some(NOW)).await.unwrap();
    ann.lost().wait_for(|lost| *lost).await.unwrap();
    let refused = acquire(&world.engine, &keeper, "bob@box", NOW, LONG).await.unwrap_err();
    assert!(matches!(refused, LockError::Engine(_)), "{refused}");
    world.engine.start(&keeper).await.unwrap();
    acquire(&world.engine, &keeper, "bob@box", NOW, LONG).await.unwrap();
}

#[tokio::test]
async fn whoever_waits_in_a_keeper_that_is_paused_is_told_so() {
    let Some((world, keeper)) = kept("paused").await else { return };
    let ann = acquire(&world.engine, &keeper, "ann@box", NOW, LONG).await.unwrap();
    let (engine, container) = (world.engine.clone(), keeper.clone());
    let waiting = tokio::spawn(async move { acquire(&engine, &container, "bob@box", LONG, LONG).await });
    world.cli.docker(&["pause", &keeper]);
    let refused = waiting.await.unwrap().unwrap_err();
    world.cli.docker(&["unpause", &keeper]);
    assert!(refused.to_string().contains("paused"), "{refused}");
    ann.release().await;
}

const COMPOSE: &str = "services: { web: { image: IMAGE } }\n";

/// A release whose one service has the world's image and a config of this content.
async fn release(world: &World, day: u32) -> Release {
    let mut project = world.project(COMPOSE);
    let object = serde_json::json!({ "digest": format!("{day:064x}") });
    project.configs.insert("settings".into(), serde_json::from_value(object).unwrap());
    let mount = serde_json::json!({ "key": "settings", "target": "/s", "uid": 0, "gid": 0, "mode": 0o444 });
    project.services.get_mut("web").unwrap().configs.push(serde_json::from_value(mount).unwrap());
    let facts = world.engine.image_facts(&world.image).await.unwrap().unwrap();
    let image = ReleasedImage {
        reference: Reference::parse(&world.image).unwrap(),
        id: facts.id,
        layers: facts.layers,
        architecture: facts.architecture,
        loaded: false,
    };
    let service = ReleasedService { config_hash: "hash".into(), image };
    let services = BTreeMap::from([("web".to_owned(), service)]);
    Release::new(format!("202611{day:02}-000000").parse().unwrap(), "ann@box".into(), None, project, services)
}

/// Puts a file into the keeper as the deploy does.
async fn put(world: &World, keeper: &str, path: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o400);
    header.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    let mut directory = tar::Header::new_gnu();
    directory.set_entry_type(tar::EntryType::Directory);
    directory.set_uid(65532);
    directory.set_gid(65532);
    directory.set_mode(0o711);
    directory.set_size(0);
    builder.append_data(&mut directory, path.rsplit_once('/').unwrap().0, std::io::empty()).unwrap();
    builder.append_data(&mut header, path, std::io::empty()).unwrap();
    world.engine.put_files(keeper, "/state", builder.into_inner().unwrap()).await.unwrap();
}

#[tokio::test]
async fn releases_are_read_newest_first_and_a_broken_one_is_named_and_passed_over() {
    let Some(world) = World::new("shelf").await else { return };
    let keeper = world.keeper().await;
    let store = Store::new(&world.engine, &keeper);
    assert_eq!(store.shelf().await.unwrap().releases, []);
    assert_eq!(Store::new(&world.engine, "no-keeper").shelf().await.unwrap().releases, []);
    let releases = [release(&world, 1).await, release(&world, 3).await, release(&world, 2).await];
    for release in &releases {
        store.write(release).await.unwrap();
    }
    put(&world, &keeper, "releases/20261104-000000.json").await;
    let shelf = store.shelf().await.unwrap();
    let ids: Vec<String> = shelf.releases.iter().map(|release| release.id.to_string()).collect();
    assert_eq!(ids, ["20261103-000000", "20261102-000000", "20261101-000000"]);
    assert_eq!(shelf.find(releases[0].id), Some(&releases[0]));
    assert_eq!(shelf.damaged.len(), 1);
    assert!(shelf.damaged[0].starts_with("20261104-000000.json: it is no whole record"), "{:?}", shelf.damaged);
    let seen = world.lines(&keeper, &["stat", "/state/releases/20261101-000000.json"]).await;
    assert_eq!(seen, ["0", "0", "600", "permission denied"], "it is nobody's but root's");
}

#[tokio::test]
async fn what_no_release_needs_goes_and_the_rest_stays() {
    let Some((world, keeper)) = kept("sweep").await else { return };
    let store = Store::new(&world.engine, &keeper);
    let releases = [release(&world, 1).await, release(&world, 2).await, release(&world, 3).await];
    for release in &releases {
        put(&world, &keeper, &format!("files/{}", release.files().first().unwrap())).await;
        store.pin(release).await.unwrap();
        store.write(release).await.unwrap();
    }
    put(&world, &keeper, "files/stray").await;
    let shelf = store.shelf().await.unwrap();
    let engine = world.engine.observe(&world.name).await.unwrap();
    let unused = prune(&world.name, &engine, &shelf.releases, true, 2);
    assert_eq!(store.remove(&unused).await.unwrap(), 3, "a record and two files");
    let ids: BTreeSet<_> = store.shelf().await.unwrap().releases.iter().map(|release| release.id).collect();
    assert_eq!(ids, BTreeSet::from([releases[1].id, releases[2].id]));
    for (release, there) in releases.iter().zip([false, true, true]) {
        let pin = release.pin("web").full();
        assert_eq!(world.engine.image_facts(&pin).await.unwrap().is_some(), there, "{pin}");
        let file = format!("/state/files/{}", release.files().first().unwrap());
        assert_eq!(world.engine.get_files(&keeper, &file).await.unwrap().is_some(), there, "{file}");
    }
    assert_eq!(world.engine.get_files(&keeper, "/state/files/stray").await.unwrap(), None);
    assert_eq!(Store::new(&world.engine, "no-keeper").remove(&Prune::default()).await.unwrap(), 0);
}
