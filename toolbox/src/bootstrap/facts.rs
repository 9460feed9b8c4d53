//! What a host says of itself, in one round trip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::ssh::quote;

use super::family::{self, Family};
use super::root::{NoRoot, PATHS, Rights, Root, Why};

/// Every fact stands on a line of its own behind this mark, so that banners and noisy login scripts do no harm.
const MARK: &str = "toolbox-fact ";

/// A script for any POSIX shell. It changes nothing.
const SCRIPT: &str = r#"
LC_ALL=C; export LC_ALL
# A login script may have left a line without an end.
echo
fact() { printf 'toolbox-fact %s=%s\n' "$1" "$2"; }
fact asked "$socket"
fact uid "$(id -u)"
fact user "$(id -un)"
fact machine "$(uname -m)"
( [ -r /etc/os-release ] && . /etc/os-release
  fact os "${ID:-}"; fact os_like "${ID_LIKE:-}"; fact os_name "${PRETTY_NAME:-}" )
for program in $managers; do
  command -v "$program" >/dev/null 2>&1 && { fact manager "$program"; break; }
done
command -v dockerd >/dev/null 2>&1 && fact dockerd yes
command -v docker >/dev/null 2>&1 && fact docker yes
for name in /proc/[0-9]*/comm; do
  read -r comm <"$name" && [ "$comm" = dockerd ] && { fact dockerd_running yes; break; }
done 2>/dev/null
[ -S "$socket" ] && fact socket yes
[ -w "$socket" ] && fact socket_writable yes
for other in "${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/docker.sock}" "/run/user/$(id -u)/docker.sock" \
  /run/podman/podman.sock "/run/user/$(id -u)/podman/podman.sock"; do
  [ "$other" != "$socket" ] && [ -S "$other" ] && [ -w "$other" ] && { fact elsewhere "$other"; break; }
done
[ -r /var/run/docker.pid ] && { tr '\0' '\n' <"/proc/$(cat /var/run/docker.pid)/cmdline"; } 2>/dev/null |
  while read -r argument; do fact argument "$argument"; done
[ -d /run/systemd/system ] && fact systemd yes
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then :
  elif words=$(sudo -n true 2>&1); then fact sudo yes
  else fact sudo_says "$(printf '%s\n' "$words" | tail -n 1)"
  fi
  command -v doas >/dev/null 2>&1 && doas -n true >/dev/null 2>&1 && fact doas yes
