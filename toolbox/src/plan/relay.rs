//! The relay before a service and the project's keeper, as values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::compose::{Attachment, Project, ProxyProtocol, PublishedPort, Service};

use super::fingerprint::{Fingerprint, definition_hash, pruned};
use super::labels::{FIELDS_LABEL, helper_labels};
use super::names::relay_name;

/// A relay: it owns a service's published ports, aliases and fixed addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySpec {
    /// The container's name.
    pub name: String,
    /// All of its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is made from; not what it listens on inside, which is told to it while it runs.
    pub made_from: Fingerprint,
    /// TCP ports that it listens on, which are those of the service's containers.
    pub listen: BTreeSet<u16>,
    /// The service's networks by the engine's name, with its own and the user's aliases.
    pub networks: BTreeMap<String, Attachment>,
    /// The service's published ports.
    pub ports: Vec<PublishedPort>,
    /// How clients' addresses are told.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl RelaySpec {
    /// The relay of a service whose containers listen on these ports.
    pub fn of(project: &Project, service: &Service, listen: &BTreeSet<u16>) -> Self {
        let networks = attachments(project, service);
        let mut ports = service.ports.clone();
        ports.sort_by_key(|p| (p.target, p.published, p.host_ip));
        let proxy_protocol = service.toolbox.proxy_protocol;
        let made_from = Fingerprint::of_fields(fields(&networks, &ports, proxy_protocol));
        let mut labels = helper_labels(project, "relay", Some(&service.name), &made_from.hash);
        labels.insert(FIELDS_LABEL.into(), json!(made_from.fields).to_string());
        Self {
            name: relay_name(project, &service.name),
            labels,
            made_from,
            listen: listen.clone(),
            networks,
            ports,
            proxy_protocol,
        }
    }

    /// The value of its environment variable `RELAY_CONFIG`; targets are the engine's ids of containers.
    pub fn config<'a>(&self, targets: impl IntoIterator<Item = &'a str>) -> String {
        let listen: Vec<_> = self.listen.iter().map(|port| json!({"port": port, "to": port})).collect();
        let targets: BTreeSet<&str> = targets.into_iter().map(crate::state::short_id).collect();
        json!({"listen": listen, "targets": targets, "proxy_protocol": self.proxy_protocol}).to_string()
    }

    /// Its published ports as a person reads them: `80->8080/tcp`, `127.0.0.1:80->8080/tcp`.
    pub fn shown_ports(&self) -> Vec<String> {
        self.ports.iter().map(PublishedPort::shown).collect()
    }
}

fn fields(
    networks: &BTreeMap<String, Attachment>,
    ports: &[PublishedPort],
    proxy_protocol: Option<ProxyProtocol>,
) -> BTreeMap<String, Value> {
    let networks = networks.iter().map(|(name, attachment)| (format!("networks.{name}"), pruned(json!(attachment))));
    let others = [("ports", pruned(json!(ports))), ("x-toolbox.proxy_protocol", pruned(json!(proxy_protocol)))];
    let all = networks.chain(others.map(|(field, value)| (field.to_owned(), value)));
    all.filter_map(|(field, value)| Some((field, value?))).collect()
}

/// The service's places in networks by the engine's name, with its own and the user's aliases.
pub(super) fn attachments(project: &Project, service: &Service) -> BTreeMap<String, Attachment> {
    service.networks.iter().map(|(key, attachment)| attached(project, service, key, attachment)).collect()
}

fn attached(project: &Project, service: &Service, key: &str, own: &Attachment) -> (String, Attachment) {
    let name = project.networks.get(key).map_or_else(|| key.to_owned(), |network| network.name.clone());
    let mut attachment = own.clone();
    attachment.aliases.push(service.name.clone());
    attachment.aliases.sort();
    attachment.aliases.dedup();
    (name, attachment)
}

/// What a keeper is made from, hashed: nothing of the project decides.
pub(super) fn keeper_hash() -> String {
    definition_hash(&json!({"state": "/state", "network": "none", "read_only": true}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::testing::project;

    fn spec(text: &str, listen: &[u16]) -> RelaySpec {
        let project = project(&format!("{{name: shop, services: {{web: {text}}}}}"));
        RelaySpec::of(&project, &project.services["web"], &listen.iter().copied().collect())
    }

    #[test]
    fn a_relay_owns_names_addresses_and_published_ports() {
        let relay = spec(
            "{image: a, ports: ['127.0.0.1:80:8080'], networks: {default: {aliases: [www], ipv4_address: 10.9.0.2}}}",
            &[8080, 9090],
        );
        let attachment = &relay.networks["shop_default"];
        assert_eq!(attachment.aliases, ["web", "www"]);
        assert_eq!(attachment.ipv4_address.as_deref(), Some("10.9.0.2"));
        assert_eq!(relay.shown_ports(), ["127.0.0.1:80->8080/tcp"]);
        assert_eq!(
            relay.config(["0123456789abcdef0123"]),
            r#"{"listen":[{"port":8080,"to":8080},{"port":9090,"to":9090}],"proxy_protocol":null,"targets":["0123456789ab"]}"#
        );
    }

    #[test]
    fn its_hash_changes_with_what_cannot_be_told_to_it_while_it_runs() {
        let base = "{image: a, ports: ['80:8080'], networks: {default: {aliases: [www]}}}";
        let hash = spec(base, &[8080]).made_from;
        assert_eq!(spec(&base.replace("image: a", "image: b, environment: {A: b}"), &[8080, 9090]).made_from, hash);
        for (from, to) in [("80:", "81:"), ("www", "w3")] {
            assert_ne!(spec(&base.replace(from, to), &[8080]).made_from, hash, "{to}");
        }
        let mut project = project(&format!("{{name: shop, services: {{web: {base}}}}}"));
        project.services.get_mut("web").unwrap().toolbox.proxy_protocol = Some(ProxyProtocol::V1);
        assert_ne!(RelaySpec::of(&project, &project.services["web"], &BTreeSet::from([8080])).made_from, hash);
    }
}
