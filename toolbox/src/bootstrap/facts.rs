//! What a host says of itself, in one round trip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::ssh::quote;

use super::root::{NoRoot, PATHS, Rights, Root, Why};

/// Every fact stands on a line of its own behind this mark, so that banners and noisy login scripts do no harm.
const MARK: &str = "toolbox-fact ";

/// A script for any POSIX shell. It changes nothing.
const SCRIPT: &str = r#"
LC_ALL=C; export LC_ALL
# A login script may have left a line without an end.
echo
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
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then :
  elif words=$(sudo -n true 2>&1); then fact sudo yes
  else fact sudo_says "$(printf '%s\n' "$words" | tail -n 1)"
  fi
  command -v doas >/dev/null 2>&1 && doas -n true >/dev/null 2>&1 && fact doas yes
fi
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
    format!("socket={}\n{PATHS}{SCRIPT}", quote(socket))
}

/// What a host is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemFacts {
    /// The login user's name.
    pub user: String,
    /// The login user is root.
    pub is_root: bool,
    /// How the login user becomes root; see [`SystemFacts::escalate`].
    pub rights: Rights,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By a forwarded Unix socket.
    Socket,
    /// By `docker system dial-stdio`; as the login user where there is nobody to become.
    DialStdio(Option<Root>),
}

/// Why the login user can do nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The engine runs and the login user may not use it.
    #[error("user {user} may not use the container engine and {why}")]
    NoRightsOnEngine {
        /// The login user.
        user: String,
        /// Why it does not become root.
        why: NoRoot,
    },
    /// The engine must be installed or started, which takes root.
    #[error("the container engine is {state} and user {user} {why}")]
    CannotInstall {
        /// The login user.
        user: String,
        /// `not installed` or `not running`.
        state: &'static str,
        /// Why it does not become root.
        why: NoRoot,
    },
    /// The login runs no commands.
    #[error("the login gives no shell: it answered {said:?}")]
    NoShell {
        /// The first line of what it wrote.
        said: String,
    },
    /// Root may use the engine and there is no command line to carry the connection.
    #[error("user {user} may use the engine only as root, which needs the docker command line on the host")]
    NoCommandLine {
        /// The login user.
        user: String,
    },
}

impl Unusable {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::NoRightsOnEngine { user, why } => format!(
                "{}; or on the host, as root: usermod -aG docker {user} (members of docker are as good as root)",
                why.hint(user)
            ),
            Self::CannotInstall { user, why, .. } => why.hint(user),
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
        let is_root = single.get("uid") == Some(&"0");
        let rights = match (is_root, single.get("sudo_says")) {
            (true, _) => Rights::Root(Root::Login),
            _ if single.contains_key("sudo") => Rights::Root(Root::Sudo),
            _ if single.contains_key("doas") => Rights::Root(Root::Doas),
            (_, says) => Rights::None(NoRoot::by_sudo(says.map_or(Why::Missing, |says| Why::of(says)))),
        };
        let listening = pairs.iter().filter(|(name, _)| *name == "listen").filter_map(|(_, a)| listener(a));
        Self {
            user: text("user"),
            is_root,
            rights,
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
        matches!(self.rights, Rights::Root(_))
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
        match &self.rights {
            Rights::Root(root) if self.socket && self.docker_cli => Ok(Some(Access::DialStdio(Some(root.clone())))),
            Rights::Root(_) if self.socket => Err(Unusable::NoCommandLine { user }),
            Rights::Root(_) => Ok(None),
            Rights::None(why) if self.socket => Err(Unusable::NoRightsOnEngine { user, why: why.clone() }),
            Rights::None(why) => {
                let state = if self.dockerd { "not running" } else { "not installed" };
                Err(Unusable::CannotInstall { user, state, why: why.clone() })
            }
        }
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
