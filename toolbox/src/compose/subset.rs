//! A part of a project, such as what belongs on one host.

use std::collections::BTreeSet;

use super::model::{MountSource, Project, Service};

impl Project {
    /// The services that `keep` chooses, with the networks, volumes, configs and secrets that they use. A service no
    /// longer waits for one that is left out.
    pub fn only(&self, keep: impl Fn(&Service) -> bool) -> Self {
        let mut part = self.clone();
        part.services.retain(|_, service| keep(service));
        let names: BTreeSet<String> = part.services.keys().cloned().collect();
        for service in part.services.values_mut() {
            service.depends_on.retain(|name, _| names.contains(name));
        }
        let used = |of: fn(&Service) -> Vec<&str>| -> BTreeSet<String> {
            part.services.values().flat_map(of).map(str::to_owned).collect()
        };
        let networks = used(|s| s.networks.keys().map(String::as_str).collect());
        let volumes = used(volumes);
        let configs = used(|s| s.configs.iter().map(|m| m.key.as_str()).collect());
        let secrets = used(|s| s.secrets.iter().map(|m| m.key.as_str()).collect());
        part.networks.retain(|key, _| networks.contains(key));
        part.volumes.retain(|key, _| volumes.contains(key));
        part.configs.retain(|key, _| configs.contains(key));
        part.secrets.retain(|key, _| secrets.contains(key));
        part
    }

    /// These services, what they depend on, and what lives in their namespaces.
    pub fn with_dependencies(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut chosen = BTreeSet::new();
        let mut next: Vec<&str> = names.iter().map(String::as_str).collect();
        while let Some(name) = next.pop() {
            let Some(service) = self.services.get(name) else { continue };
            if chosen.insert(name.to_owned()) {
                next.extend(service.depends_on.keys().map(String::as_str));
                let guests = self.services.values().filter(|s| s.shares_namespace_of(name));
                next.extend(guests.map(|guest| guest.name.as_str()));
            }
        }
        chosen
    }
}

fn volumes(service: &Service) -> Vec<&str> {
    let sources = service.mounts.iter().map(|mount| &mount.source);
    let named = sources.filter_map(|source| match source {
        MountSource::Volume { key, .. } => Some(key.as_str()),
        _ => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use crate::compose::testing::project;

    const FILE: &str = "
name: shop
services:
  db: {image: db, networks: [back], volumes: ['data:/data']}
  web: {image: web, networks: [front, back], depends_on: [db]}
networks: {front: {}, back: {}}
volumes: {data: {}}
";

    #[test]
    fn what_only_left_out_services_use_is_left_out_too() {
        let web = project(FILE).only(|service| service.name == "web");
        assert_eq!(web.services.keys().collect::<Vec<_>>(), ["web"]);
        assert!(web.services["web"].depends_on.is_empty());
        assert_eq!(web.networks.keys().collect::<Vec<_>>(), ["back", "front"]);
        assert!(web.volumes.is_empty());
        let db = project(FILE).only(|service| service.name == "db");
        assert_eq!(db.networks.keys().collect::<Vec<_>>(), ["back"]);
        assert_eq!(db.volumes.keys().collect::<Vec<_>>(), ["data"]);
    }
}
