//! What can stand between this program and a host, one variant for each fact.
//!
//! The next step for the person who reads it is [`SshError::hint`], in `hint.rs`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::refusal::{AuthRefusal, ChangedHostKey, RefusedHostKey, UnknownHostKey};

/// Why a host could not be reached or used over SSH.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The address is a name that resolves to nothing.
    #[error("{address} does not resolve to an address")]
    Unresolvable {
        /// The address as given.
        address: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The host answers, and nothing listens on the port (or a firewall says so).
    #[error("{address} refused the connection to port {port}")]
    Refused {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
    },
    /// No answer to the TCP connection.
    #[error("{address} did not answer on port {port} within {seconds} s")]
    TimedOut {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
        /// How long was waited.
        seconds: u64,
    },
    /// No way to the host (routing, interface down, permission).
    #[error("{address} cannot be reached on port {port}")]
    Unreachable {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The port is open and who listens does not introduce itself as an SSH 2 server.
    #[error("{address}:{port} is not an SSH server: {}", Said(said))]
    NotSsh {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
        /// The first bytes that it sent, readable; empty when it sent none.
        said: String,
    },
    /// Who listens hung up at once, as an sshd does that has too many logins under way.
    #[error("{address}:{port} hung up {} before it introduced itself: {}", Times(times), Said(said))]
    HungUp {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
        /// What it sent, readable; empty when it sent nothing.
        said: String,
        /// How often it did so.
        times: u32,
    },
    /// The server took too long between its banner and the end of the key exchange.
    #[error("the SSH handshake with {address}:{port} did not end within {seconds} s")]
    HandshakeTimedOut {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
        /// How long was waited.
        seconds: u64,
    },
    /// Server and client share no algorithm of a kind that both must have.
    #[error(
        "{address}:{port} and this program share no {kind} algorithm (it offers {}, accepted are {})",
        theirs.join(","), ours.join(",")
    )]
    NoCommonAlgorithm {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
        /// `key exchange`, `host key`, `cipher`, `mac` or `compression`.
        kind: &'static str,
        /// What this program accepts.
        ours: Vec<String>,
        /// What the server offers.
        theirs: Vec<String>,
    },
    /// A list of algorithms in ssh_config names none that this program has.
    #[error("{key} {list} leaves no algorithm for {address} that this program has")]
    NoAlgorithm {
        /// The address as given.
        address: String,
        /// The keyword.
        key: &'static str,
        /// The list as written.
        list: String,
    },
    /// A host on the way could not be reached or did not let us in.
    #[error("the hop {hop}: {source}")]
    Hop {
        /// `user@address:port` of the hop.
        hop: String,
        /// What stands in the way there.
        source: Arc<SshError>,
    },
    /// A hop let us in and does not connect to the next host.
    #[error("the hop {hop} does not connect to {address}:{port}: {reason}")]
    HopRefused {
        /// `user@address:port` of the hop.
        hop: String,
        /// The next host.
        address: String,
        /// Its port.
        port: u16,
        /// The reason's name in the protocol, with the hop's own words when it had any.
        reason: String,
    },
    /// A proxy command cannot be started.
    #[error("the proxy command for {address} cannot be started")]
    ProxyCommand {
        /// The address as given.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A proxy command ended before the host had answered.
    #[error("the proxy command for {address} ended with {status}: {stderr}")]
    ProxyEnded {
        /// The address as given.
        address: String,
        /// `exit status: 1`, or by which signal.
        status: String,
        /// The end of what it wrote to its stderr.
        stderr: String,
    },
    /// The handshake failed in another way.
    #[error("the SSH handshake with {address}:{port} failed: {reason}")]
    Handshake {
        /// The address as given.
        address: String,
        /// The port tried.
        port: u16,
        /// What went wrong.
        reason: String,
    },
    /// A known_hosts file exists and cannot be read.
    #[error("cannot read {} as uid {uid}", file.display())]
    KnownHostsUnreadable {
        /// The file.
        file: PathBuf,
        /// The user id of this process.
        uid: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A host key in the inventory is not a public key line.
    #[error("host {name}: toolbox_host_key {line:?} is not a public key ({reason})")]
    PinMalformed {
        /// The host's name in the inventory.
        name: String,
        /// The line as given.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing on file says which key this host has.
    #[error("{0}")]
    HostKeyUnknown(Box<UnknownHostKey>),
    /// The host presents another key than the one on file.
    #[error("{0}")]
    HostKeyChanged(Box<ChangedHostKey>),
    /// The key (or the authority that signed it) is marked `@revoked`.
    #[error("{0}")]
    HostKeyRevoked(Box<RefusedHostKey>),
    /// A trusted authority signed the host's certificate, and the certificate is not good for this host now.
    #[error("{0}")]
    HostCertificateRefused(Box<RefusedHostKey>),
    /// The agent could not be reached.
    #[error("the SSH agent cannot be reached")]
    AgentUnreachable {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The agent broke off or answered nonsense.
    #[error("the SSH agent did not answer properly: {reason}")]
    AgentProtocol {
        /// What it did.
        reason: String,
    },
    /// The agent holds no key that could be offered.
    #[error("the SSH agent holds no identity to log in with as {user} on {address}")]
    NoIdentities {
        /// The login user.
        user: String,
        /// The address as given.
        address: String,
    },
    /// The server accepts none of the agent's keys for this user.
    #[error("{0}")]
    AuthRefused(Box<AuthRefusal>),
    /// Authentication took too long.
    #[error("logging in as {user} on {address} did not end within {seconds} s")]
    AuthTimedOut {
        /// The login user.
        user: String,
        /// The address as given.
        address: String,
        /// How long was waited.
        seconds: u64,
    },
    /// An established connection is gone.
    #[error("the connection to {address} was lost: {reason}")]
    Disconnected {
        /// The address as given.
        address: String,
        /// The server's words, or what was noticed here.
        reason: String,
    },
    /// The server did not open a channel or take a request on one.
    #[error("{address} refused {what}: {reason}")]
    ChannelRefused {
        /// The address as given.
        address: String,
        /// What was asked for: `a session`, `the socket /run/docker.sock`, `a connection to h:1`.
        what: String,
        /// The reason's name in the protocol, with the server's own words when it had any.
        reason: String,
    },
    /// A command took too long.
    #[error("`{command}` on {address} did not end within {seconds} s")]
    Unfinished {
        /// The address as given.
        address: String,
        /// The command, shortened.
        command: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A command that tells how far it is has told nothing for too long.
    #[error("`{command}` on {address} has said nothing for {seconds} s")]
    Silent {
        /// The address as given.
        address: String,
        /// The command, shortened.
        command: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The channel of a command was closed without saying how the command ended.
    #[error("{address} did not say how `{command}` ended")]
    ExitMissing {
        /// The address as given.
        address: String,
        /// The command, shortened.
        command: String,
    },
    /// The command was ended by a signal.
    #[error("`{command}` on {address} was ended by signal {signal}")]
    Killed {
        /// The address as given.
        address: String,
        /// The command, shortened.
        command: String,
        /// The signal's name without SIG.
        signal: String,
    },
    /// A command whose output is used as a stream ended before it wrote anything.
    #[error("`{command}` on {address} ended with status {status}: {stderr}")]
    CommandFailed {
        /// The address as given.
        address: String,
        /// The command, shortened.
        command: String,
        /// Its exit status.
        status: u32,
        /// The end of what it wrote to its stderr.
        stderr: String,
    },
    /// The command wrote more than this program is ready to hold.
    #[error("`{command}` on {address} wrote more than {limit} bytes")]
    OutputTooLong {
        /// The address as given.
        address: String,
        /// The command, shortened.
        command: String,
        /// The limit for each of its two streams, in bytes.
        limit: usize,
    },
}

/// Says how often.
struct Times<'a>(&'a u32);

impl fmt::Display for Times<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("once"),
            times => write!(f, "{times} times"),
        }
    }
}

/// Shows what a stranger said, or that it said nothing.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("it sent no SSH banner"),
            said => write!(f, "it sent {said:?}"),
        }
    }
}
