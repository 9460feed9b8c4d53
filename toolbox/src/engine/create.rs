//! From a validated service to the Engine API's request bodies (Docker Engine API, `ContainerCreate`, `NetworkCreate`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, DeviceMapping, EndpointIpamConfig, EndpointSettings, HealthConfig,
    HostConfig, HostConfigLogConfig, Ipam, IpamConfig, MountBindOptions, MountBindOptionsPropagationEnum,
    MountTmpfsOptions, MountType, MountVolumeOptions, NetworkCreateRequest, NetworkingConfig, PortBinding, PortMap,
    ResourcesUlimits, RestartPolicy as ApiRestart, RestartPolicyNameEnum,
};

use crate::compose::{Attachment, Healthcheck, Mount, MountSource, Project, PublishedPort, RestartPolicy, Service};
use crate::plan::{Making, container_labels, container_name, network_labels};

use super::{ContainerSpec, FileBind, Purpose};

/// The body that creates a container of the service from the image with this id.
pub(super) fn container(spec: ContainerSpec<'_>, image_id: &str) -> ContainerCreateBody {
    let service = spec.service;
    let mut body = ContainerCreateBody {
        image: Some(spec.image.to_owned()),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        user: service.user.clone(),
        tty: Some(service.tty),
        open_stdin: Some(service.stdin_open),
        env: Some(environment(&service.environment)),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        working_dir: service.working_dir.clone(),
        labels: Some(container_labels(spec.project, service, making(spec, image_id)).into_iter().collect()),
        healthcheck: service.healthcheck.as_ref().map(healthcheck),
        exposed_ports: Some(exposed_ports(service)),
        volumes: Some(anonymous_volumes(service)),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.map(|d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX)),
        host_config: Some(host_config(spec)),
        networking_config: first_network(spec),
        ..Default::default()
    };
    one_off(&mut body, spec);
    body
}

/// What a container for one command has otherwise, as by `docker compose run`.
fn one_off(body: &mut ContainerCreateBody, spec: ContainerSpec<'_>) {
    let Purpose::OneOff { role, command, terminal, entrypoint, environment: added } = spec.purpose else { return };
    let mut variables = spec.service.environment.clone();
    variables.extend(added.clone());
    body.env = Some(environment(&variables));
    // An entrypoint of a person's own is not followed by the service's command.
    if !command.is_empty() || entrypoint.is_some() {
        body.cmd = Some(command.to_vec());
    }
    if let Some(entrypoint) = entrypoint {
        body.entrypoint = Some(entrypoint.to_vec());
    }
    body.tty = Some(terminal);
    // What a person pipes in has an end, which the command sees.
    for switch in [&mut body.open_stdin, &mut body.stdin_once, &mut body.attach_stdin] {
        *switch = Some(terminal || role == "run");
    }
    body.healthcheck = Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() });
    body.exposed_ports = None;
    // The engine would make it a name in the service's networks.
    body.hostname = None;
    if let Some(host) = &mut body.host_config {
        host.restart_policy = Some(restart(RestartPolicy::No));
    }
}

