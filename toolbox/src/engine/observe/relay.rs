//! Whom a relay sends to: what it was told last, which it keeps in a file, else what it was made with.

use std::collections::BTreeSet;

use bollard::models::ContainerInspectResponse;
use serde::Deserialize;

use crate::engine::EngineError;
use crate::engine::questions::Answer;
use crate::image::first_file;

/// Where a relay keeps what it was told.
const STATE: &str = "/state/relay.json";
/// More than a relay ever writes there.
const MOST: u64 = 1024 * 1024;

/// What a relay was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The first 12 digits of containers' ids.
    pub(super) targets: BTreeSet<String>,
    /// TCP ports that it listens on, where it says so.
    pub(super) listen: Option<BTreeSet<u16>>,
}

/// Where to ask a relay's container, running or not.
pub(super) fn path(id: &str) -> String {
    format!("/containers/{id}/archive?path={STATE}")
}

/// Reads its answer; a relay that nobody told anything has no such file.
pub(super) fn told(answer: Answer, inspected: &ContainerInspectResponse) -> Result<Told, EngineError> {
    let file = match answer.body("reading what a relay was told") {
        Ok(tarball) => first_file(&tarball, MOST).ok().flatten(),
        Err(missing) if missing.is_not_found() => None,
        Err(other) => return Err(other),
    };
    let environment = inspected.config.as_ref().and_then(|config| config.env.as_ref());
    let mut made_with = environment.into_iter().flatten().filter_map(|line| line.strip_prefix("RELAY_CONFIG="));
    let made_with = made_with.next().and_then(|text| read(text.as_bytes()));
    Ok(file.as_deref().and_then(read).or(made_with).unwrap_or_default())
}

#[derive(Deserialize)]
struct Listen {
    port: u16,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    targets: BTreeSet<String>,
    listen: Option<Vec<Listen>>,
}

fn read(text: &[u8]) -> Option<Told> {
    let File { targets, listen } = serde_json::from_slice(text).ok()?;
    Some(Told { targets, listen: listen.map(|all| all.iter().map(|l| l.port).collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_relay_was_told_is_read_and_what_is_no_such_file_is_not() {
        let told = read(br#"{"targets":["b","a"],"listen":[{"port":80,"to":80}],"more":1}"#).unwrap();
        assert_eq!(told.targets, BTreeSet::from(["a".into(), "b".into()]));
        assert_eq!(told.listen, Some(BTreeSet::from([80])));
        assert_eq!(read(br#"{"targets":[]}"#), Some(Told::default()));
        assert_eq!(read(b"{\"targets\":["), None);
    }
}