fi
[ -e /var/run/reboot-required ] && fact reboot_required yes
[ -r /proc/sys/kernel/random/boot_id ] && fact boot_id "$(cat /proc/sys/kernel/random/boot_id)"
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
    let managers: Vec<&str> = family::ALL.iter().map(|family| family.program).collect();
    format!("socket={}; managers='{}'\n{PATHS}{SCRIPT}", quote(socket), managers.join(" "))
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
    /// `ID_LIKE` of os-release, words.
    pub os_like: String,
    /// `PRETTY_NAME` of os-release.
    pub os_name: String,
    /// `uname -m`.
    pub machine: String,
    /// Its package manager's program, where there is a [`Family`] for it; else empty.
    pub manager: String,
    /// The Docker daemon is installed.
    pub dockerd: bool,
    /// The Docker daemon runs.
    pub dockerd_running: bool,
    /// The Docker command line is installed.
    pub docker_cli: bool,
    /// Path of the engine's socket, as it was asked for.
    pub asked: String,
    /// The engine's socket exists.
    pub socket: bool,
    /// The login user may open it.
    pub socket_writable: bool,
    /// The socket of another engine that the login user may open: rootless Docker's, Podman's.
    pub elsewhere: Option<String>,
    /// The running daemon's command line.
    pub arguments: Vec<String>,
    /// systemd is the init system.
    pub systemd: bool,
    /// An update wants the host to be booted again (Debian and its kin).
    pub reboot_required: bool,
    /// Changes with every boot.
    pub boot_id: String,
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
    /// An engine is there that nobody asked for.
    #[error("there is no system-wide Docker, but {name} at {socket}")]
    OtherEngine {
        /// `Podman` or `rootless Docker`.
        name: &'static str,
        /// Its socket.
        socket: String,
    },
    /// The inventory names a socket where installing Docker would put none.
    #[error("no container engine listens at {socket}")]
    NoEngineAt {
        /// The socket.
        socket: String,
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
            Self::OtherEngine { socket, .. } => format!(
                "to use it, write into the inventory: toolbox_socket: {socket}; to have Docker beside it: toolbox bootstrap"
            ),
            Self::NoEngineAt { socket } => {
                let unit = if socket.ends_with("podman.sock") { "podman.socket" } else { "docker" };
                let user = if socket.starts_with("/run/user/") { "--user " } else { "" };
                let linger = if user.is_empty() { "" } else { ", and as root: loginctl enable-linger USER" };
                format!(
                    "start it on the host: systemctl {user}enable --now {unit}{linger}; or leave toolbox_socket out"
                )
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
            os_like: text("os_like"),
            os_name: text("os_name"),
            machine: text("machine"),
            manager: text("manager"),
            dockerd: single.contains_key("dockerd"),
            dockerd_running: single.contains_key("dockerd_running"),
            docker_cli: single.contains_key("docker"),
            asked: text("asked"),
            socket: single.contains_key("socket"),
            socket_writable: single.contains_key("socket_writable"),
            elsewhere: single.get("elsewhere").map(|path| (*path).to_owned()),
            arguments: pairs.iter().filter(|(name, _)| *name == "argument").map(|(_, a)| (*a).to_owned()).collect(),
            systemd: single.contains_key("systemd"),
            reboot_required: single.contains_key("reboot_required"),
            boot_id: text("boot_id"),
            free_bytes: single.get("df").and_then(|line| free_bytes(line)),
            listening: listening.collect(),
        }
    }

    /// How Docker is installed here; `None` where no adapter fits.
    pub fn family(&self) -> Option<&'static Family> {
        family::ALL.into_iter().find(|family| family.program == self.manager)
    }

    /// Why the distribution has no Docker of its own, where it has none.
    pub fn lacks_docker(&self) -> Option<&'static str> {
        let ids: Vec<&str> = self.os_like.split_whitespace().chain([self.os.as_str()]).collect();
        (self.family()?.lacks)(&ids)
    }

    /// The login user can run commands as root.
    pub fn can_become_root(&self) -> bool {
        matches!(self.rights, Rights::Root(_))
    }

    /// Another engine that the login user may use, where Docker is not installed.
    pub fn other_engine(&self) -> Option<Unusable> {
        let socket = self.elsewhere.clone().filter(|_| !self.dockerd && !self.socket)?;
        let name = if socket.ends_with("podman.sock") { "Podman" } else { "rootless Docker" };
        Some(Unusable::OtherEngine { name, socket })
    }

    /// The socket that was asked for is the one of the distribution's own Docker.
    pub fn is_system_socket(&self) -> bool {
        ["", "/var/run/docker.sock", "/run/docker.sock"].contains(&self.asked.as_str())
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
            return match &self.rights {
                Rights::Root(root) if self.docker_cli => Ok(Some(Access::DialStdio(Some(root.clone())))),
                Rights::Root(_) => Err(Unusable::NoCommandLine { user }),
                Rights::None(why) => Err(Unusable::NoRightsOnEngine { user, why: why.clone() }),
            };
        }
        if !self.is_system_socket() && (!self.dockerd || self.asked.starts_with("/run/user/")) {
            return Err(Unusable::NoEngineAt { socket: self.asked.clone() });
        }
        let Rights::None(why) = &self.rights else {
            return Ok(None);
        };
        let state = if self.dockerd { "not running" } else { "not installed" };
        let cannot = || Unusable::CannotInstall { user, state, why: why.clone() };
        Err(self.other_engine().unwrap_or_else(cannot))
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