fn environment(variables: &BTreeMap<String, String>) -> Vec<String> {
    variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Whether the service's ports, names and addresses are this container's own.
fn stands_alone(spec: ContainerSpec<'_>) -> bool {
    !spec.behind_relay && spec.purpose == Purpose::Service
}

fn making<'a>(spec: ContainerSpec<'a>, image_id: &'a str) -> Making<'a> {
    let role = match spec.purpose {
        Purpose::Service => "service",
        Purpose::OneOff { role, .. } => role,
    };
    Making { image_id, number: spec.number, role, release: spec.release, behind_relay: spec.behind_relay }
}

fn host_config(spec: ContainerSpec<'_>) -> HostConfig {
    let service = spec.service;
    let ports: &[PublishedPort] = if stands_alone(spec) { &service.ports } else { &[] };
    let mounts = service.mounts.iter().filter_map(|m| mount(spec.project, m)).chain(spec.files.iter().map(file));
    HostConfig {
        binds: Some(service.mounts.iter().filter_map(relabelled_bind).collect()),
        port_bindings: Some(port_bindings(ports)),
        restart_policy: Some(restart(service.restart)),
        mounts: Some(mounts.collect()),
        tmpfs: Some(service.tmpfs.clone().into_iter().collect()),
        network_mode: network_mode(spec),
        readonly_rootfs: Some(service.read_only),
        privileged: Some(service.privileged),
        init: service.init,
        cap_add: some(&service.cap_add),
        cap_drop: some(&service.cap_drop),
        security_opt: some(&service.security_opt),
        group_add: some(&service.group_add),
        devices: Some(service.devices.iter().map(|d| device(d)).collect()),
        dns: some(&service.dns),
        dns_search: some(&service.dns_search),
        dns_options: some(&service.dns_opt),
        extra_hosts: some(&service.extra_hosts),
        sysctls: Some(service.sysctls.clone().into_iter().collect()),
        ulimits: Some(ulimits(service)),
        shm_size: service.shm_size.map(saturate),
        memory: service.mem_limit.map(saturate),
        memory_reservation: service.mem_reservation.map(saturate),
        nano_cpus: service.nano_cpus,
        pids_limit: service.pids_limit,
        pid_mode: service.pid.as_deref().map(|m| namespace_mode(spec.project, m)),
        ipc_mode: service.ipc.as_deref().map(|m| namespace_mode(spec.project, m)),
        log_config: service.logging.as_ref().map(|l| HostConfigLogConfig {
            typ: l.driver.clone(),
            config: Some(l.options.clone().into_iter().collect()),
        }),
        ..super::resources::host_config(service)
    }
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn saturate(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn nanos(duration: Option<Duration>) -> Option<i64> {
    duration.map(|d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

fn healthcheck(check: &Healthcheck) -> HealthConfig {
    HealthConfig {
        test: some(&check.test),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: check.retries.map(i64::from),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
    }
}

fn exposed_ports(service: &Service) -> Vec<String> {
    let published = service.ports.iter().map(|p| format!("{}/{}", p.target, p.protocol.as_str()));
    let exposed = service.expose.iter().map(|p| format!("{}/{}", p.port, p.protocol.as_str()));
    let mut ports: Vec<String> = published.chain(exposed).collect();
    ports.sort();
    ports.dedup();
    ports
}

/// What of the host leads to each port.
pub(super) fn port_bindings(ports: &[PublishedPort]) -> PortMap {
    let mut bindings = PortMap::new();
    for port in ports {
        let key = format!("{}/{}", port.target, port.protocol.as_str());
        let binding = PortBinding {
            host_ip: port.host_ip.map(|ip| ip.to_string()),
            host_port: Some(port.published.map(|p| p.to_string()).unwrap_or_default()),
        };
        bindings.entry(key).or_insert_with(|| Some(Vec::new())).get_or_insert_default().push(binding);
    }
    bindings
}

fn restart(policy: RestartPolicy) -> ApiRestart {
    let (name, maximum_retry_count) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::OnFailure { max } => (RestartPolicyNameEnum::ON_FAILURE, max.map(i64::from)),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    ApiRestart { name: Some(name), maximum_retry_count }
}

fn anonymous_volumes(service: &Service) -> Vec<String> {
    let anonymous = service.mounts.iter().filter(|m| m.source == MountSource::Anonymous);
    anonymous.map(|m| m.target.clone()).collect()
}

/// The data of a container's anonymous volumes (its image's `VOLUME`s, entries of `volumes:` without a source) goes on
/// in its successor, unless that mounts something else there.
pub(super) fn take_over_volumes(body: &mut ContainerCreateBody, before: &ContainerInspectResponse) {
    let Some(host) = &mut body.host_config else { return };
    let mounts = host.mounts.get_or_insert_default();
    let bound: Vec<String> =
        host.binds.iter().flatten().filter_map(|b| b.split(':').nth(1).map(str::to_owned)).collect();
    for old in before.mounts.iter().flatten().filter(|m| m.typ.as_deref() == Some("volume")) {
        let (Some(name), Some(target)) = (&old.name, &old.destination) else { continue };
        let taken = mounts.iter().any(|m| m.target.as_ref() == Some(target)) || bound.contains(target);
        if is_anonymous(name) && !taken {
            mounts.push(bollard::models::Mount {
                typ: Some(MountType::VOLUME),
                source: Some(name.clone()),
                target: Some(target.clone()),
                ..Default::default()
            });
        }
    }
}

/// The engine names a volume that nobody named by 64 hex digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// SELinux labels go only with the short form, `HOST:CONTAINER:OPTIONS`.
fn relabelled_bind(mount: &Mount) -> Option<String> {
    let MountSource::Bind { path, propagation, selinux: Some(label), .. } = &mount.source else { return None };
    let mut options = vec![label.clone()];
    options.extend(mount.read_only.then(|| "ro".to_owned()));
    options.extend(propagation.clone());
    Some(format!("{path}:{}:{}", mount.target, options.join(",")))
}

/// `None` for an anonymous volume and for a relabelled bind, which have fields of their own.
fn mount(project: &Project, mount: &Mount) -> Option<bollard::models::Mount> {
    let mut body = bollard::models::Mount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..Default::default()
    };
    match &mount.source {
        MountSource::Anonymous | MountSource::Bind { selinux: Some(_), .. } => return None,
        MountSource::Bind { path, create_host_path, propagation, .. } => {
            body.typ = Some(MountType::BIND);
            body.source = Some(path.clone());
            body.bind_options = Some(MountBindOptions {
                create_mountpoint: create_host_path.then_some(true),
                propagation: propagation.as_deref().and_then(propagation_mode),
                ..Default::default()
            });
        }
        MountSource::Volume { key, nocopy } => {
            body.typ = Some(MountType::VOLUME);
            body.source = Some(project.volumes[key].name.clone());
            body.volume_options = Some(MountVolumeOptions { no_copy: nocopy.then_some(true), ..Default::default() });
        }
        MountSource::Tmpfs { size, mode } => {
            body.typ = Some(MountType::TMPFS);
            let mode = mode.map(i64::from);
            body.tmpfs_options = Some(MountTmpfsOptions { size_bytes: size.map(saturate), mode, ..Default::default() });
        }
    }
    Some(body)
}

/// A config or secret.
fn file(file: &FileBind) -> bollard::models::Mount {
    bollard::models::Mount {
        typ: Some(MountType::BIND),
        source: Some(file.source.clone()),
        target: Some(file.target.clone()),
        read_only: Some(true),
        ..Default::default()
    }
}

fn propagation_mode(mode: &str) -> Option<MountBindOptionsPropagationEnum> {
    mode.parse().ok()
}

fn device(spec: &str) -> DeviceMapping {
    let mut parts = spec.splitn(3, ':');
    let on_host = parts.next().unwrap_or_default();
    DeviceMapping {
        path_on_host: Some(on_host.to_owned()),
        path_in_container: Some(parts.next().unwrap_or(on_host).to_owned()),
        cgroup_permissions: Some(parts.next().unwrap_or("rwm").to_owned()),
    }
}

fn ulimits(service: &Service) -> Vec<ResourcesUlimits> {
    let limits = service.ulimits.iter();
    limits
        .map(|(name, l)| ResourcesUlimits { name: Some(name.clone()), soft: Some(l.soft), hard: Some(l.hard) })
        .collect()
}

/// `service:NAME` is Compose's word; the engine knows `container:NAME`.
fn namespace_mode(project: &Project, mode: &str) -> String {
    let service = mode.strip_prefix("service:").and_then(|name| project.services.get(name));
    service.map_or_else(|| mode.to_owned(), |s| format!("container:{}", container_name(project, s)))
}

fn network_mode(spec: ContainerSpec<'_>) -> Option<String> {
    let first = spec.service.networks.keys().next().map(|key| spec.project.networks[key].name.clone());
    first.or_else(|| spec.service.network_mode.as_deref().map(|m| namespace_mode(spec.project, m)))
}

/// Engines before 1.44 take one network when a container is created.
fn first_network(spec: ContainerSpec<'_>) -> Option<NetworkingConfig> {
    let key = spec.service.networks.keys().next()?;
    let name = spec.project.networks[key].name.clone();
    let endpoints_config = Some(HashMap::from([(name, service_endpoint(spec, key))]));
    Some(NetworkingConfig { endpoints_config })
}

/// The networks that the container is connected to after it was created.
pub(super) fn further_networks(spec: ContainerSpec<'_>) -> Vec<(String, EndpointSettings)> {
    let keys = spec.service.networks.keys().skip(1);
    keys.map(|key| (spec.project.networks[key].name.clone(), service_endpoint(spec, key))).collect()
}

fn service_endpoint(spec: ContainerSpec<'_>, key: &str) -> EndpointSettings {
    let own = spec.service.networks[key].clone();
    // Names and fixed addresses are the service's: nobody else has them, nor one of several containers.
    let unnamed = Attachment { driver_opts: own.driver_opts.clone(), ..Attachment::default() };
    match spec.purpose {
        Purpose::OneOff { .. } => endpoint(Vec::new(), &unnamed),
        Purpose::Service if spec.behind_relay => endpoint(vec![spec.final_name.to_owned()], &unnamed),
        Purpose::Service => {
            let mut aliases = vec![spec.service.name.clone(), spec.final_name.to_owned()];
            aliases.extend(own.aliases.iter().cloned());
            endpoint(aliases, &own)
        }
    }
}

/// A place in a network under these names, with the fixed addresses of `attachment`.
pub(super) fn endpoint(aliases: Vec<String>, attachment: &Attachment) -> EndpointSettings {
    let fixed =
        attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some() || !attachment.link_local_ips.is_empty();
    EndpointSettings {
        aliases: Some(aliases),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: some(&attachment.link_local_ips),
        }),
        driver_opts: (!attachment.driver_opts.is_empty()).then(|| attachment.driver_opts.clone().into_iter().collect()),
        ..Default::default()
    }
}

/// The body that creates the project's network with this key.
pub(super) fn network(project: &Project, key: &str) -> NetworkCreateRequest {
    let network = &project.networks[key];
    let pools = network.ipam.pools.iter().map(|p| IpamConfig {
        subnet: p.subnet.clone(),
        ip_range: p.ip_range.clone(),
        gateway: p.gateway.clone(),
        auxiliary_addresses: Some(p.aux_addresses.clone().into_iter().collect()),
    });
    let pools: Vec<IpamConfig> = pools.collect();
    let has_ipam = network.ipam != crate::compose::Ipam::default();
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone().or_else(|| Some("bridge".into())),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: network.enable_ipv6,
        options: Some(network.driver_opts.clone().into_iter().collect()),
        labels: Some(network_labels(project, key).into_iter().collect()),
        ipam: has_ipam.then(|| Ipam {
            driver: Some(network.ipam.driver.clone().unwrap_or_else(|| "default".into())),
            config: Some(pools),
            options: (!network.ipam.options.is_empty()).then(|| network.ipam.options.clone().into_iter().collect()),
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
