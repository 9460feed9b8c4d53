//! Verdicts about presented keys, for what may stand on file.

use russh::keys::PrivateKey;
use russh::keys::ssh_key::certificate::Builder;
use russh::keys::ssh_key::private::Ed25519Keypair;

use super::*;

const NOW: u64 = 1_700_000_000;

const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJphuN+18WoyvNeAUK2Pw3kWFHGlJsxVVsZWdUOFvC9rOGpM/TBfu3BIF2MIOQCnQ/k+gsQDB+6jpVzL2HnK16Q=";

fn private(seed: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

fn line(seed: u8) -> String {
    public_key_line(private(seed).public_key())
}

/// The policy for host `web` at `port`, with `text` as its known_hosts.
fn policy_at(port: u16, text: &str) -> HostKeyPolicy {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    policy(port, &[], vec![file.path().to_owned()])
}

fn policy(port: u16, pinned: &[String], known_hosts: Vec<std::path::PathBuf>) -> HostKeyPolicy {
    let target = Target { name: "vm".into(), pinned: pinned.to_vec(), known_hosts, ..Target::new("Web", port, "root") };
    HostKeyPolicy::of(&target).unwrap()
}

/// The verdict on key number `seed` at port 22: `ok`, or the error's name.
fn verdict(text: &str, seed: u8) -> &'static str {
    name(&policy_at(22, text).check_at(&private(seed).public_key().clone().into(), NOW))
}

fn name(verdict: &Result<(), SshError>) -> &'static str {
    match verdict {
        Ok(()) => "ok",
        Err(SshError::HostKeyUnknown(_)) => "unknown",
        Err(SshError::HostKeyChanged(_)) => "changed",
        Err(SshError::HostKeyRevoked(_)) => "revoked",
        Err(SshError::HostCertificateRefused(_)) => "certificate refused",
        Err(_) => "another error",
    }
}

#[test]
fn keys_are_judged_by_what_is_on_file() {
    let (one, two) = (line(1), line(2));
    let table = [
        (String::new(), "unknown"),
        (format!("web {one}"), "ok"),
        (format!("web {one} another comment"), "ok"),
        (format!("web {two}"), "changed"),
        (format!("db {one}"), "unknown"),
        // Several keys of one type, as while a host key is rotated, in either order.
        (format!("web {one}\nweb {two}"), "ok"),
        (format!("web {two}\nweb {one}"), "ok"),
        // A key of another type says nothing about this one.
        (format!("web {ECDSA}"), "unknown"),
        // Revoked wins, wherever it stands.
        (format!("web {one}\n@revoked * {one}"), "revoked"),
        (format!("@revoked web {one}\nweb {one}"), "revoked"),
        (format!("@revoked db {one}\nweb {one}"), "ok"),
        (format!("@revoked * {two}\nweb {one}"), "ok"),
        // An authority's key is not a host's key.
        (format!("@cert-authority web {one}"), "unknown"),
        (format!("web nonsense\nweb {one}"), "ok"),
    ];
    for (text, expected) in table {
        assert_eq!(verdict(&text, 1), expected, "{text}");
    }
}

#[test]
fn another_port_needs_its_line_and_takes_the_plain_one_as_ssh_does() {
    let (one, two) = (line(1), line(2));
    let table = [
        (format!("[web]:2222 {one}"), "ok"),
        (format!("[web]:2200 {one}"), "unknown"),
        (format!("web {one}"), "ok"),
        (format!("web {two}"), "unknown"),
        (format!("web {one}\n[web]:2222 {two}"), "changed"),
        (format!("[web]:2222 {one}\n@revoked web {one}"), "revoked"),
    ];
    for (text, expected) in table {
        let verdict = policy_at(2222, &text).check_at(&private(1).public_key().clone().into(), NOW);
        assert_eq!(name(&verdict), expected, "{text}");
    }
}

#[test]
fn pins_replace_the_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("web {}", line(1))).unwrap();
    let pinned = policy(22, &[line(2)], vec![file.path().to_owned()]);
    assert_eq!(name(&pinned.check_at(&private(2).public_key().clone().into(), NOW)), "ok");
    let refused = pinned.check_at(&private(1).public_key().clone().into(), NOW);
    assert_eq!(name(&refused), "changed");
    assert!(refused.unwrap_err().to_string().contains("toolbox_host_key of vm in the inventory has SHA256:"));
}

#[test]
fn a_pin_of_another_type_is_not_the_one_on_file() {
    let verdict = policy(22, &[ECDSA.to_owned()], vec![]).check_at(&private(1).public_key().clone().into(), NOW);
    assert_eq!(name(&verdict), "changed");
}

#[test]
fn an_unknown_key_comes_with_the_line_that_would_trust_it() {
    let error = policy_at(2222, &format!("\n[web]:2222 {ECDSA}\nnonsense"))
        .check_at(&private(1).public_key().clone().into(), NOW)
        .unwrap_err();
    let hint = error.hint().unwrap();
    let SshError::HostKeyUnknown(unknown) = error else { panic!("{error}") };
    assert_eq!(unknown.line, format!("[web]:2222 {}", line(1)));
    assert_eq!(unknown.fingerprint, private(1).public_key().fingerprint(HashAlg::Sha256).to_string());
    assert_eq!((unknown.files.len(), unknown.other_types.len(), unknown.skipped.len()), (1, 1, 1));
    assert!(hint.contains(&unknown.line) && hint.contains("ssh_host_ed25519_key.pub"), "{hint}");
    assert_eq!(name(&policy_at(2222, &unknown.line).check_at(&private(1).public_key().clone().into(), NOW)), "ok");
}

