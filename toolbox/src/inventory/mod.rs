//! The inventory: which hosts there are and how they are reached.
//!
//! Contract: Ansible's static inventories, in YAML and INI, files and directories, with `group_vars/` and `host_vars/`
//! and Ansible's precedence of variables. Variables that toolbox has no use for are kept and ignored, whatever they
//! hold; one that would change how a host is reached and is not followed is refused, so that toolbox never connects in
//! another way than was written down. Problems are collected and carry file, line, column and key path. Compared with
//! `ansible-inventory` by the corpus in `toolbox/tests/inventory`.
//!
//! Absent on purpose: dynamic inventories and TOML (refused), templates and vault (both are refused in values that are
//! needed), reading known_hosts or the SSH configuration.

mod address;
mod draft;
mod engine_settings;
mod glob;
mod host;
mod ini;
mod literal;
mod model;
mod precedence;
mod ranges;
mod rules;
mod seed;
mod select;
mod single;
mod sources;
#[cfg(test)]
mod tests;
mod values;
mod vars_files;
mod words;
mod yaml_file;

use thiserror::Error;

pub use crate::yaml::{Problem, Problems};
pub use engine_settings::{AddressPool, EngineSettings, LogRotation};
pub use model::{BecomeMethod, Host, Inventory, PackageProxy, Password, Seed};

/// Why a command line's hosts make no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InventoryError {
    /// A host given by its address is malformed. The text is not repeated: it might hold a password.
    #[error("the host is not written as [user@]address[:port] or ssh://[user@]address[:port]: {reason}")]
    Spec {
        /// What is wrong.
        reason: &'static str,
    },
    /// A pattern names nothing in the inventory.
    #[error("no host or group of the inventory matches {pattern:?}{}", Self::meant(.nearest))]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// A regular expression that cannot be read.
    #[error("the pattern {pattern:?} is no regular expression that is known here: {reason}")]
    Expression {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A position that no host has.
    #[error("the pattern {pattern:?} has no host at its position: {hosts} match")]
    Position {
        /// The pattern.
        pattern: String,
        /// How many hosts match without the position.
        hosts: usize,
    },
    /// A file of patterns that cannot be read.
    #[error("the file of patterns {file}: {reason}")]
    File {
        /// The file, as it was named.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The patterns together leave no host.
    #[error("no host is left of {patterns:?}")]
    Empty {
        /// The patterns, joined by commas.
        patterns: String,
    },
}

impl InventoryError {
    fn meant(nearest: &Option<String>) -> String {
        nearest.as_ref().map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
    }
}
