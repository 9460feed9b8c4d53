//! A host in memory that does what an engine does, one primitive step at a time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::compose::{Attachment, Project, PublishedPort, Service};
use crate::image::{Digest, Reference};
use crate::plan::{
    Desired, DesiredImage, FIELDS_LABEL, HASH_LABEL, HostFacts, Making, Plan, PlanError, RelaySpec, Rollout,
    container_labels, keeper_labels, reconcile,
};
use crate::state::{
    EngineState, ImageFacts, Live, ObservedContainer, ObservedImage, Place, Role, Scope, Store, short_id,
};

/// The plan, which is the same where the host tells only what the project needs.
pub(super) fn plan(desired: Desired<'_>, facts: &HostFacts) -> Result<Plan, Vec<PlanError>> {
    let plan = reconcile(desired, facts);
    assert_eq!(reconcile(desired, &narrowed(facts, &desired.scope())), plan, "a plan made from what was asked for");
    plan
}

/// What an engine tells of this within a scope.
fn narrowed(facts: &HostFacts, scope: &Scope<'_>) -> HostFacts {
    let (mut facts, needs) = (facts.clone(), scope.needs.as_ref().unwrap());
    let Ok(engine) = &mut facts.engine else { return facts };
    if !scope.asks_for_listeners(engine) {
        facts.listening.clear();
    }
    if scope.lacks_no_image(engine.images.iter().map(|image| image.facts.id.as_str())) {
        let decides = |image: &ObservedImage| scope.decides(&image.facts.id, &image.references, &engine.containers);
        engine.images.retain(|image| scope.known(&image.facts.id).is_some() || decides(image));
        (engine.store, engine.architecture) = (Store::Unknown, String::new());
    }
    engine.networks.retain(|name, _| needs.networks.contains(name));
    engine.volumes.retain(|name, _| needs.volumes.contains(name));
    let listed = engine.containers.iter_mut().filter(|container| !scope.details(container));
    listed.for_each(|container| container.live = None);
    facts
}

/// The run was killed after its last step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Killed;

