//! What a host says of itself, in one round trip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::ssh::quote;

/// Every fact stands on a line of its own behind this mark, so that banners and noisy login scripts do no harm.
const MARK: &str = "toolbox-fact ";

/// A script for any POSIX shell. It changes nothing.
const SCRIPT: &str = r#"
LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH
fact() { printf 'toolbox-fact %s=%s\n' "$1" "$2"; }
fact uid "$(id -u)"
fact user "$(id -un)"
fact machine "$(uname -m)"
( [ -r /etc/os-release ] && . /etc/os-release; fact os "${ID:-}"; fact os_name "${PRETTY_NAME:-}" )
command -v apt-get >/dev/null 2>&1 && fact apt yes
command -v dockerd >/dev/null 2>&1 && fact dockerd yes
command -v docker >/dev/null 2>&1 && fact docker yes
for name in /proc/[0-9]*/comm; do
  read -r comm <"$name" && [ "$comm" = dockerd ] && { fact dockerd_running yes; break; }
done 2>/dev/null
[ -S "$socket" ] && fact socket yes
[ -w "$socket" ] && fact socket_writable yes
[ -d /run/systemd/system ] && fact systemd yes
[ "$(id -u)" = 0 ] || { sudo -n true >/dev/null 2>&1 && fact sudo yes; }
for dir in /var/lib/docker /var/lib; do
  [ -d "$dir" ] && { fact df "$(df -Pk "$dir" 2>/dev/null | tail -n 1)"; break; }
done
for table in /proc/net/tcp /proc/net/tcp6; do
  [ -r "$table" ] && while read -r _ address _ state _; do
    [ "$state" = 0A ] && fact listen "$address"
  done <"$table"
done
exit 0
"#;

/// The script with the engine's socket filled in.
pub(super) fn script(socket: &str) -> String {
    format!("socket={}\n{SCRIPT}", quote(socket))
}

/// What a host is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemFacts {
    /// The login user's name.
    pub user: String,
    /// The login user is root.
    pub is_root: bool,
    /// `sudo -n` works without a password.
    pub sudo: bool,
    /// `ID` of os-release, such as `debian`.
    pub os: String,
    /// `PRETTY_NAME` of os-release.
    pub os_name: String,
    /// `uname -m`.
    pub machine: String,
    /// The host has apt-get.
    pub apt: bool,
    /// The Docker daemon is installed.
    pub dockerd: bool,
    /// The Docker daemon runs.
    pub dockerd_running: bool,
    /// The Docker command line is installed.
    pub docker_cli: bool,
    /// The engine's socket exists.
    pub socket: bool,
    /// The login user may open it.
    pub socket_writable: bool,
    /// systemd is the init system.
    pub systemd: bool,
    /// Free bytes where the engine keeps its data.
    pub free_bytes: Option<u64>,
    /// TCP addresses that something listens on.
    pub listening: BTreeSet<SocketAddr>,
}

/// How the engine's socket is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// By a forwarded Unix socket.
    Socket,
    /// By `docker system dial-stdio`, with sudo where told.
    DialStdio {
        /// Through `sudo -n`.
        sudo: bool,
    },
}

/// Why the login user can do nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The engine runs and the login user may not use it.
    #[error("user {user} may not use the container engine and cannot become root by sudo without a password")]
    NoRightsOnEngine {
        /// The login user.
        user: String,
    },
    /// The engine must be installed or started, which takes root.
    #[error("the container engine is {state} and user {user} cannot become root by sudo without a password")]
    CannotInstall {
        /// The login user.
        user: String,
        /// `not installed` or `not running`.
        state: &'static str,
    },
    /// The login runs no commands.
    #[error("the login gives no shell: it answered {said:?}")]
    NoShell {
        /// The first line of what it wrote.
        said: String,
    },
    /// sudo works and there is no command line to carry the connection.
    #[error("user {user} may use the engine only by sudo, which needs the docker command line on the host")]
    NoCommandLine {
        /// The login user.
        user: String,
    },
}

impl Unusable {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::NoRightsOnEngine { user } => format!(
                "log in as root, or on the host, as root: usermod -aG docker {user} (members of docker are as good as root)"
            ),
            Self::CannotInstall { user, .. } => format!(
                "log in as root, or allow sudo on the host: echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}"
            ),
            Self::NoShell { .. } => {
                "log in as a user with a shell that runs commands (no ForceCommand, no nologin)".into()
            }
            Self::NoCommandLine { .. } => {
                "install it on the host: apt-get install docker-cli (docker.io before Debian 13)".into()
            }
        }
    }
}

impl SystemFacts {
    /// Reads the script's output; lines without the mark are somebody else's.
    pub fn parse(output: &str) -> Self {
        let pairs: Vec<(&str, &str)> = output.lines().filter_map(|l| l.strip_prefix(MARK)?.split_once('=')).collect();
        let single: BTreeMap<&str, &str> = pairs.iter().copied().collect();
        let text = |name: &str| single.get(name).copied().unwrap_or_default().to_owned();
        let listening = pairs.iter().filter(|(name, _)| *name == "listen").filter_map(|(_, a)| listener(a));
        Self {
            user: text("user"),
            is_root: single.get("uid") == Some(&"0"),
            sudo: single.contains_key("sudo"),
            os: text("os"),
            os_name: text("os_name"),
            machine: text("machine"),
            apt: single.contains_key("apt"),
            dockerd: single.contains_key("dockerd"),
            dockerd_running: single.contains_key("dockerd_running"),
            docker_cli: single.contains_key("docker"),
            socket: single.contains_key("socket"),
            socket_writable: single.contains_key("socket_writable"),
            systemd: single.contains_key("systemd"),
            free_bytes: single.get("df").and_then(|line| free_bytes(line)),
            listening: listening.collect(),
        }
    }

    /// The login user can run commands as root.
    pub fn can_become_root(&self) -> bool {
        self.is_root || self.sudo
    }

    /// How to reach the engine: `Ok(None)` where it has to be installed or started first.
    ///
    /// # Errors
    /// [`Unusable`] where the login user has no way to it.
    pub fn access(&self) -> Result<Option<Access>, Unusable> {
        let user = self.user.clone();
        if self.socket_writable {
            return Ok(Some(Access::Socket));
        }
        if self.socket {
            return match (self.sudo, self.docker_cli) {
                (true, true) => Ok(Some(Access::DialStdio { sudo: true })),
                (true, false) => Err(Unusable::NoCommandLine { user }),
                (false, _) => Err(Unusable::NoRightsOnEngine { user }),
            };
        }
        if self.can_become_root() {
            return Ok(None);
        }
        Err(Unusable::CannotInstall { user, state: if self.dockerd { "not running" } else { "not installed" } })
    }
}

/// Column "Available" of `df -Pk`'s last line, in bytes.
pub(super) fn free_bytes(line: &str) -> Option<u64> {
    line.split_whitespace().nth(3)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A hexadecimal `address:port` of /proc/net/tcp or tcp6 (proc(5)): words of 32 bits in the machine's byte order.
fn listener(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words = ip.as_bytes().chunks(8).map(|w| u32::from_str_radix(std::str::from_utf8(w).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_le_bytes).collect();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
