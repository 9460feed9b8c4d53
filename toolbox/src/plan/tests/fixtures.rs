//! `toolbox/tests/plans/CASE/`: `compose.yaml` (and `before.yaml`, what was deployed before, where it differs),
//! `observed.txt` (how the host came to be what it is, one command a line) and `plan.txt` (what must come out).
//!
//! `UPDATE_FIXTURES=1` writes the plans anew. Commands of `observed.txt`, `#` begins a comment:
//!
//! - `deploy`: the project of `before.yaml`, else `compose.yaml`, was deployed; `deploy killed N`: by a run that was
//!   killed after N steps; `deploy sick SERVICE`: by one whose new containers of the service did not become well.
//! - `change`: from here on it is about `compose.yaml`.
//! - `have NAME CONTENT [expose PORT] [volume PATH] [check] [arch A] [megabytes N]`: an image at hand, whose upper
//!   layer has so many; `lack NAME`: none.
//! - `host image NAME CONTENT`, `host network NAME [HASH]`, `host volume NAME [HASH]`, `host lacks network NAME`,
//!   `host arch A`, `host api MINOR`, `host listens ADDRESS`, `host engine none|stopped`, `host container NAME PORT`.
//! - `container NAME stop|remove|pause|unhealthy|exit CODE|rename NEW|memory N|cpus N|pids N|restart P|connect N|`
//!   `disconnect N|address N ADDRESS|send ID…|compose VERSION|publish PORT|role hook`.
//! - `set SERVICE replicas N|parallelism N|delay S|start-first|stop-first|before CMD|after CMD|secret KEY|config KEY|`
//!   `restarts-with SERVICE|proxy v1`.
//! - `only SERVICE…`, `orphans`: what was asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::compose::testing::project;
use crate::compose::{FileMount, FileObject, Project, Protocol, ProxyProtocol, PublishedPort, Service, UpdateOrder};
use crate::plan::{Cause, Desired, HostFacts, Plan, PlanError, render};
use crate::state::{ObservedContainer, Owned, Place, Role};

use super::carry::carry;
use super::world::{self, World, image};

/// A project, the host that it shall run on, and what was asked for.
struct Case {
    directory: PathBuf,
    project: Project,
    world: World,
    facts: HostFacts,
    only: Option<std::collections::BTreeSet<String>>,
    orphans: bool,
}

