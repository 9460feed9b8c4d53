//! The one form of what determines a service's container.

use std::collections::BTreeMap;

use super::model::{MountSource, Project, Service, ServiceExtension, UpdateConfig};

impl Service {
    /// The settings that determine a container, with the engine's names of its networks and volumes.
    ///
    /// The same on every run and machine; it changes exactly when a container made from the service would differ.
    /// Outside it: `depends_on`, `deploy.replicas` and how it is updated, `x-toolbox`, `build`, the image's content, the
    /// order of things that have none, and the keys by which the file calls networks, volumes, configs and secrets
    /// (of the last two the content counts).
    pub fn canonical(&self, project: &Project) -> Self {
        let mut service = self.clone();
        service.depends_on = BTreeMap::new();
        service.toolbox = ServiceExtension::default();
        service.has_build = false;
        service.replicas = 1;
        service.update = UpdateConfig::default();
        service.rollback = None;
        service.resolve_names(project);
        service.sort_sets();
        service
    }

    /// Replaces keys by the engine's names, those of configs and secrets by the digests of their content.
    fn resolve_names(&mut self, project: &Project) {
        self.networks = std::mem::take(&mut self.networks)
            .into_iter()
            .map(|(key, attachment)| {
                (project.networks.get(&key).map_or(key, |network| network.name.clone()), attachment)
            })
            .collect();
        for mount in &mut self.mounts {
            if let MountSource::Volume { key, .. } = &mut mount.source
                && let Some(volume) = project.volumes.get(key)
            {
                key.clone_from(&volume.name);
            }
        }
        let files = self.configs.iter_mut().map(|mount| (mount, &project.configs));
        for (mount, objects) in files.chain(self.secrets.iter_mut().map(|mount| (mount, &project.secrets))) {
            if let Some(object) = objects.get(&mount.key) {
                mount.key.clone_from(&object.digest);
            }
        }
    }

    /// Sorts what is a list in the file and a set to the engine.
    fn sort_sets(&mut self) {
        self.ports.sort_by_key(|port| (port.target, port.protocol, port.published, port.host_ip));
        self.ports.dedup();
        self.expose.sort();
        self.expose.dedup();
        self.mounts.sort_by(|a, b| a.target.cmp(&b.target));
        self.configs.sort();
        self.secrets.sort();
        let attachments = self.networks.values_mut().map(|attachment| &mut attachment.aliases);
        let sets = [
            &mut self.cap_add,
            &mut self.cap_drop,
            &mut self.security_opt,
            &mut self.group_add,
            &mut self.devices,
            &mut self.device_cgroup_rules,
            &mut self.extra_hosts,
        ];
        for set in attachments.chain(sets) {
            set.sort();
            set.dedup();
        }
    }
}
