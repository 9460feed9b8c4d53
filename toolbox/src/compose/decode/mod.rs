//! From nodes to the model.
//!
//! Contract: every function returns a value even where it reports a problem (the value is then a default), so that one
//! pass finds all problems; the caller throws the value away when the sink holds any.

mod device_requests;
mod environment;
mod extension;
mod fields;
mod files;
mod lifecycle;
mod mounts;
mod network;
mod ports;
mod resources;
mod rollout;
mod service;
mod shared;
mod values;

pub use values::{duration, words};

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::keys;
use super::model::{Project, PublishedPort, Service};
use super::names;
use super::validate::{self, NotedPort};
use super::variables::Scopes;
use crate::yaml::{self, Entry, Node, Sink};

/// What decoding a service needs to know of the rest.
struct Context<'a> {
    sink: &'a Sink,
    scopes: &'a Scopes,
    working_dir: &'a Path,
    project: &'a str,
    /// Names of all services of the file.
    declared: BTreeSet<&'a str>,
    /// Names of the enabled ones.
    enabled: BTreeSet<&'a str>,
    network_keys: BTreeSet<&'a str>,
    volume_keys: BTreeSet<&'a str>,
    config_keys: BTreeSet<&'a str>,
    secret_keys: BTreeSet<&'a str>,
    /// The published ports of the service that is being read, with their places.
    noted: RefCell<Vec<NotedPort>>,
}

impl Context<'_> {
    fn note_ports(&self, node: &Node, ports: &[PublishedPort]) {
        let noted = ports.iter().map(|port| NotedPort::new(node, port));
        self.noted.borrow_mut().extend(noted);
    }
}

/// What is asked of the file.
pub(super) struct Request<'a> {
    /// The project's name.
    pub(super) project: &'a str,
    /// The directory of relative paths, absolute.
    pub(super) working_dir: &'a Path,
    /// The profiles that are asked for.
    pub(super) profiles: &'a BTreeSet<String>,
    /// The variables of each file.
    pub(super) scopes: &'a Scopes,
}

/// Reads the tree of all files; the project's `files` and `warnings` are for the caller to fill.
pub(super) fn project(root: &Node, request: &Request<'_>, sink: &Sink) -> Project {
    keys::TOP.check(sink, root);
    let enabled = enabled(root, request, sink);
    let context = Context {
        sink,
        scopes: request.scopes,
        working_dir: request.working_dir,
        project: request.project,
        declared: keys_of(sink, root, "services"),
        enabled,
        network_keys: keys_of(sink, root, "networks"),
        volume_keys: keys_of(sink, root, "volumes"),
        config_keys: keys_of(sink, root, "configs"),
        secret_keys: keys_of(sink, root, "secrets"),
        noted: RefCell::default(),
    };
    let (services, ports) = services(&context, root);
    validate::ports(&ports, &services, sink);
    validate::services(&services, root, sink);
    Project {
        name: request.project.to_owned(),
        working_dir: request.working_dir.to_owned(),
        files: Vec::new(),
        networks: shared::networks(&context, root, &services),
        volumes: shared::volumes(&context, root, &services),
        configs: files::configs(&context, root, &services),
        secrets: files::secrets(&context, root, &services),
        services,
        inactive: context.declared.difference(&context.enabled).map(|name| (*name).to_owned()).collect(),
        toolbox: extension::of_project(&context, root),
        warnings: Vec::new(),
    }
}

/// The names of the services that are enabled; what interpolation had to say of all that is in use is told.
fn enabled<'r>(root: &'r Node, request: &Request<'_>, sink: &Sink) -> BTreeSet<&'r str> {
    let mut enabled = BTreeSet::new();
    for section in yaml::entries(sink, root) {
        if &*section.key != "services" {
            request.scopes.tell(&section.value, sink);
        }
    }
    let services = root.get("services").map_or(&[][..], |node| yaml::entries(sink, node));
    for service in services.iter().filter(|service| is_enabled(&service.value, request, sink)) {
        request.scopes.tell(&service.value, sink);
        enabled.insert(&*service.key);
    }
    enabled
}

fn is_enabled(service: &Node, request: &Request<'_>, sink: &Sink) -> bool {
    let Some(node) = service.get("profiles") else {
        return true;
    };
    request.scopes.tell(node, sink);
    let profiles = yaml::strings(sink, node);
    let asked = |name: &String| request.profiles.contains(name) || request.profiles.contains("*");
    profiles.is_empty() || profiles.iter().any(asked)
}

fn keys_of<'a>(sink: &Sink, root: &'a Node, section: &str) -> BTreeSet<&'a str> {
    let entries = root.get(section).map_or(&[][..], |node| yaml::entries(sink, node));
    for entry in entries.iter().filter(|entry| !names::is_key(&entry.key)) {
        let path = entry.value.path.to_string();
        sink.report_at(&entry.at, path, "a name holds only letters, digits, ., _ and -");
    }
    entries.iter().map(|entry| &*entry.key).collect()
}

type Ports = BTreeMap<String, Vec<NotedPort>>;

fn services(c: &Context<'_>, root: &Node) -> (BTreeMap<String, Service>, Ports) {
    let mut all = BTreeMap::new();
    let mut ports = Ports::new();
    let entries = root.get("services").map_or(&[][..], |node| yaml::entries(c.sink, node));
    if entries.is_empty() && !c.sink.has_problems() {
        c.sink.report(root, "the file has no services");
    }
    for entry in entries {
        if !c.enabled.contains(&*entry.key) {
            disabled(c, entry);
            continue;
        }
        all.insert(entry.key.to_string(), service::service(c, entry));
        ports.insert(entry.key.to_string(), c.noted.take());
    }
    (all, ports)
}

/// A service that is not enabled is only checked for keys that nobody knows.
fn disabled(c: &Context<'_>, entry: &Entry) {
    keys::SERVICE.check_unknown(c.sink, &entry.value);
}
