//! Words of apt 1.8 to 3.0, dpkg, dnf and apk.

use super::*;

fn recognised(text: &str) -> Option<Fault> {
    Fault::recognise(&text.lines().map(str::to_owned).collect::<Vec<_>>())
}

#[test]
fn each_fault_is_told_from_the_words_of_the_package_manager() {
    let future = "E: Release file for http://deb.debian.org/debian/dists/trixie/InRelease is not valid yet (invalid for another 3d 2h 1min 5s). Updates for this repository will not be applied.";
    let past = "E: Release file for http://security.debian.org/dists/buster/updates/InRelease is expired (invalid since 800d 1h). Updates for this repository will not be applied.";
    for (text, expected) in [
        (future, "is from the future there"),
        (past, "http://security.debian.org/dists/buster/updates/InRelease (invalid since 800d 1h) has expired"),
        (
            "E: waited 300 s: process 7 (unattended-upgr) holds /var/lib/dpkg/lock-frontend",
            "300 s: process 7 (unattended-upgr)",
        ),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "disk is full"),
        ("tar: write error: No space left on device", "disk is full"),
        (
            "E: The method driver: Clearsigned file isn't valid, got 'NOSPLIT' (does the network require authentication?)",
            "login pages",
        ),
        (
            "W: GPG error: http://a buster InRelease: The following signatures couldn't be verified: NO_PUBKEY AB",
            "signature",
        ),
        ("E: Failed to fetch http://a/x.deb  Hash Sum mismatch", "not the one its signed index names"),
        (
            "E: Failed to fetch http://a/x.deb  File has unexpected size (3 != 4). Mirror sync in progress?",
            "not the one",
        ),
        ("E: Unable to correct problems, you have held broken packages.", "packages on the host stand in the way"),
        ("E: Unmet dependencies. Try 'apt --fix-broken install' with no packages", "broken since before"),
        ("W: Failed to fetch http://a/InRelease  Temporary failure resolving 'a'", "cannot reach its package archive"),
        (
            "W: Failed to fetch http://a/InRelease  503  Service Unavailable [IP: 127.0.0.1 80]",
            "answers 503 Service Unavailable",
        ),
        (
            "E: The repository 'http://a/debian nosuch Release' does not have a Release file.",
            "has no http://a/debian nosuch",
        ),
        ("E: Unable to locate package docker.io", "offer no Docker"),
        ("ERROR: unable to select packages:\n  docker (no such package):", "offer no Docker"),
        ("No match for argument: moby-engine", "offer no Docker"),
        ("WARNING: fetching http://a: temporary error (try again later)", "cannot reach"),
    ] {
        let fault = recognised(text).unwrap_or_else(|| panic!("not recognised: {text}"));
        assert!(fault.to_string().contains(expected), "{text}: {fault}");
        assert!(!fault.hint().is_empty());
    }
    assert_eq!(recognised("E: Sub-process /usr/bin/dpkg returned an error code (1)"), None);
}

#[test]
fn the_cause_is_told_and_not_what_follows_from_it() {
    let behind = "E: Release file for http://a/InRelease is not valid yet (invalid for another 1h).\n\
        E: Package docker.io has no installation candidate";
    assert!(matches!(recognised(behind), Some(Fault::ClockBehind { .. })));
    let offline =
        "W: Failed to fetch http://a/InRelease  Something odd\nE: Package docker.io has no installation candidate";
    assert_eq!(recognised(offline), Some(Fault::NoNetwork));
}