/// A host, the images at hand, and how many steps are left until the run is killed.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) state: EngineState,
    pub(super) images: BTreeMap<String, DesiredImage>,
    pub(super) steps_left: Option<usize>,
    /// Services whose new containers do not become well.
    pub(super) sick: BTreeSet<String>,
    /// Services that must be served after every step.
    pub(super) watched: BTreeSet<String>,
    made: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let state = EngineState { architecture: "amd64".into(), ..EngineState::empty() };
        let (images, sick, watched) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { state, images, steps_left: None, sick, watched, made: 0 }
    }

    pub(super) fn facts(&self) -> HostFacts {
        HostFacts { host: "vm".into(), engine: Ok(self.state.clone()), listening: BTreeSet::new() }
    }

    /// The image of relays and the keeper.
    pub(super) fn helper() -> DesiredImage {
        image("toolbox-relay:0123456789ab", "toolbox-relay", &json!({}))
    }

    /// An image at hand for each service that has none yet.
    pub(super) fn build(&mut self, project: &Project) {
        for service in project.services.values() {
            let new = || image(&service.image, &service.image, &json!({}));
            self.images.entry(service.image.clone()).or_insert_with(new);
        }
    }

    /// Ends the run where its steps are used up.
    pub(super) fn step(&mut self) -> Result<(), Killed> {
        for service in &self.watched {
            assert!(self.is_served(service), "{service} is not served: {:#?}", self.shown());
        }
        let Some(left) = &mut self.steps_left else { return Ok(()) };
        *left = left.saturating_sub(1);
        if *left == 0 { Err(Killed) } else { Ok(()) }
    }

    /// Who asks for the service reaches a container that is well: through its relay, else by the containers' own names.
    pub(super) fn is_served(&self, service: &str) -> bool {
        let relays = self.state.containers.iter().filter(|c| c.relay_of.as_deref() == Some(service));
        let own = |c: &&ObservedContainer| c.role == Role::Service && c.service.as_deref() == Some(service);
        let mut well = self.state.containers.iter().filter(own).filter(|c| c.is_well());
        let relays: Vec<_> = relays.filter(|r| r.is_running()).collect();
        match relays.first().and_then(|relay| relay.relay_targets.as_ref()) {
            Some(targets) => well.any(|c| targets.contains(c.short_id())),
            None => well.any(|c| !c.fields.contains_key("relay")),
        }
    }

    /// What stands on the host, for messages of failed tests.
    pub(super) fn shown(&self) -> Vec<String> {
        let shown = |c: &ObservedContainer| {
            let targets = c.relay_targets.as_ref().map(|t| format!(" -> {t:?}")).unwrap_or_default();
            format!("{} {} {} {:?}{targets}", short_id(&c.id), c.name, c.state, c.health())
        };
        self.state.containers.iter().map(shown).collect()
    }

    pub(super) fn named(&mut self, name: &str) -> Option<&mut ObservedContainer> {
        self.state.containers.iter_mut().find(|c| c.name == name)
    }

    pub(super) fn get(&mut self, id: &str) -> &mut ObservedContainer {
        let found = self.state.containers.iter_mut().find(|c| c.id == id);
        found.unwrap_or_else(|| panic!("no container {id}"))
    }

    fn add(&mut self, mut container: ObservedContainer) -> String {
        assert!(self.named(&container.name).is_none(), "name {} is taken", container.name);
        self.made += 1;
        container.id = Digest::of(&self.made.to_le_bytes()).hex();
        container.created = self.made;
        container.state = "created".into();
        container.made_by = Some(crate::plan::COMPOSE_VERSION_LABEL.into());
        self.state.containers.push(container.clone());
        container.id
    }

    /// A service's container as the engine shows it, made by what labels say as in real life.
    pub(super) fn create(&mut self, project: &Project, service: &Service, name: &str, number: u32) -> String {
        let full = Reference::parse(&service.image).unwrap().full();
        let image = self.state.image(&full).unwrap_or_else(|| panic!("{full} is not on the host")).facts.clone();
        let behind_relay = Rollout::of(project, service, Some(&image)).unwrap().relay.is_some();
        let making = Making { image_id: &image.id, number, role: "service", release: None, behind_relay };
        let labels = container_labels(project, service, making);
        let health = (image.has_healthcheck || service.healthcheck.is_some()).then(|| "starting".to_owned());
        self.add(ObservedContainer {
            name: name.into(),
            project: Some(project.name.clone()),
            service: Some(service.name.clone()),
            config_hash: labels.get("com.docker.compose.config-hash").cloned(),
            number: labels["com.docker.compose.container-number"].parse().unwrap(),
            fields: serde_json::from_str(&labels[FIELDS_LABEL]).unwrap(),
            live: Some(Live { health, ..live(project, service, behind_relay) }),
            image_id: image.id,
            published: if behind_relay { BTreeSet::new() } else { held(&service.ports) },
            ..Default::default()
        })
    }

    pub(super) fn create_relay(&mut self, project: &Project, service: &Service, targets: &[String]) -> String {
        let full = Reference::parse(&service.image).unwrap().full();
        let facts = self.state.image(&full).map(|image| image.facts.clone());
        let listen = Rollout::of(project, service, facts.as_ref()).unwrap().relay.unwrap();
        let spec = RelaySpec::of(project, service, &listen);
        let networks = spec.networks.iter().map(|(name, own)| (name.clone(), place(own))).collect();
        self.add(ObservedContainer {
            name: spec.name.clone(),
            project: Some(project.name.clone()),
            role: Role::Relay,
            relay_of: Some(service.name.clone()),
            own_hash: spec.labels.get(HASH_LABEL).cloned(),
            fields: serde_json::from_str(&spec.labels[FIELDS_LABEL]).unwrap(),
            relay_targets: Some(targets.iter().map(|id| short_id(id).to_owned()).collect()),
            relay_listen: Some(listen),
            live: Some(Live { restart: "unless-stopped".into(), networks, ..Default::default() }),
            published: held(&spec.ports),
            ..Default::default()
        })
    }

    pub(super) fn create_keeper(&mut self, project: &Project, name: &str) -> String {
        self.add(ObservedContainer {
            name: name.into(),
            project: Some(project.name.clone()),
            role: Role::Keeper,
            own_hash: keeper_labels(project).get(HASH_LABEL).cloned(),
            ..Default::default()
        })
    }

    pub(super) fn rename(&mut self, id: &str, name: &str) {
        if self.get(id).name != name {
            assert!(self.named(name).is_none(), "name {name} is taken");
            self.get(id).name = name.into();
        }
    }

    pub(super) fn start(&mut self, id: &str) {
        let starting = self.get(id).clone();
        assert!(starting.state != "paused", "{} is paused", starting.name);
        let others = self.state.containers.iter().filter(|c| c.id != id && c.is_running());
        let clash = others.flat_map(|c| &c.published).find(|port| starting.holds(port));
        assert!(clash.is_none(), "port {clash:?} of {} is taken: {:#?}", starting.name, self.shown());
        let health = if starting.service.is_some_and(|s| self.sick.contains(&s)) { "unhealthy" } else { "healthy" };
        let container = self.get(id);
        (container.state, container.status) = ("running".into(), "Up 2 minutes".into());
        let own = container.live.as_mut().and_then(|live| live.health.as_mut());
        own.into_iter().for_each(|own| *own = health.into());
    }

    pub(super) fn stop(&mut self, id: &str) {
        let container = self.get(id);
        (container.state, container.status) = ("exited".into(), "Exited (137) 2 minutes ago".into());
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.state.containers.retain(|c| c.id != id);
    }

    /// The engine takes an image in, or gives one that it holds another name.
    pub(super) fn take_in(&mut self, reference: &Reference, facts: &ImageFacts) {
        let full = reference.full();
        for image in &mut self.state.images {
            image.references.remove(&full);
        }
        match self.state.images.iter_mut().find(|image| image.facts.id == facts.id) {
            Some(image) => drop(image.references.insert(full)),
            None => {
                let references = BTreeSet::from([full]);
                self.state.images.push(ObservedImage { facts: facts.clone(), references });
            }
        }
    }
}

