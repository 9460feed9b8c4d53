//! A host given on the command line, without an inventory.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use indexmap::{IndexMap, IndexSet};

use super::host::{is_address, is_user};
use super::{BecomeMethod, EngineSettings, Host, Inventory, InventoryError, PackageProxy};

impl Inventory {
    /// The inventory of one host, written as `[user@]address[:port]` or `ssh://[user@]address[:port]`; an IPv6
    /// address with a port stands in brackets. The host is called by its address.
    ///
    /// # Errors
    /// [`InventoryError::Spec`].
    pub fn single(spec: &str) -> Result<Self, InventoryError> {
        let host = parse(spec).map_err(|reason| InventoryError::Spec { reason })?;
        let names = IndexSet::from([host.name.clone()]);
        Ok(Self {
            groups: IndexMap::from([("all".into(), names.clone()), ("ungrouped".into(), names)]),
            hosts: IndexMap::from([(host.name.clone(), host)]),
            warnings: Vec::new(),
        })
    }
}

fn parse(spec: &str) -> Result<Host, &'static str> {
    let rest = match spec.strip_prefix("ssh://") {
        Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
        None if spec.contains("://") => return Err("only ssh:// URLs are known"),
        None => spec,
    };
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password cannot be given; use a key");
    }
    if user.is_some_and(|user| !is_user(user)) {
        return Err("the user is not valid");
    }
    let (address, port) = split_port(place)?;
    if !is_address(address) {
        return Err("the address is not valid");
    }
    Ok(Host {
        name: address.to_owned(),
        address: address.to_owned(),
        port,
        user: user.map(str::to_owned),
        become_root: false,
        become_method: BecomeMethod::default(),
        become_password: None,
        ssh_args: Vec::new(),
        host_keys: Vec::new(),
        socket: None,
        engine: EngineSettings::default(),
        package_proxy: PackageProxy::default(),
        seed: None,
        private_key_file: None,
        variables: BTreeMap::new(),
    })
}

fn split_port(place: &str) -> Result<(&str, u16), &'static str> {
    if let Some(rest) = place.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        if address.split('%').next().is_none_or(|ip| ip.parse::<Ipv6Addr>().is_err()) {
            return Err("only an IPv6 address stands in brackets");
        }
        return match rest {
            "" => Ok((address, 22)),
            _ => Ok((address, port(rest.strip_prefix(':').ok_or("text after the bracket")?)?)),
        };
    }
    match place.split_once(':') {
        None => Ok((place, 22)),
        Some((_, rest)) if rest.contains(':') => Ok((place, 22)),
        Some((address, number)) => Ok((address, port(number)?)),
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| *port > 0 && digits).ok_or("the port must be from 1 to 65535")
}

#[cfg(test)]
mod tests {
    use crate::inventory::Inventory;

    fn show(spec: &str) -> String {
        let inventory = Inventory::single(spec).unwrap_or_else(|e| panic!("{spec}: {e}"));
        let host = inventory.hosts.values().next().unwrap();
        assert_eq!(host.name, host.address);
        assert!(inventory.groups["all"].contains(&host.name));
        format!("{} {} {}", host.user.as_deref().unwrap_or("-"), host.address, host.port)
    }

    #[test]
    fn hosts_are_written_in_many_ways() {
        for (spec, expected) in [
            ("example.org", "- example.org 22"),
            ("root@10.0.0.1", "root 10.0.0.1 22"),
            ("deploy@vm:2222", "deploy vm 2222"),
            ("ssh://root@host:23", "root host 23"),
            ("ssh://host/", "- host 22"),
            ("[::1]:2022", "- ::1 2022"),
            ("me@[fe80::1%eth0]", "me fe80::1%eth0 22"),
            ("::1", "- ::1 22"),
            ("me@2001:db8::5", "me 2001:db8::5 22"),
        ] {
            assert_eq!(show(spec), expected, "{spec}");
        }
    }

    #[test]
    fn malformed_hosts_are_refused_without_repeating_them() {
        for (spec, reason) in [
            ("", "the address is not valid"),
            ("@host", "the user is not valid"),
            ("-oProxyCommand=x", "the address is not valid"),
            ("-l@host", "the user is not valid"),
            ("host:0", "the port must be from 1 to 65535"),
            ("host:+22", "the port must be from 1 to 65535"),
            ("host:", "the port must be from 1 to 65535"),
            ("host:99999", "the port must be from 1 to 65535"),
            ("http://host", "only ssh:// URLs are known"),
            ("ssh://u:secret@host", "a password cannot be given; use a key"),
            ("ssh://host/path", "the address is not valid"),
            ("[::1", "the bracket is not closed"),
            ("[::1]22", "text after the bracket"),
            ("[host]:22", "only an IPv6 address stands in brackets"),
            ("a b", "the address is not valid"),
            ("1:2:3", "the address is not valid"),
        ] {
            let said = Inventory::single(spec).unwrap_err().to_string();
            assert!(said.ends_with(reason) && !said.contains("secret"), "{spec}: {said}");
        }
    }
}