impl Case {
    fn read(directory: &Path) -> Self {
        let before = directory.join("before.yaml");
        let first = if before.exists() { before } else { directory.join("compose.yaml") };
        let project = project(&fs::read_to_string(first).unwrap());
        let mut world = World::new();
        world.build(&project);
        let (directory, facts) = (directory.to_owned(), world.facts());
        let mut case = Self { directory, project, world, facts, only: None, orphans: false };
        let commands = fs::read_to_string(case.directory.join("observed.txt")).unwrap();
        for line in commands.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            case.command(&words);
        }
        case
    }

    fn command(&mut self, words: &[&str]) {
        match words {
            ["deploy", how @ ..] => self.deploy(how),
            ["change"] => {
                self.project = project(&fs::read_to_string(self.directory.join("compose.yaml")).unwrap());
                self.world.build(&self.project);
            }
            ["have", name, content, config @ ..] => self.have(name, content, config),
            ["lack", name] => drop(self.world.images.remove(*name)),
            ["host", "image", name, content] => {
                let image = image(name, content, &json!({}));
                self.world.take_in(&image.reference, &image.facts);
            }
            ["host", "network", name, hash @ ..] => {
                self.world
                    .state
                    .networks
                    .insert((*name).into(), Owned { project: None, hash: hash.first().map(|h| (*h).into()) });
            }
            ["host", "volume", name, hash @ ..] => {
                self.world
                    .state
                    .volumes
                    .insert((*name).into(), Owned { project: None, hash: hash.first().map(|h| (*h).into()) });
            }
            ["host", "lacks", "network", name] => drop(self.world.state.networks.remove(*name)),
            ["host", "arch", architecture] => self.world.state.architecture = (*architecture).into(),
            ["host", "api", minor] => self.world.state.api = Some((1, minor.parse().unwrap())),
            ["host", "listens", address] => drop(self.facts.listening.insert(address.parse().unwrap())),
            ["host", "engine", "none"] => self.facts.engine = Err(Cause::NoEngine),
            ["host", "engine", "stopped"] => self.facts.engine = Err(Cause::EngineStopped),
            ["host", "container", name, port] => self.world.state.containers.push(ObservedContainer {
                name: (*name).into(),
                state: "running".into(),
                published: [published(port, 80)].into(),
                ..Default::default()
            }),
            ["container", name, change @ ..] => self.container(name, change),
            ["set", service, change @ ..] => set(&mut self.project, service, change),
            ["only", services @ ..] => self.only = Some(services.iter().map(|s| (*s).into()).collect()),
            ["orphans"] => self.orphans = true,
            _ => panic!("no such command: {words:?}"),
        }
    }

    fn deploy(&mut self, how: &[&str]) {
        match how {
            [] => {}
            ["killed", steps] => self.world.steps_left = Some(steps.parse().unwrap()),
            ["sick", service] => drop(self.world.sick.insert((*service).into())),
            _ => panic!("no such deploy: {how:?}"),
        }
        let plan = self.plan().unwrap();
        let carried = carry(&mut self.world, &self.project, &plan);
        assert_eq!(carried.is_ok(), how.is_empty(), "the run ends as it is told");
        self.world.steps_left = None;
        self.world.sick.clear();
    }

    fn have(&mut self, name: &str, content: &str, config: &[&str]) {
        let (mut exposed, mut volumes, mut check) = (json!({}), json!({}), json!(null));
        let (mut architecture, mut megabytes) = ("amd64", 1);
        let mut words = config.iter();
        while let Some(word) = words.next() {
            match *word {
                "expose" => exposed[format!("{}/tcp", words.next().unwrap())] = json!({}),
                "volume" => volumes[*words.next().unwrap()] = json!({}),
                "check" => check = json!({"Test": ["CMD", "true"]}),
                "arch" => architecture = words.next().unwrap(),
                "megabytes" => megabytes = words.next().unwrap().parse().unwrap(),
                _ => panic!("no such property of an image: {word}"),
            }
        }
        let config = json!({"ExposedPorts": exposed, "Volumes": volumes, "Healthcheck": check});
        let mut image = image(name, content, &config);
        image.facts.architecture = architecture.into();
        image.layer_sizes.insert(*image.facts.layers.last().unwrap(), megabytes * 1_000_000);
        self.world.images.insert(name.into(), image);
    }

    fn container(&mut self, name: &str, change: &[&str]) {
        let id = self.world.named(name).unwrap_or_else(|| panic!("no container {name}")).id.clone();
        match change {
            ["stop"] => return self.world.stop(&id),
            ["remove"] => return self.world.remove(&id),
            ["rename", new] => return self.world.rename(&id, new),
            _ => {}
        }
        let container = self.world.get(&id);
        let live = container.live.get_or_insert_default();
        match change {
            ["pause"] => container.state = "paused".into(),
            ["unhealthy"] => live.health = Some("unhealthy".into()),
            ["exit", code] => {
                (container.state, container.status) = ("exited".into(), format!("Exited ({code}) 2 minutes ago"));
            }
            ["memory", n] => live.memory = n.parse().unwrap(),
            ["cpus", n] => live.nano_cpus = n.parse().unwrap(),
            ["pids", n] => live.pids_limit = n.parse().unwrap(),
            ["limit", name, value] => {
                let names = ["cpu_shares", "cpuset", "memswap_limit"];
                let name = names.into_iter().find(|known| known == name).unwrap_or_else(|| panic!("no limit {name}"));
                live.limits.insert(name, (*value).into());
            }
            ["restart", policy] => live.restart = (*policy).into(),
            ["connect", network] => drop(live.networks.insert((*network).into(), Place::default())),
            ["disconnect", network] => drop(live.networks.remove(*network)),
            ["address", network, address] => {
                live.networks.get_mut(*network).unwrap().addresses = [address.parse().unwrap()].into();
            }
            ["send", ids @ ..] => container.relay_targets = Some(ids.iter().map(|id| (*id).into()).collect()),
            ["compose", version] => {
                container.made_by = Some((*version).into());
                (container.config_hash, container.fields) = (Some("theirs".into()), Default::default());
            }
            ["role", "hook"] => {
                container.project = Some(self.project.name.clone());
                (container.role, container.oneoff) = (Role::Hook, true);
            }
            ["publish", port] => container.published = [published(port, 8080)].into(),
            _ => panic!("no such change: {change:?}"),
        }
    }

    fn plan(&self) -> Result<Plan, Vec<PlanError>> {
        let helper = World::helper();
        let desired = Desired {
            project: &self.project,
            images: &self.world.images,
            helper: &helper,
            services: self.only.as_ref(),
            remove_orphans: self.orphans,
        };
        let engine = self.facts.engine.as_ref().map(|_| self.world.state.clone()).map_err(Clone::clone);
        world::plan(desired, &HostFacts { engine, ..self.facts.clone() })
    }

    fn text(&self) -> String {
        match self.plan() {
            Ok(plan) => {
                let json = serde_json::to_string(&plan).unwrap();
                assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan, "a plan is read back as it was written");
                render(&plan)
            }
            Err(errors) => errors.iter().map(|e| format!("error: {e}\nhint: {}\n", e.hint())).collect(),
        }
    }
}

