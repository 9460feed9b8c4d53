//! What a relay is told: ports, targets, the PROXY protocol.
//!
//! Contract: the environment variable `RELAY_CONFIG` holds one JSON [`Config`]. An unknown key is refused:
//! it would ask for something that is not done. `RELAY_STATE` names the directory for what must survive a
//! restart (`/state`), `RELAY_SOCKET` the abstract socket of the control (`toolbox-relay`).

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// There is none.
    #[error("the environment variable RELAY_CONFIG is not set")]
    Missing,
    /// It is not what it should be.
    #[error("RELAY_CONFIG cannot be read")]
    Malformed(#[from] serde_json::Error),
    /// Two entries for one port.
    #[error("port {0} is listened on twice")]
    Twice(u16),
}

/// A port of the relay and the port of the targets behind it; neither is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// TCP port of the relay's container.
    pub(crate) port: u16,
    /// TCP port of a target that names none itself.
    pub(crate) to: u16,
}

/// The header that tells a target its client's address (HAProxy's proxy-protocol.txt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProxyProtocol {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// Everything that `serve` needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Ports, each once.
    pub(crate) listen: Vec<Listen>,
    /// Where new connections go; with none, clients wait a little and are closed.
    pub(crate) targets: Vec<Name>,
    /// Whether and how targets learn the client's address.
    #[serde(default)]
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// After SIGTERM, milliseconds for connections to end; shorter than the engine's stop timeout (10 s).
    #[serde(default = "default_grace")]
    pub(crate) grace_ms: u64,
}

fn default_grace() -> u64 {
    8_000
}

impl Config {
    /// Reads `RELAY_CONFIG`.
    pub(crate) fn from_environment() -> Result<Self, ConfigError> {
        let text = std::env::var("RELAY_CONFIG").map_err(|_| ConfigError::Missing)?;
        let config: Self = serde_json::from_str(&text)?;
        check(&config.listen)?;
        Ok(config)
    }
}

/// Refuses a port that is listed twice.
pub(crate) fn check(listen: &[Listen]) -> Result<(), ConfigError> {
    let twice = |(at, entry): (usize, &Listen)| listen[..at].iter().any(|l| l.port == entry.port).then_some(entry.port);
    listen.iter().enumerate().find_map(twice).map_or(Ok(()), |port| Err(ConfigError::Twice(port)))
}

/// The directory of the state file and the lock.
pub(crate) fn state_directory() -> PathBuf {
    std::env::var_os("RELAY_STATE").map_or_else(|| "/state".into(), PathBuf::from)
}

/// The name of the control's abstract Unix socket, without the leading NUL.
pub(crate) fn socket_name() -> String {
    std::env::var("RELAY_SOCKET").unwrap_or_else(|_| "toolbox-relay".into())
}

/// A text that names no target.
#[derive(Debug, Error)]
#[error("{0:?} is no target of the form name[:port]")]
pub(crate) struct NameError(String);

/// A target: a name or address, with a port where it is not the listener's `to`. IPv6 with a port stands in
/// brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name {
    text: String,
    /// The name or address alone.
    pub(crate) host: String,
    /// Its own port.
    pub(crate) port: Option<u16>,
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let (host, port) = split(&text);
        let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or_else(|| NameError(text.clone())));
        let (host, port) = (host.to_owned(), port.transpose()?);
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(good) {
            return Err(NameError(text));
        }
        Ok(Self { text, host, port })
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => return (host, None),
        Some((host, rest)) if rest.starts_with(':') => return (host, Some(&rest[1..])),
        _ => {}
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.text
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<(String, Option<u16>)> {
        Name::try_from(text.to_owned()).ok().map(|name| (name.host, name.port))
    }

    #[test]
    fn targets_are_names_or_addresses_with_or_without_a_port() {
        assert_eq!(name("0123456789ab"), Some(("0123456789ab".into(), None)));
        assert_eq!(name("127.0.0.2:80"), Some(("127.0.0.2".into(), Some(80))));
        assert_eq!(name("[::1]:80"), Some(("::1".into(), Some(80))));
        assert_eq!(name("[::1]"), Some(("::1".into(), None)));
        assert_eq!(name("fd00::2"), Some(("fd00::2".into(), None)));
    }

    #[test]
    fn what_names_no_target_is_refused() {
        for text in ["", ":80", "a:", "a:0", "a:65536", "a:b", "a b", "[::1]80", "[]:80", "a/b"] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        let read = |text| serde_json::from_str::<Config>(text);
        assert!(read(r#"{"listen":[{"port":80,"to":8080}],"targets":["a"],"proxy_protocol":null}"#).is_ok());
        assert!(read(r#"{"listen":[],"targets":[],"proxy":"v1"}"#).is_err());
        assert!(read(r#"{"listen":[],"targets":[],"proxy_protocol":"v3"}"#).is_err());
    }

    #[test]
    fn one_port_is_listened_on_once() {
        let listen = [Listen { port: 80, to: 1 }, Listen { port: 81, to: 1 }, Listen { port: 80, to: 2 }];
        assert!(check(&listen[..2]).is_ok());
        assert!(matches!(check(&listen), Err(ConfigError::Twice(80))));
    }
}
