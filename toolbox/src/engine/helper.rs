//! Containers of the helper image: relays, keepers and receivers.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType, NetworkingConfig, RestartPolicy as ApiRestart,
    RestartPolicyNameEnum,
};

use super::HelperSpec;
use super::create::{endpoint, port_bindings};

/// Where a keeper sees its volume.
const STATE: &str = "/state";
/// Where a receiver sees the spool.
const SPOOL: &str = "/spool";
/// Where a receiver sees the engine.
const SOCKET: &str = "/run/engine.sock";

/// The body that creates it. A relay's root is not read-only: it keeps its state in its own layer.
pub(super) fn container(spec: &HelperSpec) -> ContainerCreateBody {
    let first = networks(spec).into_iter().next();
    let without = if spec.receives.as_ref().is_some_and(|receives| receives.network) { "host" } else { "none" };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: Some(spec.command.clone()),
        env: Some(spec.environment.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        exposed_ports: Some(port_bindings(&spec.ports).into_keys().collect()),
        host_config: Some(HostConfig {
            network_mode: Some(first.as_ref().map_or_else(|| without.to_owned(), |(name, _)| name.clone())),
            port_bindings: Some(port_bindings(&spec.ports)),
            restart_policy: Some(ApiRestart { name: Some(restart(spec)), maximum_retry_count: None }),
            auto_remove: Some(spec.receives.is_some()),
            mounts: Some(mounts(spec)),
            group_add: spec.receives.as_ref().map(|receives| vec![receives.group.to_string()]),
            readonly_rootfs: Some(spec.state_volume.is_some() || spec.receives.is_some()),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(security(spec)),
            ..Default::default()
        }),
        networking_config: first.map(|endpoint| NetworkingConfig { endpoints_config: Some(HashMap::from([endpoint])) }),
        ..Default::default()
    }
}

/// The networks that it is connected to after it was created: engines before API 1.44 take one at first.
pub(super) fn further_networks(spec: &HelperSpec) -> Vec<(String, EndpointSettings)> {
    networks(spec).into_iter().skip(1).collect()
}

fn networks(spec: &HelperSpec) -> Vec<(String, EndpointSettings)> {
    let networks = spec.networks.iter();
    networks.map(|(name, attachment)| (name.clone(), endpoint(attachment.aliases.clone(), attachment))).collect()
}

fn restart(spec: &HelperSpec) -> RestartPolicyNameEnum {
    if spec.receives.is_some() { RestartPolicyNameEnum::NO } else { RestartPolicyNameEnum::UNLESS_STOPPED }
}

/// SELinux keeps containers from the engine's socket, whoever owns it.
fn security(spec: &HelperSpec) -> Vec<String> {
    let unlabelled = spec.receives.iter().map(|_| "label=disable".to_owned());
    ["no-new-privileges:true".to_owned()].into_iter().chain(unlabelled).collect()
}

fn mounts(spec: &HelperSpec) -> Vec<Mount> {
    let state = spec.state_volume.iter().map(|name| mount(MountType::VOLUME, name, STATE));
    let spool = spec.receives.iter().map(|receives| mount(MountType::VOLUME, &receives.volume, SPOOL));
    let socket = spec.receives.iter().map(|receives| mount(MountType::BIND, &receives.socket, SOCKET));
    state.chain(spool).chain(socket).collect()
}

fn mount(kind: MountType, source: &str, target: &str) -> Mount {
    Mount { typ: Some(kind), source: Some(source.to_owned()), target: Some(target.to_owned()), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::super::Receives;
    use super::*;

    #[test]
    fn only_a_receiver_that_shares_with_others_is_in_its_hosts_network() {
        for (network, mode) in [(false, "none"), (true, "host")] {
            let receives = Receives { volume: "v".into(), socket: "/s".into(), group: 1, network };
            let body = container(&HelperSpec { receives: Some(receives), ..HelperSpec::default() });
            let host = body.host_config.unwrap();
            assert_eq!(host.network_mode.as_deref(), Some(mode));
            assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
            assert!(host.port_bindings.unwrap().is_empty());
        }
    }
}
