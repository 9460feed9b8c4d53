//! One enabled service.

use super::fields::Fields;
use super::{Context, environment, extension, files, lifecycle, mounts, network, ports, resources, rollout};
use crate::compose::model::{FailureAction, Logging, Service};
use crate::compose::{keys, names};
use crate::image::Reference;
use crate::yaml::{Entry, Node, Value};

/// Reads an enabled service.
pub(super) fn service(c: &Context<'_>, entry: &Entry) -> Service {
    let f = Fields::new(c.sink, &entry.value, &keys::SERVICE);
    let deploy = rollout::deploy(f);
    let limits = resources::limits(c, f, deploy);
    let (devices, requests) = resources::devices(c, f);
    let mut targets = std::collections::BTreeSet::new();
    let (mounts, tmpfs) = mounts::mounts(c, f, &mut targets);
    ignored(f);
    Service {
        name: entry.key.to_string(),
        image: image(c, f, entry),
        has_build: build(c, f),
        command: f.command("command"),
        entrypoint: f.command("entrypoint"),
        environment: environment::environment(c, f),
        labels: environment::labels(c, f),
        ports: f.get("ports").map(|node| ports::published(c, node)).unwrap_or_default(),
        expose: f.get("expose").map(|node| ports::exposed(c, node)).unwrap_or_default(),
        mounts,
        tmpfs,
        networks: network::attachments(c, f),
        network_mode: network::namespace(c, f, "network_mode", &["host", "none", "bridge"]),
        healthcheck: lifecycle::healthcheck(c, f),
        depends_on: lifecycle::dependencies(c, f),
        restart: rollout::restart(f, deploy),
        user: f.filled("user"),
        working_dir: f.filled("working_dir"),
        hostname: f.filled("hostname"),
        domainname: f.filled("domainname"),
        container_name: f.converted("container_name", container_name),
        read_only: f.flag("read_only"),
        init: f.maybe_flag("init"),
        privileged: f.flag("privileged"),
        tty: f.flag("tty"),
        stdin_open: f.flag("stdin_open"),
        cap_add: f.strings("cap_add"),
        cap_drop: f.strings("cap_drop"),
        security_opt: f.strings("security_opt"),
        group_add: f.strings("group_add"),
        devices,
        dns: f.strings("dns"),
        dns_search: f.strings("dns_search"),
        dns_opt: f.strings("dns_opt"),
        extra_hosts: network::extra_hosts(c, f),
        sysctls: f.pairs("sysctls"),
        ulimits: f.get("ulimits").map(|node| resources::ulimits(c, node)).unwrap_or_default(),
        shm_size: f.bytes("shm_size"),
        mem_limit: limits.mem_limit,
        mem_reservation: limits.mem_reservation,
        nano_cpus: limits.nano_cpus,
        pids_limit: limits.pids_limit,
        pid: network::namespace(c, f, "pid", &["host"]),
        ipc: network::namespace(c, f, "ipc", &["host", "none", "private", "shareable"]),
        stop_signal: f.filled("stop_signal"),
        stop_grace_period: f.duration("stop_grace_period"),
        logging: f.get("logging").map(|node| logging(c, node)),
        platform: f.filled("platform"),
        annotations: f.pairs("annotations"),
        cgroup: f.converted("cgroup", |word| one_of(word, &["host", "private"])),
        cgroup_parent: f.filled("cgroup_parent"),
        device_cgroup_rules: f.strings("device_cgroup_rules"),
        runtime: f.filled("runtime"),
        storage_opt: f.pairs("storage_opt"),
        userns_mode: f.converted("userns_mode", |word| one_of(word, &["host"])),
        uts: f.converted("uts", |word| one_of(word, &["host"])),
        configs: files::mounts(c, f, &files::CONFIG, &mut targets),
        secrets: files::mounts(c, f, &files::SECRET, &mut targets),
        replicas: rollout::replicas(f, deploy),
        update: rollout::update_config(deploy, "update_config", FailureAction::Rollback).unwrap_or_default(),
        rollback: rollout::update_config(deploy, "rollback_config", FailureAction::Pause),
        resources: resources::resources(c, f, limits, requests),
        toolbox: extension::extension(c, f),
    }
}

/// Keys without effect on a deploy are still checked.
fn ignored(f: Fields<'_>) {
    f.flag("attach");
    f.converted("pull_policy", |text| {
        let refresh = text.starts_with("every_");
        let known = ["always", "never", "missing", "if_not_present", "build", "daily", "weekly", "refresh"];
        if refresh || known.contains(&text) {
            return Ok(());
        }
        Err(format!("must be always, never, missing or build, not {text:?}"))
    });
}

fn image(c: &Context<'_>, f: Fields<'_>, entry: &Entry) -> String {
    match f.filled("image") {
        Some(image) => {
            if let (Some(node), Err(wrong)) = (f.get("image"), Reference::parse(&image)) {
                c.sink.report_hint(node, wrong.to_string(), "write [registry/]name[:tag]");
            }
            image
        }
        None => {
            if f.get("image").is_none() && f.get("build").is_none() {
                let path = entry.value.path.to_string();
                c.sink.report_at(&entry.at, path, "has neither image nor build");
            }
            format!("{}-{}", c.project, entry.key)
        }
    }
}

fn build(c: &Context<'_>, f: Fields<'_>) -> bool {
    let Some(node) = f.get("build") else {
        return false;
    };
    if !matches!(node.value, Value::Scalar { .. }) {
        Fields::new(c.sink, node, &keys::BUILD);
    }
    true
}

fn one_of(word: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(format!("must be {}, not {word:?}", known.join(" or ")))
}

fn container_name(text: &str) -> Result<String, String> {
    if names::is_engine_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no container name: letters, digits, _, . and -, two or more"))
}

fn logging(c: &Context<'_>, node: &Node) -> Logging {
    let fields = Fields::new(c.sink, node, &keys::LOGGING);
    Logging { driver: fields.filled("driver"), options: fields.pairs("options") }
}
