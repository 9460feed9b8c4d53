//! What a snapshot says of a real engine's containers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use toolbox::engine::{Docker, Engine as _, unix_dialer};
use toolbox::state::{EngineState, Expected, ImageFacts, Needs, ObservedContainer, Role, Scope, Store};

use crate::engine::{Engine, archive_with};

/// An image, a network and containers, removed with the value.
struct Stage {
    engine: Engine,
    name: String,
    containers: Vec<String>,
}

impl Stage {
    fn new(engine: Engine, name: &str, relay: &str) -> Self {
        let name = format!("toolbox-test-{name}-{}", std::process::id());
        let image = format!("{name}:latest");
        engine.load(&archive_with(&image, &[("state/relay.json", relay.as_bytes())]));
        engine.docker(&["network", "create", &name]);
        Self { engine, name, containers: Vec::new() }
    }

    fn run(&mut self, name: &str, arguments: &[&str]) {
        let container = format!("{}-{name}", self.name);
        let network = self.name.clone();
        let common = ["run", "--detach", "--name", &container, "--network", &network];
        self.engine.docker(&[&common[..], arguments, &[&network]].concat());
        self.containers.push(container);
    }

    fn project_label(&self) -> String {
        format!("com.docker.compose.project={}", self.name)
    }

    async fn engine(&self) -> Docker {
        let dialer = || unix_dialer(PathBuf::from("/var/run/docker.sock"));
        Docker::connect(dialer(), dialer()).await.unwrap()
    }

    async fn observe(&self) -> EngineState {
        self.engine().await.observe(&self.name).await.unwrap()
    }

    fn find<'a>(&self, state: &'a EngineState, name: &str) -> &'a ObservedContainer {
        let name = format!("{}-{name}", self.name);
        state.containers.iter().find(|c| c.name == name).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for container in &self.containers {
            self.engine.succeeds(&["rm", "--force", container]);
        }
        self.engine.succeeds(&["network", "rm", &self.name]);
        self.engine.succeeds(&["image", "rm", "--force", &self.name]);
    }
}

#[tokio::test]
async fn what_was_changed_by_hand_is_seen_on_the_projects_containers_only() {
    let Some(engine) = Engine::for_test("what_was_changed_by_hand_is_seen_on_the_projects_containers_only") else {
        return;
    };
    let mut stage = Stage::new(engine, "live", "{}");
    let project = stage.project_label();
    let limits = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "100", "--restart", "on-failure:3"];
    stage.run("web-1", &[&["--label", &project, "--label", "com.docker.compose.service=web"], &limits[..]].concat());
    stage.run("stranger", &["--label", "com.docker.compose.project=other"]);
    let web = format!("{}-web-1", stage.name);
    stage.engine.docker(&["network", "connect", "bridge", &web]);
    stage.engine.docker(&["network", "disconnect", &stage.name, &web]);
    stage.engine.docker(&["network", "connect", "--alias", "www", &stage.name, &web]);
    stage.engine.docker(&["update", "--memory", "128m", "--memory-swap", "256m", "--restart", "always", &web]);
    let state = stage.observe().await;
    let live = stage.find(&state, "web-1").live.clone().unwrap();
    assert_eq!((live.memory, live.nano_cpus, live.pids_limit), (128 << 20, 500_000_000, 100));
    assert_eq!(live.restart, "always");
    assert_eq!(live.networks.keys().collect::<Vec<_>>(), ["bridge", &stage.name]);
    let place = &live.networks[&stage.name];
    assert!(place.names.contains("www") && !place.names.contains("web"), "{place:?}");
    assert_eq!(place.addresses.len(), 1);
    assert_eq!(live.health, None);
    assert_eq!(stage.find(&state, "stranger").live, None);
}

#[tokio::test]
async fn a_relay_says_what_it_was_told_last_else_what_it_was_made_with() {
    let Some(engine) = Engine::for_test("a_relay_says_what_it_was_told_last_else_what_it_was_made_with") else {
        return;
    };
    let told = r#"{"listen":[{"port":80,"to":80}],"targets":["aaaaaaaaaaaa"]}"#;
    let mut stage = Stage::new(engine, "relay", told);
    let project = stage.project_label();
    let made_with = r#"RELAY_CONFIG={"listen":[{"port":81,"to":81}],"targets":["bbbbbbbbbbbb"],"proxy_protocol":null}"#;
    let relay = ["--label", &project, "--label", "io.toolbox.role=relay", "--label", "io.toolbox.service=web"];
    stage.run("told", &[&relay[..], &["--env", made_with]].concat());
    // Nobody told it anything: the file of the image is taken away before it starts.
    let empty = tempfile::tempdir().unwrap();
    let hidden = format!("{}:/state:ro", empty.path().display());
    stage.run("new", &[&relay[..], &["--env", made_with, "--volume", &hidden]].concat());
    let state = stage.observe().await;
    let told = stage.find(&state, "told");
    assert_eq!((told.role, told.relay_of.as_deref()), (Role::Relay, Some("web")));
    assert_eq!(told.relay_targets, Some(BTreeSet::from(["aaaaaaaaaaaa".to_owned()])));
    assert_eq!(told.relay_listen, Some(BTreeSet::from([80])));
    let new = stage.find(&state, "new");
    assert_eq!(new.relay_targets, Some(BTreeSet::from(["bbbbbbbbbbbb".to_owned()])));
    assert_eq!(new.relay_listen, Some(BTreeSet::from([81])));
}

