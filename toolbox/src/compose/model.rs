//! The validated compose file: what the rest of toolbox sees of it.
//!
//! Contract: a `Project` holds only services that are enabled (no profile, or one that was asked for) and only the
//! networks and volumes that those use; every reference between them resolves, every value is in its final unit, and
//! nothing in it depends on the order of keys in the file. Absent on purpose: raw YAML shapes, build instructions,
//! profiles, anything that toolbox cannot carry out (such keys are refused while loading).

mod files;
mod parts;
mod resources;
mod rollout;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use files::*;
pub use parts::*;
pub use resources::*;
pub use rollout::*;
pub use service::*;

/// A validated compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The project's name, valid by Compose's rule `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// The directory that relative paths were resolved against.
    pub working_dir: PathBuf,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Enabled services by name.
    pub services: BTreeMap<String, Service>,
    /// Names of services whose profiles were not asked for; whatever runs of them stays.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub inactive: BTreeSet<String>,
    /// Networks used by enabled services, by their key in the file (`default` when implicit).
    pub networks: BTreeMap<String, Network>,
    /// Named volumes used by enabled services, by their key in the file.
    pub volumes: BTreeMap<String, Volume>,
    /// Configs used by enabled services, by their key in the file.
    pub configs: BTreeMap<String, FileObject>,
    /// Secrets used by enabled services, by their key in the file.
    pub secrets: BTreeMap<String, FileObject>,
    /// What stands under `x-toolbox` of the file.
    pub toolbox: ProjectExtension,
    /// What a person should know although it is no error (a variable that is not set), one line each.
    pub warnings: Vec<String>,
}

impl Project {
    /// A project of this name with nothing in it, for what is done to hosts without a compose file.
    pub fn empty(name: &str, working_dir: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            working_dir,
            files: Vec::new(),
            services: BTreeMap::new(),
            inactive: BTreeSet::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            configs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            toolbox: ProjectExtension::default(),
            warnings: Vec::new(),
        }
    }
}

/// A network of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The engine's name for it: `<project>_<key>`, or the explicit `name:`.
    pub name: String,
    /// It is made by somebody else and must exist already.
    pub external: bool,
    /// The network driver; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The user's labels (not Compose's own).
    pub labels: BTreeMap<String, String>,
    /// No way out of this network.
    pub internal: bool,
    /// Containers outside the project may attach to it.
    pub attachable: bool,
    /// IPv6 addresses; `None` leaves it to the engine.
    pub enable_ipv6: Option<bool>,
    /// Address management.
    pub ipam: Ipam,
}

/// Address management of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    /// The address management driver; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// The address pools, in the file's order.
    pub pools: Vec<IpamPool>,
    /// Options of the address management driver.
    pub options: BTreeMap<String, String>,
}

/// One address pool of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamPool {
    /// The subnet in CIDR notation.
    pub subnet: Option<String>,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// The part of the subnet that containers get addresses from, in CIDR notation.
    pub ip_range: Option<String>,
    /// Addresses that are taken by something else, by host name.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A named volume of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The engine's name for it: `<project>_<key>`, or the explicit `name:`.
    pub name: String,
    /// It is made by somebody else and must exist already.
    pub external: bool,
    /// The volume driver; `None` leaves it to the engine.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The user's labels (not Compose's own).
    pub labels: BTreeMap<String, String>,
}