fn held(ports: &[PublishedPort]) -> BTreeSet<PublishedPort> {
    ports.iter().filter(|port| port.published.is_some()).cloned().collect()
}

/// What the engine tells of a place that was made so; further names are its own.
fn place(own: &Attachment) -> Place {
    let fixed = [&own.ipv4_address, &own.ipv6_address].into_iter().flatten().map(|ip| ip.parse().unwrap());
    Place { names: own.aliases.iter().cloned().chain(["0123456789ab".into()]).collect(), addresses: fixed.collect() }
}

fn live(project: &Project, service: &Service, behind_relay: bool) -> Live {
    use crate::compose::RestartPolicy::{Always, No, OnFailure, UnlessStopped};
    let restart = match service.restart {
        No => "no",
        Always => "always",
        OnFailure { .. } => "on-failure",
        UnlessStopped => "unless-stopped",
    };
    let own = |own: &Attachment| match behind_relay {
        true => Place::default(),
        false => {
            let mut own = own.clone();
            own.aliases.push(service.name.clone());
            place(&own)
        }
    };
    let networks = service.networks.iter().map(|(key, it)| (project.networks[key].name.clone(), own(it)));
    let mode = service.network_mode.clone().map(|mode| (mode, Place::default()));
    Live {
        restart: restart.into(),
        memory: service.mem_limit.map_or(0, |m| m.try_into().unwrap()),
        nano_cpus: service.nano_cpus.unwrap_or_default(),
        pids_limit: service.pids_limit.unwrap_or_default(),
        limits: super::super::drift::limits(service),
        networks: networks.chain(mode).collect(),
        ..Default::default()
    }
}

/// An image of two layers, the upper one made from `content`.
pub(super) fn image(name: &str, content: &str, config: &serde_json::Value) -> DesiredImage {
    let layers = vec![Digest::of(b"base").into(), Digest::of(content.as_bytes()).into()];
    let id = format!("sha256:{}", Digest::of(format!("{content}{config}").as_bytes()).hex());
    let facts = ImageFacts::new(id, layers.clone(), Some("2026-01-01T00:00:00Z"), config).on("linux", "amd64");
    let layer_sizes = layers.into_iter().map(|layer| (layer, 1_000_000)).collect();
    DesiredImage { reference: Reference::parse(name).unwrap(), facts, layer_sizes }
}
