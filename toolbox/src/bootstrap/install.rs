//! Installing and starting the engine with the host's own means.

use std::collections::VecDeque;

use crate::ssh::{Connection, OutputStream};

use super::family::{Family, NOTE};
use super::fault::Fault;
use super::{RootError, SystemFacts};

/// Lines of output kept for an error.
const TAIL: usize = 12;
/// Lines of errors that a reason is looked for in.
const ERRORS: usize = 200;

const START: &str = r#"
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
if [ -d /run/systemd/system ]; then systemctl enable --now docker </dev/null
elif command -v rc-service >/dev/null 2>&1; then
  rc-update add docker default </dev/null
  rc-service docker start </dev/null
elif command -v service >/dev/null 2>&1; then service docker start </dev/null
else echo "no systemd, OpenRC or service command" >&2; exit 1
fi
"#;

/// Why the engine could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The connection, or the rights.
    #[error(transparent)]
    Root(#[from] RootError),
    /// No adapter for this family.
    #[error("Docker is not installed and {os_name} has no apt-get, dnf or apk: its package manager is not known here")]
    UnknownFamily {
        /// What the host calls itself.
        os_name: String,
    },
    /// The distribution ships none.
    #[error("Docker is not installed and cannot be installed from the archive of {os_name}: {why}")]
    NotShipped {
        /// What the host calls itself.
        os_name: String,
        /// Why not.
        why: &'static str,
    },
    /// A command failed for a reason that is known.
    #[error("{what} failed: {fault}:\n{tail}")]
    Faulty {
        /// As for [`InstallError::Failed`].
        what: &'static str,
        /// The exit status.
        status: u32,
        /// The reason.
        fault: Fault,
        /// The last lines of output.
        tail: String,
    },
    /// A command failed.
    #[error("{what} failed with status {status}:\n{tail}")]
    Failed {
        /// `installing Docker` or `starting Docker`.
        what: &'static str,
        /// The exit status.
        status: u32,
        /// The last lines of output.
        tail: String,
    },
}

impl InstallError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Root(error) => error.hint(),
            Self::UnknownFamily { .. } => {
                Some("install Docker on the host with its own package manager and deploy again".into())
            }
            Self::NotShipped { .. } => Some(
                "install a Docker of your choice by hand; or use Podman: systemctl enable --now podman.socket, and \
                 toolbox_socket: /run/podman/podman.sock in the inventory"
                    .into(),
            ),
            Self::Faulty { fault, .. } => Some(fault.hint()),
            Self::Failed { .. } => Some("run the failing command on the host by hand and deploy again".into()),
        }
    }
}

/// Installs the engine from the host's own package archive, where `proxy` is a port of the host's 127.0.0.1 by an HTTP
/// proxy there; `on_line` sees what the package manager says. `prelude` is run before the adapter, in the same shell.
///
/// # Errors
/// [`InstallError`] with the last lines of output.
pub async fn install_engine(
    connection: &Connection,
    facts: &SystemFacts,
    proxy: Option<u16>,
    prelude: &str,
    on_line: impl FnMut(Said<'_>) + Send,
) -> Result<(), InstallError> {
    let family = facts.installable()?;
    run(connection, facts, "installing Docker", &format!("{prelude}\n{}", family.installer(proxy)), on_line).await
}

impl SystemFacts {
    /// How Docker is installed here.
    ///
    /// # Errors
    /// [`InstallError`] where it cannot be.
    pub fn installable(&self) -> Result<&'static Family, InstallError> {
        let os_name = || self.os_name.clone();
        let family = self.family().ok_or_else(|| InstallError::UnknownFamily { os_name: os_name() })?;
        match self.lacks_docker() {
            Some(why) => Err(InstallError::NotShipped { os_name: os_name(), why }),
            None => Ok(family),
        }
    }
}

/// Starts the installed engine and lets it start with the host.
///
/// # Errors
/// [`InstallError`] with the last lines of output.
pub async fn start_engine(
    connection: &Connection,
    facts: &SystemFacts,
    on_line: impl FnMut(Said<'_>) + Send,
) -> Result<(), InstallError> {
    run(connection, facts, "starting Docker", START, on_line).await
}

/// A line that a script wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// What happens just now.
    Line(&'a str),
    /// What a person should know.
    Note(&'a str),
}

/// Runs a script as root.
pub(super) async fn run(
    connection: &Connection,
    facts: &SystemFacts,
    what: &'static str,
    script: &str,
    mut on_line: impl FnMut(Said<'_>) + Send,
) -> Result<(), InstallError> {
    let (mut tail, mut errors) = (VecDeque::new(), VecDeque::new());
    let keep = |stream: OutputStream, line: &str| {
        if let Some(note) = line.strip_prefix(NOTE) {
            return on_line(Said::Note(note));
        }
        on_line(Said::Line(line));
        push(&mut tail, line, TAIL);
        if stream == OutputStream::Stderr {
            push(&mut errors, line, ERRORS);
        }
    };
    match facts.run_as_root(connection, script, keep).await? {
        0 => Ok(()),
        status => {
            let tail = Vec::from(tail).join("\n");
            Err(match Fault::recognise(errors.make_contiguous()) {
                Some(fault) => InstallError::Faulty { what, status, fault, tail },
                None => InstallError::Failed { what, status, tail },
            })
        }
    }
}

fn push(lines: &mut VecDeque<String>, line: &str, most: usize) {
    lines.push_back(line.to_owned());
    if lines.len() > most {
        lines.pop_front();
    }
}
