//! Ring 3: what a host is, and making a bare host ready.
//!
//! Contract: one round trip says what the host is ([`probe`]); what is installed comes from the host's own package
//! archive with its own signature checks; nothing is downloaded by other means. The only configuration that is changed
//! is Docker's own, and only where the inventory asks for it ([`Change`]).
//! Absent on purpose: deciding whether to install (`plan`), and every engine API (`engine`).

mod facts;
mod family;
mod fault;
mod install;
mod reboot;
mod root;
mod settings;

pub use facts::{Access, SystemFacts, Unusable};
pub use family::Family;
pub use fault::Fault;
pub use install::{InstallError, Said, install_engine, start_engine};
pub use reboot::reboot;
pub use root::{Become, NoRoot, Rights, Root, RootError, Why, dial_stdio};
pub use settings::{Change, SettingsError};

use crate::ssh::{Connection, SshError, quote};

/// Why a host does not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// SSH.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The login runs no commands.
    #[error(transparent)]
    NoShell(#[from] Unusable),
    /// A command hangs.
    #[error("the host did not answer simple questions (id, uname, df) within {seconds} s")]
    TimedOut {
        /// How long was waited.
        seconds: u64,
    },
}

impl ProbeError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::NoShell(error) => Some(error.hint()),
            Self::TimedOut { .. } => {
                Some("log in and see what hangs: the login's profile, or df on a dead network mount".into())
            }
        }
    }
}

/// Asks the host what it is; `socket` is the engine's socket there. No password is tried: see [`SystemFacts::escalate`].
///
/// # Errors
/// [`ProbeError`].
pub async fn probe(connection: &Connection, socket: &str) -> Result<SystemFacts, ProbeError> {
    let script = facts::script(socket);
    let output = connection.exec("sh -s", script.as_bytes()).await.map_err(|error| match error {
        SshError::Unfinished { seconds, .. } => ProbeError::TimedOut { seconds },
        error => error.into(),
    })?;
    let facts = SystemFacts::parse(&output.stdout_text());
    if facts.user.is_empty() {
        let said = [output.stdout_text(), output.stderr_text()].concat();
        let said = said.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().to_owned();
        return Err(Unusable::NoShell { said }.into());
    }
    Ok(facts)
}

impl SystemFacts {
    /// What the host is now; its rights are those that were found.
    ///
    /// # Errors
    /// As [`probe`].
    pub async fn again(&self, connection: &Connection, socket: &str) -> Result<Self, ProbeError> {
        Ok(Self { rights: self.rights.clone(), ..probe(connection, socket).await? })
    }
}

/// Free bytes of the file system that holds `directory` of the host; `None` where df(1) does not say.
///
/// # Errors
/// [`SshError`] where the command cannot be run.
pub async fn free_bytes(connection: &Connection, directory: &str) -> Result<Option<u64>, SshError> {
    let command = format!("df -Pk {}", quote(directory));
    let output = connection.exec(&command, b"").await?;
    Ok(output.stdout_text().lines().last().and_then(facts::free_bytes))
}
