//! Why a service's containers cannot, or should not, run side by side.
//!
//! Contract: short texts, each with the key that decides, for a plan and for the file's problems alike.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::model::{MountSource, Protocol, PublishedPort, Service};

/// Why two containers of the service cannot run at once, whatever its file asks.
pub fn runs_alone(services: &BTreeMap<String, Service>, service: &Service) -> Option<String> {
    if service.container_name.is_some() {
        return Some("container_name".into());
    }
    if let Some(mode) = &service.network_mode {
        return Some(format!("network_mode: {mode}"));
    }
    if let Some(guest) = services.values().find(|other| other.shares_namespace_of(&service.name)) {
        return Some(format!("{} shares its namespace", guest.name));
    }
    let published = service.ports.iter().map(|p| (p.target, p.protocol));
    let mut ports = published.chain(service.expose.iter().map(|p| (p.port, p.protocol)));
    let (port, protocol) = ports.find(|(_, protocol)| *protocol != Protocol::Tcp)?;
    Some(format!("port {port}/{}", protocol.as_str()))
}

/// Whether a port cannot be bound to both addresses of a host; no address is all of them.
pub(super) fn bind_the_same(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified())),
        _ => true,
    }
}

impl PublishedPort {
    /// A host cannot publish both.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let same = self.published.is_some() && self.published == other.published && self.protocol == other.protocol;
        same && bind_the_same(self.host_ip, other.host_ip)
    }

    /// As a person reads it: `80->8080/tcp`, `127.0.0.1:80->8080/tcp`, `any->8080/tcp`.
    pub fn shown(&self) -> String {
        let address = self.host_ip.map(|ip| if ip.is_ipv6() { format!("[{ip}]:") } else { format!("{ip}:") });
        let published = self.published.map_or_else(|| "any".to_owned(), |port| port.to_string());
        format!("{}{published}->{}/{}", address.unwrap_or_default(), self.target, self.protocol.as_str())
    }
}

impl Service {
    /// Data of its own that two of its containers would write to at once.
    pub fn one_writer(&self) -> Option<String> {
        self.mounts.iter().filter(|mount| !mount.read_only).find_map(|mount| match &mount.source {
            MountSource::Volume { key, .. } => Some(format!("volume {key} has one writer")),
            MountSource::Bind { path, .. } => Some(format!("{path} has one writer")),
            MountSource::Anonymous => Some(format!("the volume at {} has one writer", mount.target)),
            MountSource::Tmpfs { .. } => None,
        })
    }

    /// The service whose network, process or IPC namespace it shares, with the key that says so.
    pub fn namespace_of(&self) -> Option<(&'static str, &str)> {
        self.namespaces().next()
    }

    /// It shares a namespace of this service.
    pub fn shares_namespace_of(&self, service: &str) -> bool {
        self.namespaces().any(|(_, host)| host == service)
    }

    fn namespaces(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let modes = [("network_mode", &self.network_mode), ("pid", &self.pid), ("ipc", &self.ipc)];
        modes.into_iter().filter_map(|(key, mode)| Some((key, mode.as_deref()?.strip_prefix("service:")?)))
    }
}
