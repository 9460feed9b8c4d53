use russh::keys::key::safe_rng;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, PrivateKey};

use super::*;

const NOW: u64 = 1_700_000_000;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// A certificate in the making: of key 1, valid around [`NOW`].
fn builder(kind: CertType, principals: &[&str]) -> Builder {
    let public = key(1).public_key().key_data().clone();
    let mut builder = Builder::new_with_random_nonce(&mut safe_rng(), public, NOW - 10, NOW + 10).unwrap();
    builder.cert_type(kind).unwrap();
    match principals {
        [] => builder.all_principals_valid().unwrap(),
        _ => principals.iter().fold(&mut builder, |builder, name| builder.valid_principal(*name).unwrap()),
    };
    builder
}

fn signed(builder: Builder) -> Certificate {
    Certificate::from_blob(&builder.sign(&key(2)).unwrap().to_bytes().unwrap()).unwrap()
}

#[test]
fn a_certificate_says_what_it_certifies_and_who_signed_it() {
    let certificate = signed(builder(CertType::User, &["me"]));
    assert_eq!(certificate.plain_key(), key(1).public_key().to_bytes().unwrap());
    assert_eq!(certificate.authority(), key(2).public_key().to_bytes().unwrap());
    assert_eq!(certificate.type_name(), b"ssh-ed25519-cert-v01@openssh.com");
    assert!(is_certificate(certificate.blob()) && !is_certificate(certificate.plain_key()));
}

#[test]
fn a_host_certificate_vouches_by_name_and_time() {
    #[rustfmt::skip]
    let cases: &[(&[&str], &str, u64, bool)] = &[
        (&["host"],            "host",       NOW,      true),
        (&["other", "host"],   "host",       NOW,      true),
        (&["*.example.com"],   "a.example.com", NOW,   true),
        (&["*.example.com"],   "example.org", NOW,     false),
        (&["host"],            "Host",       NOW,      false),
        (&[],                  "anything",   NOW,      true),
        (&["host"],            "host",       NOW - 10, true),
        (&["host"],            "host",       NOW - 11, false),
        (&["host"],            "host",       NOW + 9,  true),
        (&["host"],            "host",       NOW + 10, false),
    ];
    for (principals, host, now, expected) in cases {
        let certificate = signed(builder(CertType::Host, principals));
        assert_eq!(certificate.vouches_for_host(host.as_bytes(), *now), *expected, "{principals:?} {host} {now}");
    }
}

#[test]
fn a_principal_longer_than_any_name_matches_nothing() {
    for (length, expected) in [(1025, true), (1026, false)] {
        let certificate = signed(builder(CertType::Host, &[&"*".repeat(length)]));
        assert_eq!(certificate.vouches_for_host(b"host", NOW), expected, "{length}");
    }
}

#[test]
fn user_certificates_and_critical_options_vouch_for_no_host() {
    assert!(!signed(builder(CertType::User, &["host"])).vouches_for_host(b"host", NOW));
    let mut with_option = builder(CertType::Host, &["host"]);
    with_option.critical_option("source-address", "::1").unwrap();
    assert!(!signed(with_option).vouches_for_host(b"host", NOW));
}

#[test]
fn every_changed_byte_and_every_cut_is_found_out() {
    let blob = signed(builder(CertType::User, &["me"])).blob().to_vec();
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        assert!(Certificate::from_blob(&changed).is_err(), "byte {at}");
        assert!(Certificate::from_blob(&blob[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(Certificate::from_blob(&[&blob[..], &[0]].concat()), Err(CertificateError::Malformed));
    assert_eq!(Certificate::from_blob(&key(1).public_key().to_bytes().unwrap()), Err(CertificateError::Type));
}

#[test]
fn the_text_of_a_file_is_read_with_or_without_a_comment() {
    let certificate = signed(builder(CertType::User, &["me"]));
    let encoded = Base64::encode_string(certificate.blob());
    let text = format!("ssh-ed25519-cert-v01@openssh.com {encoded}");
    for text in [&text, &format!("{text} a comment\n")] {
        assert_eq!(Certificate::from_openssh(text).as_ref(), Ok(&certificate));
    }
    for text in ["", "ssh-ed25519-cert-v01@openssh.com", "x !", &format!("ssh-rsa-cert-v01@openssh.com {encoded}")] {
        assert_eq!(Certificate::from_openssh(text), Err(CertificateError::Text), "{text}");
    }
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    use crate::agent::FingerprintHash;
    let key = key(7);
    let plain = key.public_key().to_bytes().unwrap();
    let fingerprint = FingerprintHash::Sha256.fingerprint(&plain);
    assert_eq!(fingerprint, key.public_key().fingerprint(HashAlg::Sha256).to_string());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pub");
    std::fs::write(&path, key.public_key().to_openssh().unwrap()).unwrap();
    let all = ["md5", "sha1", "sha256", "sha384", "sha512"].into_iter().zip([
        FingerprintHash::Md5,
        FingerprintHash::Sha1,
        FingerprintHash::Sha256,
        FingerprintHash::Sha384,
        FingerprintHash::Sha512,
    ]);
    for (name, hash) in all {
        let output =
            std::process::Command::new("ssh-keygen").args(["-l", "-E", name, "-f"]).arg(&path).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.split(' ').nth(1), Some(&*hash.fingerprint(&plain)), "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_no_certificate(bytes in proptest::collection::vec(0_u8.., 0..300), kind in 0_usize..7) {
        let mut blob = Vec::new();
        put_string(&mut blob, TYPES[kind].0.as_bytes());
        blob.extend(&bytes);
        proptest::prop_assert!(Certificate::from_blob(&bytes).is_err() && Certificate::from_blob(&blob).is_err());
    }
}
