//! Ring 3: what a host is, and making a bare host ready.
//!
//! Contract: one round trip says what the host is ([`probe`]); what is installed comes from the host's own package
//! archive with its own signature checks; nothing is downloaded by other means and no configuration is changed.
//! Absent on purpose: deciding whether to install (`plan`), and every engine API (`engine`).

mod facts;
mod install;

pub use facts::{Access, SystemFacts, Unusable};
pub use install::{InstallError, install_engine, start_engine};

use crate::ssh::{Connection, SshError};

/// Asks the host what it is; `socket` is the engine's socket there.
///
/// # Errors
/// [`SshError`] where the command cannot be run.
pub async fn probe(connection: &Connection, socket: &str) -> Result<SystemFacts, SshError> {
    let script = facts::script(socket);
    let output = connection.exec("sh -s", script.as_bytes()).await?;
    Ok(SystemFacts::parse(&String::from_utf8_lossy(&output.stdout)))
}
