//! Hosts that pass images on to others.

use super::*;
use crate::inventory::Seed;

fn seed(host: &str, address: &str, port: u16) -> Option<Seed> {
    Some(Seed { host: host.into(), address: address.into(), port })
}

#[test]
fn a_seed_may_stand_with_the_group_that_holds_it() {
    let inventory = inventory(
        "all:\n  vars: {toolbox_seed: a}\n  hosts:\n    a: {}\n    b: {ansible_host: 192.0.2.2}\n    \
         c: {toolbox_seed_address: '[2001:db8::1]:7600'}\n    d: {toolbox_seed: ''}\n",
    );
    let of = |host: &str| inventory.hosts[host].seed.clone();
    assert_eq!((of("a"), of("b")), (None, seed("a", "192.0.2.2", 0)));
    assert_eq!((of("c"), of("d")), (seed("a", "2001:db8::1", 7600), None));
    assert_eq!(Inventory::single("h").unwrap().hosts["h"].seed, None);
}

#[test]
fn a_seed_that_passes_nothing_on_is_refused() {
    for (text, said) in [
        (
            "all: {hosts: {web01: {}, b: {toolbox_seed: web1}}}\n",
            "all.hosts.b.toolbox_seed: \"web1\" is no host of the inventory (did you mean web01?)",
        ),
        (
            "all: {hosts: {a: {}, b: {toolbox_seed: a}, c: {toolbox_seed: b}}}\n",
            "all.hosts.c.toolbox_seed: b has a seed itself (a), so it passes nothing on (write a)",
        ),
        (
            "all: {hosts: {a: {}, b: {toolbox_seed: a, toolbox_seed_address: 10.0.0.0/8}}}\n",
            "all.hosts.b.toolbox_seed_address: must be an address, such as 10.0.0.2 or 10.0.0.2:7600, \
             not \"10.0.0.0/8\"",
        ),
    ] {
        assert!(read(text).unwrap_err().contains(said), "{}", read(text).unwrap_err());
    }
}
