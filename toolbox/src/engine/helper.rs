//! Containers of the helper image: relays and keepers.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType, NetworkingConfig, RestartPolicy as ApiRestart,
    RestartPolicyNameEnum,
};

use super::HelperSpec;
use super::create::{endpoint, port_bindings};

/// Where a keeper sees its volume.
const STATE: &str = "/state";

/// The body that creates it. Only a keeper's root is read-only: a relay keeps its state in its own layer.
pub(super) fn container(spec: &HelperSpec) -> ContainerCreateBody {
    let first = networks(spec).into_iter().next();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: Some(spec.command.clone()),
        env: Some(spec.environment.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        exposed_ports: Some(port_bindings(&spec.ports).into_keys().collect()),
        host_config: Some(HostConfig {
            network_mode: Some(first.as_ref().map_or_else(|| "none".to_owned(), |(name, _)| name.clone())),
            port_bindings: Some(port_bindings(&spec.ports)),
            restart_policy: Some(ApiRestart {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            mounts: Some(spec.state_volume.iter().map(|name| state(name)).collect()),
            readonly_rootfs: Some(spec.state_volume.is_some()),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges:true".into()]),
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

fn state(volume: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(STATE.into()),
        ..Default::default()
    }
}
