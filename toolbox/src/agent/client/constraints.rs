//! The conditions under which an agent is asked to keep a key, in ssh-agent-lib's types.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use ssh_agent_lib::proto::extension::constraint::{DestinationConstraint, HostTuple, KeySpec, RestrictDestination};
use ssh_agent_lib::proto::{Extension, KeyConstraint};
use ssh_agent_lib::ssh_encoding::{Decode as _, Encode as _};
use ssh_agent_lib::ssh_key::public::KeyData;
use ssh_key::{Algorithm, PrivateKey};

/// The conditions under which an agent is to keep a key.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    /// Seconds until it is removed.
    pub lifetime: Option<u32>,
    /// Whether each use has to be confirmed.
    pub confirm: bool,
    /// Where it may be used; empty is everywhere.
    pub destinations: Vec<Hop>,
    /// The library that speaks with the device of a FIDO key; `None` is OpenSSH's own. Other keys have none.
    pub provider: Option<OsString>,
}

/// One permitted hop of `restrict-destination-v00@openssh.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The host that the agent is forwarded to; `None` is the agent's own machine.
    pub from: Option<HopHost>,
    /// The host that is logged in to.
    pub to: HopHost,
    /// The user there; `None` is any.
    pub user: Option<String>,
}

/// A host and how it proves that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopHost {
    /// Its name, which agents only show.
    pub name: String,
    /// Its host keys in SSH's wire form, and whether they are those of an authority that signs its certificates.
    pub keys: Vec<(Vec<u8>, bool)>,
}

impl Constraints {
    /// What stands behind the comment of an add request: nothing where there is no condition. `None` for a host key
    /// that is none.
    pub(super) fn encoded(&self, key: &PrivateKey) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        all.extend(self.lifetime.map(KeyConstraint::Lifetime));
        all.extend(self.confirm.then_some(KeyConstraint::Confirm));
        if !self.destinations.is_empty() {
            let constraints = self.destinations.iter().map(destination).collect::<Option<_>>()?;
            let restriction = Extension::new_key_constraint(RestrictDestination { constraints }).ok()?;
            all.push(KeyConstraint::Extension(restriction));
        }
        if matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) {
            let provider = self.provider.as_deref().unwrap_or(OsStr::new("internal")).as_bytes().to_vec();
            let name = "sk-provider@openssh.com".to_owned();
            all.push(KeyConstraint::Extension(Extension { name, details: provider.into() }));
        }
        let mut bytes = Vec::new();
        all.iter().try_for_each(|constraint| constraint.encode(&mut bytes)).ok()?;
        Some(bytes)
    }
}

fn destination(hop: &Hop) -> Option<DestinationConstraint> {
    let origin = HostTuple { username: String::new(), hostname: String::new(), keys: Vec::new() };
    let from = hop.from.as_ref().map_or(Some(origin), |host| end("", host))?;
    Some(DestinationConstraint { from, to: end(hop.user.as_deref().unwrap_or_default(), &hop.to)? })
}

fn end(user: &str, host: &HopHost) -> Option<HostTuple> {
    let spec = |(blob, is_ca): &(Vec<u8>, bool)| {
        Some(KeySpec { keyblob: KeyData::decode(&mut blob.as_slice()).ok()?, is_ca: *is_ca })
    };
    let keys = host.keys.iter().map(spec).collect::<Option<_>>()?;
    Some(HostTuple { username: user.to_owned(), hostname: host.name.clone(), keys })
}