/// `[ADDRESS:]PORT[/PROTOCOL]` of the host.
fn published(text: &str, target: u16) -> PublishedPort {
    let (text, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((text, "udp")) => (text, Protocol::Udp),
        Some(_) => panic!("no such protocol: {text}"),
    };
    let (address, port) = text.rsplit_once(':').map_or((None, text), |(address, port)| (Some(address), port));
    let host_ip = address.map(|address| address.parse().unwrap());
    PublishedPort { host_ip, published: Some(port.parse().unwrap()), target, protocol }
}

fn set(project: &mut Project, name: &str, change: &[&str]) {
    let mount = |key: &str, target: String| FileMount { key: key.into(), target, uid: 0, gid: 0, mode: 0o444 };
    let object = |key: &str| FileObject { digest: format!("digest of {key}"), content: Default::default() };
    let service: &mut Service = project.services.get_mut(name).unwrap();
    match change {
        ["replicas", n] => service.replicas = n.parse().unwrap(),
        ["parallelism", n] => service.update.parallelism = n.parse().unwrap(),
        ["delay", seconds] => service.update.delay = Duration::from_secs(seconds.parse().unwrap()),
        ["start-first"] => service.update.order = Some(UpdateOrder::StartFirst),
        ["stop-first"] => service.update.order = Some(UpdateOrder::StopFirst),
        ["before", command @ ..] => service.toolbox.hooks.before.push(command.iter().map(|w| (*w).into()).collect()),
        ["after", command @ ..] => service.toolbox.hooks.after.push(command.iter().map(|w| (*w).into()).collect()),
        ["proxy", "v1"] => service.toolbox.proxy_protocol = Some(ProxyProtocol::V1),
        ["restarts-with", other] => service.depends_on.get_mut(*other).unwrap().restart = true,
        ["secret", key] => {
            service.secrets.push(mount(key, format!("/run/secrets/{key}")));
            project.secrets.insert((*key).into(), object(key));
        }
        ["config", key] => {
            service.configs.push(mount(key, format!("/{key}")));
            project.configs.insert((*key).into(), object(key));
        }
        _ => panic!("no such setting: {change:?}"),
    }
}

#[test]
fn every_case_has_the_plan_that_stands_beside_it() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 25, "the cases were not found");
    let mut wrong = Vec::new();
    for directory in cases {
        let text = Case::read(&directory).text();
        let file = directory.join("plan.txt");
        if update {
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if text != expected {
            wrong.push(format!("{}\nis\n{text}instead of\n{expected}", directory.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
