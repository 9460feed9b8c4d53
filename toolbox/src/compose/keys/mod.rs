//! The keys of the Compose Specification: those that toolbox carries out, those without a meaning for a deploy, and
//! those that it refuses, with the reason. docs/reference.md shows them all; a test compares.

mod deploy;
mod service;

pub(super) use deploy::*;
pub(super) use service::*;

use crate::yaml::{self, Node, Sink};

/// A mapping's keys.
pub(super) struct Keys {
    /// Carried out.
    pub(super) known: &'static [&'static str],
    /// Taken, and without a meaning for a deploy.
    pub(super) without_effect: &'static [&'static str],
    /// Refused, with the reason.
    pub(super) refused: &'static [(&'static str, &'static str)],
}

impl Keys {
    const fn only(known: &'static [&'static str]) -> Self {
        Self { known, without_effect: &[], refused: &[] }
    }

    /// Reports each key of the mapping that is not carried out.
    pub(super) fn check(&self, sink: &Sink, node: &Node) {
        yaml::check_keys(sink, node, &self.taken(), self.refused);
    }

    /// Reports only the keys that nobody knows.
    pub(super) fn check_unknown(&self, sink: &Sink, node: &Node) {
        let refused = self.refused.iter().map(|(key, _)| *key);
        let all: Vec<&str> = self.taken().into_iter().chain(refused).collect();
        yaml::check_keys(sink, node, &all, &[]);
    }

    fn taken(&self) -> Vec<&'static str> {
        self.known.iter().chain(self.without_effect).copied().collect()
    }
}

/// The file itself.
pub(super) const TOP: Keys = Keys {
    known: &["configs", "include", "name", "networks", "secrets", "services", "volumes", "x-toolbox"],
    without_effect: &["models", "version"],
    refused: &[],
};

/// One entry of `include:`.
pub(super) const INCLUDE: Keys = Keys::only(&["env_file", "path", "project_directory"]);

/// A network.
pub(super) const NETWORK: Keys = Keys::only(&[
    "attachable",
    "driver",
    "driver_opts",
    "enable_ipv4",
    "enable_ipv6",
    "external",
    "internal",
    "ipam",
    "labels",
    "name",
]);

/// `ipam:` of a network.
pub(super) const IPAM: Keys = Keys::only(&["config", "driver", "options"]);

/// One pool of `ipam.config`.
pub(super) const IPAM_POOL: Keys = Keys::only(&["aux_addresses", "gateway", "ip_range", "subnet"]);

/// A named volume.
pub(super) const VOLUME: Keys = Keys::only(&["driver", "driver_opts", "external", "labels", "name"]);

const SWARM_FILE: &str = "only Swarm keeps configs and secrets; give file, environment or (for a config) content";

/// A config.
pub(super) const CONFIG: Keys = Keys {
    known: &["content", "environment", "file"],
    without_effect: &["labels", "name"],
    refused: &[("external", SWARM_FILE), ("template_driver", SWARM_FILE)],
};

/// A secret.
pub(super) const SECRET: Keys = Keys {
    known: &["environment", "file"],
    without_effect: &["labels", "name"],
    refused: &[
        ("content", "a secret must not stand in the file; give file or environment"),
        ("driver", SWARM_FILE),
        ("driver_opts", SWARM_FILE),
        ("external", SWARM_FILE),
        ("template_driver", SWARM_FILE),
    ],
};

/// `x-toolbox:` of the file: ours alone.
pub(super) const TOOLBOX_OF_PROJECT: Keys = Keys::only(&["batch", "keep_releases"]);

/// Every mapping with its title in docs/reference.md.
#[cfg(test)]
pub(super) const ALL: [(&str, &Keys); 36] = [
    ("The file", &TOP),
    ("include", &INCLUDE),
    ("services", &SERVICE),
    ("services: blkio_config", &BLKIO),
    ("services: blkio_config: devices", &BLKIO_DEVICE),
    ("services: build", &BUILD),
    ("services: configs and secrets", &FILE_MOUNT),
    ("services: depends_on", &DEPENDENCY),
    ("services: deploy", &DEPLOY),
    ("services: deploy: resources", &RESOURCES),
    ("services: deploy: resources: limits", &LIMITS),
    ("services: deploy: resources: reservations", &RESERVATIONS),
    ("services: deploy: restart_policy", &RESTART_POLICY),
    ("services: deploy: update_config and rollback_config", &UPDATE_CONFIG),
    ("services: devices", &DEVICE),
    ("services: env_file", &ENV_FILE),
    ("services: extends", &EXTENDS),
    ("services: gpus and reserved devices", &DEVICE_REQUEST),
    ("services: healthcheck", &HEALTHCHECK),
    ("services: logging", &LOGGING),
    ("services: networks", &ATTACHMENT),
    ("services: ports", &PORT),
    ("services: ulimits", &ULIMIT),
    ("services: volumes", &MOUNT),
    ("services: volumes: bind", &MOUNT_BIND),
    ("services: volumes: tmpfs", &MOUNT_TMPFS),
    ("services: volumes: volume", &MOUNT_VOLUME),
    ("services: x-toolbox", &TOOLBOX),
    ("services: x-toolbox: hooks", &HOOKS_OF_SERVICE),
    ("networks", &NETWORK),
    ("networks: ipam", &IPAM),
    ("networks: ipam: config", &IPAM_POOL),
    ("volumes", &VOLUME),
    ("configs", &CONFIG),
    ("secrets", &SECRET),
    ("x-toolbox", &TOOLBOX_OF_PROJECT),
];
