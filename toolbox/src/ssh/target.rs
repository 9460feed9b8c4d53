//! Where a connection goes, who logs in there, and how long each step may take.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use russh::keys::PublicKey;

use super::Hop;
use crate::ssh_config::{AddressFamily, Algorithms};

/// A host and a login on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host's name in the inventory; used in messages only.
    pub name: String,
    /// A host name or an IP address (IPv6 with or without brackets).
    pub address: String,
    /// The port of sshd.
    pub port: u16,
    /// The login user.
    pub user: String,
    /// Public key lines from the inventory (`ssh-ed25519 AAAA…`, or `@cert-authority ssh-ed25519
    /// AAAA…`). When there is one, only these count and no known_hosts file is read.
    pub pinned: Vec<String>,
    /// known_hosts files, all of which count. A missing file is fine, an unreadable one is an error.
    pub known_hosts: Vec<PathBuf>,
    /// The keys that are offered first, in this order, each with its certificates before it. The agent's others follow.
    pub identities: Vec<PublicKey>,
    /// Whether nothing but these is offered.
    pub identities_only: bool,
    /// The name that known_hosts has for it, in place of address and port.
    pub host_key_alias: Option<String>,
    /// How it is reached.
    pub way: Way,
    /// What a TCP connection to it, or to its first hop, is made with.
    pub dialing: Dialing,
    /// Whether the connection for control may be compressed.
    pub compression: bool,
    /// In place of the usual ones.
    pub algorithms: Algorithms,
    /// For callers that pass none of their own, and for a hop.
    pub timeouts: Timeouts,
}

/// How a host is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Way {
    /// By TCP.
    #[default]
    Direct,
    /// By a channel from another host, to which the login comes first.
    Hop(Hop),
    /// Through the standard input and output of a command for `sh`.
    Command(String),
}

/// Settings of a TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialing {
    /// Which of a name's addresses are tried.
    pub family: AddressFamily,
    /// The address of this machine to connect from.
    pub from: Option<IpAddr>,
    /// How often all addresses are tried, a second apart.
    pub attempts: u32,
}

impl Default for Dialing {
    fn default() -> Self {
        Self { family: AddressFamily::Any, from: None, attempts: 1 }
    }
}

impl Target {
    /// A host that is called by its address, reached by TCP, of which nothing is on file.
    #[must_use]
    pub fn new(address: &str, port: u16, user: &str) -> Self {
        Self {
            name: address.to_owned(),
            address: address.to_owned(),
            port,
            user: user.to_owned(),
            pinned: Vec::new(),
            known_hosts: Vec::new(),
            identities: Vec::new(),
            identities_only: false,
            host_key_alias: None,
            way: Way::Direct,
            dialing: Dialing::default(),
            compression: true,
            algorithms: Algorithms::default(),
            timeouts: Timeouts::default(),
        }
    }

    /// `user@address:port`, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}@{}:{}", self.user, self.address, self.port)
    }

    /// The address without the brackets that an IPv6 address may be written in.
    #[must_use]
    pub fn bare_address(&self) -> &str {
        self.address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&self.address)
    }

    /// How known_hosts names this host: its alias, else `address`, or `[address]:port` when the port is not 22.
    #[must_use]
    pub fn known_hosts_name(&self) -> String {
        if let Some(alias) = &self.host_key_alias {
            return alias.to_ascii_lowercase();
        }
        super::known_hosts::host_name(self.bare_address(), self.port)
    }
}

/// How long each step of a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution, and the TCP connection to each of the addresses.
    pub connect: Duration,
    /// From the server's banner to a checked host key.
    pub handshake: Duration,
    /// All of authentication, the agent's answers (and a person's confirmation) included.
    pub auth: Duration,
    /// Silence after which the server is asked for a sign of life.
    pub keepalive_interval: Duration,
    /// How many such questions may stay unanswered before the connection counts as lost.
    pub keepalive_max: usize,
    /// A command whose output is wanted as a whole.
    pub command: Duration,
    /// Between two outputs of a command that tells how far it is.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(20),
            auth: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(15),
            keepalive_max: 3,
            command: Duration::from_secs(60),
            silence: Duration::from_secs(1800),
        }
    }
}
