//! Installing and starting the engine with the host's own means.

use crate::ssh::{Connection, OutputStream};

use super::{RootError, SystemFacts};

/// Lines of output kept for an error.
const TAIL: usize = 12;

/// Debian and its kin. From Debian 13 on the command line is a package of its own, which docker.io only recommends.
const APT: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
apt() { apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null; }
# Another run of it may hold the lists, which apt-get does not wait for. It succeeds where it fetched nothing: why,
# which is on stderr, is told again where the installation fails for it.
tries=0
while ! { warnings=$(apt update 2>&1 >&3); } 3>&1; do
  case $warnings in
    *"Could not get lock"*|*"Unable to lock"*) tries=$((tries + 1)); [ "$tries" -lt 60 ] && sleep 5 && continue ;;
  esac
  printf '%s\n' "$warnings" >&2; exit 100
done
packages=docker.io
if apt-cache show docker-cli >/dev/null 2>&1; then packages="$packages docker-cli"; fi
# Docker up to 20.10 starts no container under AppArmor without its parser, which docker.io only recommends.
if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && ! command -v apparmor_parser >/dev/null &&
  apt-cache show apparmor >/dev/null 2>&1; then packages="$packages apparmor"; fi
install() { apt install -y --no-install-recommends $packages; }
# What an interrupted installation left half-done is finished first.
install || { dpkg --configure -a </dev/null; install; } || { printf '%s\n' "$warnings" >&2; exit 100; }
"#;

const START: &str = r#"
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
if [ -d /run/systemd/system ]; then systemctl enable --now docker </dev/null
elif command -v service >/dev/null 2>&1; then service docker start </dev/null
else echo "no systemd and no service command" >&2; exit 1
fi
"#;

/// Why the engine could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The connection, or the rights.
    #[error(transparent)]
    Root(#[from] RootError),
    /// No adapter for this family.
    #[error("Docker is not installed and {os_name} has no apt-get: only Debian and its kin are set up automatically")]
    UnknownFamily {
        /// What the host calls itself.
        os_name: String,
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
            Self::Failed { tail, .. }
                if ["resolv", "Could not connect", "Failed to fetch"].iter().any(|w| tail.contains(w)) =>
            {
                Some("the host cannot reach its package archive: check its network and /etc/apt/sources.list*".into())
            }
            Self::Failed { tail, .. } if tail.contains("No space left") => Some("make room on the host's disk".into()),
            Self::Failed { .. } => Some("run the failing command on the host by hand and deploy again".into()),
        }
    }
}

/// Installs the engine from the host's own package archive; `on_line` sees what the package manager says.
///
/// # Errors
/// [`InstallError`] with the last lines of output.
pub async fn install_engine(
    connection: &Connection,
    facts: &SystemFacts,
    on_line: impl FnMut(&str) + Send,
) -> Result<(), InstallError> {
    if !facts.apt {
        return Err(InstallError::UnknownFamily { os_name: facts.os_name.clone() });
    }
    run(connection, facts, "installing Docker", APT, on_line).await
}

/// Starts the installed engine and lets it start with the host.
///
/// # Errors
/// [`InstallError`] with the last lines of output.
pub async fn start_engine(
    connection: &Connection,
    facts: &SystemFacts,
    on_line: impl FnMut(&str) + Send,
) -> Result<(), InstallError> {
    run(connection, facts, "starting Docker", START, on_line).await
}

async fn run(
    connection: &Connection,
    facts: &SystemFacts,
    what: &'static str,
    script: &str,
    mut on_line: impl FnMut(&str) + Send,
) -> Result<(), InstallError> {
    let mut tail: Vec<String> = Vec::new();
    let keep = |_: OutputStream, line: &str| {
        on_line(line);
        tail.push(line.to_owned());
        if tail.len() > TAIL {
            tail.remove(0);
        }
    };
    match facts.run_as_root(connection, script, keep).await? {
        0 => Ok(()),
        status => Err(InstallError::Failed { what, status, tail: tail.join("\n") }),
    }
}
