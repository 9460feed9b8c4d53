//! Where projects run: the validated inventory.
//!
//! Contract: variables are merged by Ansible's precedence already, every group's host set holds those of its children
//! too, and every value that decides how a host is reached has been checked. Absent on purpose: dynamic inventories,
//! templating, vault.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use indexmap::{IndexMap, IndexSet};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value as Json;

use super::engine_settings::EngineSettings;

/// The hosts and their groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// Hosts by their name in the inventory, in the order in which the files name them.
    pub hosts: IndexMap<String, Host>,
    /// Names of all hosts of each group, those of child groups included, both in Ansible's order; `all` and
    /// `ungrouped` always exist.
    pub groups: IndexMap<String, IndexSet<String>>,
    /// What in the files is right and may not be meant.
    pub warnings: Vec<String>,
}

/// A machine that services run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// The name in the inventory; the address where it came from a command line.
    pub name: String,
    /// Name or address to connect to, without brackets (`ansible_host`, else the name).
    pub address: String,
    /// The SSH port (`ansible_port`, else 22).
    pub port: u16,
    /// The login user (`ansible_user`); `None` leaves it to the caller.
    pub user: Option<String>,
    /// Whether to become root (`ansible_become` with become_user root).
    pub become_root: bool,
    /// By which program (`ansible_become_method`).
    pub become_method: BecomeMethod,
    /// The password that it asks for (`ansible_become_password`).
    #[serde(skip)]
    pub become_password: Option<Password>,
    /// Arguments of the ssh program, as words (`ansible_ssh_common_args`, then `ansible_ssh_extra_args`), unchecked.
    pub ssh_args: Vec<String>,
    /// Pinned host keys (`toolbox_host_key`), each a checked public key line `ssh-ed25519 AAAA…` without comment, which
    /// may have `@cert-authority` or `@revoked` before it.
    pub host_keys: Vec<String>,
    /// Path of the engine's socket (`toolbox_socket`); `None` is `/var/run/docker.sock`.
    pub socket: Option<String>,
    /// What `toolbox bootstrap` sees to in the engine's settings (`toolbox_live_restore` and its kin).
    pub engine: EngineSettings,
    /// Whether the host's packages come through this machine (`toolbox_package_proxy`).
    pub package_proxy: PackageProxy,
    /// The host that passes images on to this one (`toolbox_seed`).
    pub seed: Option<Seed>,
    /// The key to log in with (`ansible_ssh_private_key_file`): a path as it can be opened, but for a `~/` at its
    /// beginning, which is the caller's to expand.
    pub private_key_file: Option<PathBuf>,
    /// All variables of the host with the types that Ansible gives them, also those that toolbox ignores; passwords are
    /// left out.
    pub variables: BTreeMap<String, Json>,
}

/// A host that passes images on to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seed {
    /// Its name in the inventory, which has it; it has no seed itself.
    pub host: String,
    /// Name or address under which it reaches the other one, without brackets (`toolbox_seed_address`, else that of the
    /// other one).
    pub address: String,
    /// The port there; 0 is any that is free.
    pub port: u16,
}

/// The program that makes a login root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BecomeMethod {
    /// sudo(8), which asks for the login's own password.
    #[default]
    Sudo,
    /// su(1), which asks for root's.
    Su,
    /// doas(1), which is used where it asks for none.
    Doas,
}

impl fmt::Display for BecomeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::Doas => "doas",
        })
    }
}

/// Whether a host's packages come through this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageProxy {
    /// Where the host cannot reach its archive.
    #[default]
    Auto,
    /// From the start.
    Always,
    /// Not at all.
    Never,
}

/// A password: overwritten when it is dropped, never shown, never serialised.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// Takes a password in.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The password itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The same, still wrapped up.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl From<SecretString> for Password {
    fn from(secret: SecretString) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Password {}
