//! The inventory: which hosts there are and how they are reached.
//!
//! Contract: Ansible's YAML inventory format, the part of it that is static: groups with `hosts`, `children` and
//! `vars`, ranges in host names, and Ansible's precedence of variables (all, parents, children, host). Variables that
//! toolbox has no use for are kept and ignored, whatever they hold; one that would change how a host is reached and
//! is not supported yet is refused, so that toolbox never connects in another way than was written down. Problems are
//! collected and carry file, line, column and key path.
//!
//! Absent on purpose: INI and dynamic inventories, `group_vars/` and `host_vars/`, templates and vault (both are
//! refused in values that are needed), reading known_hosts or the SSH configuration.

mod file;
mod host;
mod model;
mod precedence;
mod ranges;
mod select;
mod single;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use crate::yaml::{Problem, Problems};
pub use model::{Host, Inventory};

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
    /// A form of Ansible's patterns that is not supported.
    #[error("the pattern {pattern:?} is not supported: regular expressions, positions and files are not")]
    Pattern {
        /// The pattern.
        pattern: String,
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
