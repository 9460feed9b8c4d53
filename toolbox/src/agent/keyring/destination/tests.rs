use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;

use super::*;
use crate::agent::keyring::bindings::Binding;
use crate::agent::keyring::signer::SealedKey;

const NOW: u64 = 1_700_000_000;

fn host(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn blob(seed: u8) -> Vec<u8> {
    host(seed).public_key().to_bytes().unwrap()
}

/// A connection that came over these hosts; `true` is a forwarding.
fn bound(hops: &[(u8, bool)]) -> Bindings {
    let mut bindings = Bindings::default();
    for (number, (seed, forwarded)) in hops.iter().enumerate() {
        let session = vec![u8::try_from(number).unwrap() + 1; 32];
        let signature = SealedKey::seal(&host(*seed)).unwrap().sign(&session, 0).unwrap();
        let key = HostKey::from_blob(&blob(*seed)).unwrap();
        bindings.bind(Binding { key, session, forwarded: *forwarded }, &signature).unwrap();
    }
    bindings
}

fn hop(seed: u8, user: &str) -> Hop {
    let keys = vec![HopKey { blob: blob(seed), is_authority: false }];
    Hop { user: user.into(), host: format!("host{seed}").into(), keys }
}

/// A step between hosts; 0 is the origin.
fn step(from: u8, to: u8, user: &str) -> Destination {
    let from = if from == 0 { Hop::default() } else { hop(from, "") };
    Destination { from, to: hop(to, user) }
}

/// What it is about, the constraints, the bindings, the user, and whether it is permitted.
type Case<'a> = (&'a str, &'a [Destination], &'a [(u8, bool)], Option<&'a str>, bool);

#[test]
fn hops_are_permitted_as_in_openssh() {
    let direct = vec![step(0, 1, "")];
    let users = vec![step(0, 1, "ro*")];
    let over = vec![step(0, 1, ""), step(1, 2, "admin")];
    let two_starts = vec![step(0, 1, ""), step(0, 2, "")];
    let (anyone, root, admin) = (None, Some("root"), Some("admin"));
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("no constraints at all",           &[],         &[(9, true), (8, false)], root,   true),
        ("listed here",                     &direct,     &[],                      anyone, true),
        ("to its host",                     &direct,     &[(1, false)],            anyone, true),
        ("to its host, signing",            &direct,     &[(1, false)],            root,   true),
        ("to another host",                 &direct,     &[(2, false)],            anyone, false),
        ("to another host, signing",        &direct,     &[(2, false)],            root,   false),
        ("not to be used beyond its host",  &direct,     &[(1, true)],             anyone, false),
        ("signing on a forwarding",         &direct,     &[(1, true)],             root,   false),
        ("beyond its host",                 &direct,     &[(1, true), (2, false)], root,   false),
        ("the user fits",                   &users,      &[(1, false)],            root,   true),
        ("the user does not fit",           &users,      &[(1, false)],            admin,  false),
        ("no user when listing",            &users,      &[(1, false)],            anyone, true),
        ("listed where it can go on",       &over,       &[(1, true)],             anyone, true),
        ("listed for the second host",      &over,       &[(1, true), (2, false)], anyone, true),
        ("signing for the second host",     &over,       &[(1, true), (2, false)], admin,  true),
        ("another user there",              &over,       &[(1, true), (2, false)], root,   false),
        ("the second host is the last",     &over,       &[(1, true), (2, true)],  anyone, false),
        ("the second host is no first one", &over,       &[(2, false)],            admin,  false),
        ("not in the other order",          &over,       &[(2, true), (1, false)], root,   false),
        ("two starts make no way",          &two_starts, &[(1, true), (2, false)], root,   false),
    ];
    for (name, constraints, hops, user, expected) in cases {
        let user = user.map(str::as_bytes);
        assert_eq!(permitted(constraints, &bound(hops), user, NOW), *expected, "{name}");
    }
}

#[test]
fn after_a_failed_binding_nothing_constrained_is_there() {
    for hops in [&[][..], &[(1, false)], &[(1, true)]] {
        let mut bindings = bound(hops);
        bindings.fail();
        assert!(!permitted(&[step(0, 1, ""), step(1, 2, "")], &bindings, None, NOW));
        assert!(permitted(&[], &bindings, None, NOW));
    }
}

#[test]
fn a_plain_key_is_not_its_own_authority() {
    let mut constraint = step(0, 1, "");
    constraint.to.keys[0].is_authority = true;
    assert!(!permitted(&[constraint], &bound(&[(1, false)]), None, NOW));
}
