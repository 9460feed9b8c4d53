use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};
use ssh_key::{EcdsaCurve, PrivateKey};

use super::*;
use crate::agent::keyring::signer::SealedKey;

fn host(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn bind(bindings: &mut Bindings, key: &PrivateKey, session: &[u8], forwarded: bool) -> Result<(), BindError> {
    let signature = SealedKey::seal(key).unwrap().sign(session, 4).unwrap();
    let key = HostKey::from_blob(&key.public_key().to_bytes().unwrap()).unwrap();
    bindings.bind(Binding { key, session: session.to_vec(), forwarded }, &signature)
}

#[test]
fn a_binding_is_recorded_once() {
    let mut bindings = Bindings::default();
    assert!(!bindings.were_tried());
    for _ in 0..3 {
        assert_eq!(bind(&mut bindings, &host(1), b"one", true), Ok(()));
    }
    assert_eq!(bind(&mut bindings, &host(1), b"two", true), Ok(()), "another session with the same host");
    assert_eq!(bindings.recorded().len(), 2);
    assert!(bindings.were_tried() && !bindings.have_failed());
}

#[test]
fn a_session_belongs_to_one_host_key() {
    let mut bindings = Bindings::default();
    bind(&mut bindings, &host(1), b"one", true).unwrap();
    assert_eq!(bind(&mut bindings, &host(2), b"one", true), Err(BindError::OtherKey));
    assert!(bindings.have_failed());
}

#[test]
fn nothing_is_bound_after_a_session_for_authentication() {
    let mut bindings = Bindings::default();
    bind(&mut bindings, &host(1), b"one", false).unwrap();
    for session in [b"one", b"two"] {
        assert_eq!(bind(&mut bindings, &host(1), session, true), Err(BindError::Authentication));
    }
    assert_eq!(bindings.recorded().len(), 1);
}

#[test]
fn a_forwarding_that_is_known_stays_known_after_an_authentication() {
    let mut bindings = Bindings::default();
    bind(&mut bindings, &host(1), b"one", true).unwrap();
    bind(&mut bindings, &host(2), b"two", false).unwrap();
    assert_eq!(bind(&mut bindings, &host(1), b"one", true), Ok(()));
    assert_eq!(bind(&mut bindings, &host(2), b"two", false), Err(BindError::Authentication));
    assert_eq!(bindings.recorded().len(), 2);
}

#[test]
fn sixteen_sessions_can_be_bound_and_no_more() {
    let mut bindings = Bindings::default();
    for session in 1..=16 {
        bind(&mut bindings, &host(1), &[session], true).unwrap();
    }
    assert_eq!(bind(&mut bindings, &host(1), &[1], true), Ok(()), "a known one is none more");
    assert_eq!(bind(&mut bindings, &host(1), &[17], true), Err(BindError::TooMany));
}

#[test]
fn identifiers_have_a_length() {
    for (length, expected) in [(0, false), (1, true), (128, true), (129, false)] {
        let bound = bind(&mut Bindings::default(), &host(1), &vec![1; length], true);
        assert_eq!(bound, if expected { Ok(()) } else { Err(BindError::Session) }, "{length}");
    }
}

#[test]
fn only_the_host_keys_signature_over_the_session_counts() {
    let signature = SealedKey::seal(&host(1)).unwrap().sign(b"session", 0).unwrap();
    let [mut flipped, mut longer] = [signature.clone(), signature.clone()];
    flipped[30] ^= 1;
    longer.push(0);
    for (seed, session, signature) in [
        (2, &b"session"[..], &signature),
        (1, b"other", &signature),
        (1, b"session", &flipped),
        (1, b"session", &longer),
        (1, b"session", &Vec::new()),
    ] {
        let mut bindings = Bindings::default();
        let key = HostKey::from_blob(&host(seed).public_key().to_bytes().unwrap()).unwrap();
        let binding = Binding { key, session: session.to_vec(), forwarded: false };
        assert_eq!(bindings.bind(binding, signature), Err(BindError::Signature));
        assert!(bindings.have_failed() && bindings.recorded().is_empty());
    }
}

#[test]
fn host_keys_of_every_curve_are_verified() {
    let mut rng = russh::keys::key::safe_rng();
    for curve in [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521] {
        let pair = EcdsaKeypair::random(&mut rng, curve).unwrap();
        let key = PrivateKey::new(KeypairData::Ecdsa(pair), "").unwrap();
        assert_eq!(bind(&mut Bindings::default(), &key, b"session", false), Ok(()), "{curve}");
    }
}
