//! Where projects run: the validated inventory.
//!
//! Contract: variables are merged by Ansible's precedence already, every group's host set holds those of its children
//! too, and every value that decides how a host is reached has been checked. Absent on purpose: dynamic inventories,
//! templating, vault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

/// The hosts and their groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// Hosts by their name in the inventory.
    pub hosts: BTreeMap<String, Host>,
    /// Names of all hosts of each group, those of child groups included; `all` and `ungrouped` always exist.
    pub groups: BTreeMap<String, BTreeSet<String>>,
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
    /// Become root by sudo (`ansible_become` with become_user root).
    pub become_root: bool,
    /// Pinned host keys (`toolbox_host_key`), each a checked public key line `ssh-ed25519 AAAA…` without comment.
    pub host_keys: Vec<String>,
    /// Path of the engine's socket (`toolbox_socket`); `None` is `/var/run/docker.sock`.
    pub socket: Option<String>,
    /// The key to log in with (`ansible_ssh_private_key_file`): a path as it can be opened, but for a `~/` at its
    /// beginning, which is the caller's to expand.
    pub private_key_file: Option<PathBuf>,
    /// Words of `ansible_ssh_common_args` and `ansible_ssh_extra_args`: arguments as the ssh program takes them.
    pub ssh_args: Vec<String>,
    /// All variables of the host as text (JSON for lists and mappings), also those that toolbox ignores.
    pub variables: BTreeMap<String, String>,
}