#[tokio::test]
async fn what_is_expected_and_what_is_not_are_told_alike() {
    let Some(engine) = Engine::for_test("what_is_expected_and_what_is_not_are_told_alike") else {
        return;
    };
    let told = r#"{"listen":[{"port":80,"to":80}],"targets":["aaaaaaaaaaaa"]}"#;
    let mut stage = Stage::new(engine, "expected", told);
    let project = stage.project_label();
    let relay = ["--label", &project, "--label", "io.toolbox.role=relay", "--label", "io.toolbox.service=web"];
    for name in ["relay", "unexpected-relay"] {
        stage.run(name, &relay);
    }
    for name in ["web-1", "unexpected"] {
        stage.run(name, &["--label", &project, "--restart", "always"]);
    }
    let expect = |name: &str, is_relay| Expected { name: format!("{}-{name}", stage.name), is_relay };
    let expected = vec![expect("relay", true), expect("gone", false), expect("web-1", false), expect("gone", true)];
    let scope = Scope { project: &stage.name, needs: Some(Needs { expected, ..Needs::default() }) };
    let mut states = [stage.observe().await, stage.engine().await.look(&scope).await.unwrap()];
    for state in &mut states {
        state.containers.retain(|c| c.project.as_deref() == Some(stage.name.as_str()));
        // It tells the time since the start.
        state.containers.iter_mut().for_each(|c| c.status.clear());
    }
    assert_eq!(states[0].containers, states[1].containers);
    assert_eq!(states[0].containers.iter().filter(|c| c.live.is_some()).count(), 4);
    assert_eq!(states[0].containers.iter().filter(|c| c.relay_targets.is_some()).count(), 2);
}

#[tokio::test]
async fn a_host_that_lacks_no_image_is_asked_for_the_project_alone_and_drift_is_seen_all_the_same() {
    let test = "a_host_that_lacks_no_image_is_asked_for_the_project_alone_and_drift_is_seen_all_the_same";
    let Some(engine) = Engine::for_test(test) else {
        return;
    };
    let mut stage = Stage::new(engine, "scope", "{}");
    let project = stage.project_label();
    stage.run("web-1", &["--label", &project, "--label", "com.docker.compose.service=web"]);
    stage.engine.docker(&["update", "--restart", "always", &format!("{}-web-1", stage.name)]);
    let image = format!("docker.io/library/{}:latest", stage.name);
    stage.engine.load(&archive_with(&format!("{}:other", stage.name), &[("other", b"")]));
    let all = stage.observe().await;
    let ours = all.image(&image).unwrap().clone();
    let needs = Needs {
        known: vec![&ours.facts],
        networks: BTreeSet::from([stage.name.clone()]),
        volumes: BTreeSet::from(["nobody-has-this".to_owned()]),
        ..Needs::default()
    };
    let scope = Scope { project: &stage.name, needs: Some(needs.clone()) };
    let state = stage.engine().await.look(&scope).await.unwrap();
    assert_eq!((state.store, &state.images), (Store::Unknown, &vec![ours.clone()]));
    assert_eq!(stage.find(&state, "web-1").live, stage.find(&all, "web-1").live);
    assert_eq!(stage.find(&state, "web-1").live.as_ref().unwrap().restart, "always");
    assert_eq!(state.networks.get(&stage.name), all.networks.get(&stage.name));
    assert!(!state.networks.contains_key("bridge") && state.volumes.is_empty());

    // One that is not there may have to be sent: then every image tells what it consists of.
    let missing = ImageFacts { id: "sha256:none".into(), ..ours.facts.clone() };
    let scope = Scope { project: &stage.name, needs: Some(Needs { known: vec![&ours.facts, &missing], ..needs }) };
    let state = stage.engine().await.look(&scope).await.unwrap();
    assert_eq!((state.store, &state.data_root), (all.store, &all.data_root));
    assert_eq!(state.architecture, all.architecture);
    assert!(state.image(&image).is_some() && state.image(&image.replace("latest", "other")).is_some());
    stage.engine.succeeds(&["image", "rm", "--force", &format!("{}:other", stage.name)]);
}