#[test]
fn a_changed_key_comes_with_every_line_on_file() {
    let error = policy_at(22, &format!("web {}\nweb {}", line(2), line(3)))
        .check_at(&private(1).public_key().clone().into(), NOW)
        .unwrap_err();
    let hint = error.hint().unwrap();
    let SshError::HostKeyChanged(changed) = error else { panic!("{error}") };
    let expected: Vec<_> =
        [2, 3].map(|seed| private(seed).public_key().fingerprint(HashAlg::Sha256).to_string()).into();
    assert_eq!(changed.on_file.iter().map(|(fingerprint, _)| fingerprint.clone()).collect::<Vec<_>>(), expected);
    assert!(hint.contains("line 2 of") && hint.contains("ssh-keygen -R web -f "), "{hint}");
}

#[test]
fn the_type_on_file_is_asked_for_first() {
    let first = |text: &str| policy_at(22, text).algorithms()[0].clone();
    assert_eq!(first(""), Algorithm::Ed25519);
    assert_eq!(first(&format!("web {ECDSA}")), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 });
    assert_eq!(first(&format!("db {ECDSA}")), Algorithm::Ed25519);
    let all = policy_at(22, &format!("web {ECDSA}")).algorithms();
    assert_eq!(all.len(), acceptable_algorithms().len());
    assert!(!all.contains(&Algorithm::Rsa { hash: None }), "never SHA-1");
}

#[test]
fn certificates_are_asked_for_only_where_an_authority_is_on_file() {
    assert!(policy_at(22, &format!("web {}", line(9))).certificate_algorithms().is_empty());
    assert!(policy_at(22, &format!("@cert-authority db {}", line(9))).certificate_algorithms().is_empty());
    assert!(!policy_at(22, &format!("@cert-authority * {}", line(9))).certificate_algorithms().is_empty());
}

/// A certificate for key 1, signed by key 9, changed by `change` before it is signed.
fn certificate(change: impl FnOnce(&mut Builder)) -> Certificate {
    let key = private(1).public_key().key_data().clone();
    let mut builder = Builder::new(vec![7; 16], key, NOW - 10, NOW + 10).unwrap();
    builder.key_id("test").unwrap();
    change(&mut builder);
    builder.sign(&private(9)).unwrap()
}

fn host_certificate(principal: &str) -> Certificate {
    certificate(|builder| {
        builder.cert_type(CertType::Host).unwrap().valid_principal(principal).unwrap();
    })
}

fn certificate_verdict(text: &str, port: u16, certificate: Certificate, now: u64) -> &'static str {
    name(&policy_at(port, text).check_at(&certificate.into(), now))
}

#[test]
fn a_certificate_of_an_authority_on_file_is_accepted_for_its_host() {
    let authority = format!("@cert-authority * {}", line(9));
    for principal in ["web", "WEB", "w*"] {
        assert_eq!(certificate_verdict(&authority, 22, host_certificate(principal), NOW), "ok");
        assert_eq!(certificate_verdict(&authority, 2222, host_certificate(principal), NOW), "ok");
    }
}

#[test]
fn a_certificate_is_refused_when_it_is_not_for_this_host_now() {
    let authority = format!("@cert-authority * {}", line(9));
    let user = certificate(|builder| {
        builder.cert_type(CertType::User).unwrap().valid_principal("web").unwrap();
    });
    let everybody = certificate(|builder| {
        builder.cert_type(CertType::Host).unwrap().all_principals_valid().unwrap();
    });
    let critical = certificate(|builder| {
        builder.cert_type(CertType::Host).unwrap().valid_principal("web").unwrap();
        builder.critical_option("force-command", "x").unwrap();
    });
    let table = [
        (host_certificate("db"), NOW),
        (host_certificate("web"), NOW + 10),
        (host_certificate("web"), NOW - 11),
        (user, NOW),
        (everybody, NOW),
        (critical, NOW),
    ];
    for (certificate, now) in table {
        let shown = format!("{certificate:?} at {now}");
        assert_eq!(certificate_verdict(&authority, 22, certificate, now), "certificate refused", "{shown}");
    }
}

#[test]
fn a_certificate_of_a_stranger_counts_as_its_bare_key() {
    let certificate = || host_certificate("web");
    assert_eq!(certificate_verdict("", 22, certificate(), NOW), "unknown");
    assert_eq!(certificate_verdict(&format!("@cert-authority * {}", line(8)), 22, certificate(), NOW), "unknown");
    assert_eq!(certificate_verdict(&format!("web {}", line(1)), 22, certificate(), NOW), "ok");
    assert_eq!(certificate_verdict(&format!("web {}", line(2)), 22, certificate(), NOW), "changed");
}

#[test]
fn a_revoked_authority_or_key_takes_its_certificates_along() {
    let authority = format!("@cert-authority * {}", line(9));
    for seed in [1, 9] {
        let text = format!("{authority}\n@revoked * {}", line(seed));
        assert_eq!(certificate_verdict(&text, 22, host_certificate("web"), NOW), "revoked", "{seed}");
    }
}
