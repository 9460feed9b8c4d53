//! Where a connection goes, who logs in there, and how long each step may take.

use std::path::PathBuf;
use std::time::Duration;

use russh::keys::PublicKey;

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
}

impl Target {
    /// The address without the brackets that an IPv6 address may be written in.
    #[must_use]
    pub fn bare_address(&self) -> &str {
        self.address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&self.address)
    }

    /// How known_hosts names this host: `address`, or `[address]:port` when the port is not 22.
    #[must_use]
    pub fn known_hosts_name(&self) -> String {
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
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(20),
            auth: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(15),
            keepalive_max: 3,
        }
    }
}
