//! Whether a record that was read is one that could have been written.
//!
//! Contract: what is asked of it later (the objects that a service names, what is shown on a terminal) is there and
//! harmless.

use std::collections::BTreeMap;

use crate::compose::Service;

use super::Release;
use super::partial::{file_keys, network_keys, volume_keys};

impl Release {
    /// Says what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.git.as_ref().is_some_and(|git| !git.has_revision()) {
            return Err("its git revision is none".into());
        }
        if self.shown().any(|text| text.chars().any(char::is_control)) {
            return Err("a name in it holds control characters".into());
        }
        self.project.services.iter().try_for_each(|(key, service)| self.check_service(key, service))
    }

    fn check_service(&self, key: &str, service: &Service) -> Result<(), String> {
        if service.name != key {
            return Err(format!("service {key} has another name"));
        }
        let project = &self.project;
        all_in(key, "network", &network_keys(service), &project.networks)?;
        all_in(key, "volume", &volume_keys(service), &project.volumes)?;
        all_in(key, "config", &file_keys(&service.configs), &project.configs)?;
        all_in(key, "secret", &file_keys(&service.secrets), &project.secrets)
    }

    /// Texts that a person gets to see.
    fn shown(&self) -> impl Iterator<Item = &str> {
        let project = &self.project;
        let keys = project.services.keys().chain(self.services.keys()).chain(project.configs.keys());
        let keys = keys.chain(project.secrets.keys()).chain(project.networks.keys()).chain(project.volumes.keys());
        let names = project.networks.values().map(|n| &n.name).chain(project.volumes.values().map(|v| &v.name));
        let branch = self.git.iter().filter_map(|git| git.branch.as_ref());
        [&self.by, &self.created, &project.name].into_iter().chain(keys).chain(names).chain(branch).map(String::as_str)
    }
}

fn all_in<T>(service: &str, kind: &str, keys: &[String], there: &BTreeMap<String, T>) -> Result<(), String> {
    match keys.iter().find(|key| !there.contains_key(*key)) {
        Some(key) => Err(format!("service {service} names {kind} {key}, which is not in it")),
        None => Ok(()),
    }
}
