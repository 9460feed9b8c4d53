use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};

use super::*;

fn checked(seed: u8, comment: &str) -> Checked {
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
    key.set_comment(comment);
    Checked::new(key).unwrap()
}

fn blob(seed: u8) -> Vec<u8> {
    checked(seed, "").identity.blob
}

/// A keyring with one key for each seed, its comment being the seed.
fn keyring(seeds: std::ops::Range<u8>, now: Instant) -> Keyring {
    let mut keyring = Keyring::default();
    for seed in seeds {
        keyring.add(checked(seed, &seed.to_string()), None, now).unwrap();
    }
    keyring
}

fn comments(keyring: &mut Keyring, now: Instant) -> Vec<String> {
    keyring.identities(now).into_iter().map(|identity| identity.comment).collect()
}

#[test]
fn identities_are_listed_in_the_order_of_adding() {
    let now = Instant::now();
    assert_eq!(comments(&mut keyring(1..4, now), now), ["1", "2", "3"]);
}

#[test]
fn expired_identity_is_not_offered_nor_used() {
    let now = Instant::now();
    let end = now + Duration::from_secs(60);
    let mut keyring = keyring(1..2, now);
    keyring.add(checked(2, "mortal"), Some(end), now).unwrap();
    let before = end - Duration::from_nanos(1);
    assert_eq!(comments(&mut keyring, before), ["1", "mortal"]);
    assert!(keyring.holder(&blob(2), before).is_some());
    assert!(keyring.holder(&blob(2), end).is_none());
    assert_eq!(comments(&mut keyring, end), ["1"]);
}

#[test]
fn expiry_lets_go_of_the_private_key_even_while_locked() {
    let now = Instant::now();
    let mut keyring = Keyring::default();
    keyring.add(checked(1, ""), Some(now + Duration::from_secs(1)), now).unwrap();
    let held = keyring.entries[0].holder.downgrade();
    assert!(keyring.lock(b"word"));
    keyring.expire(now + Duration::from_secs(1));
    assert_eq!(held.strong_count(), 0);
}

#[test]
fn removal_lets_go_of_the_private_key() {
    let now = Instant::now();
    let mut keyring = keyring(1..4, now);
    let held: Vec<_> = keyring.entries.iter().map(|entry| entry.holder.downgrade()).collect();
    assert!(keyring.remove(&blob(2), now));
    assert!(!keyring.remove(&blob(2), now));
    assert_eq!(comments(&mut keyring, now), ["1", "3"]);
    assert!(keyring.remove_all());
    assert!(held.iter().all(|key| key.strong_count() == 0));
}

#[test]
fn adding_again_replaces_comment_and_lifetime_in_place() {
    let now = Instant::now();
    let mut keyring = keyring(1..3, now);
    keyring.add(checked(1, "again"), Some(now + Duration::from_secs(1)), now).unwrap();
    assert_eq!(comments(&mut keyring, now), ["again", "2"]);
    keyring.add(checked(1, "for ever"), None, now).unwrap();
    assert_eq!(comments(&mut keyring, now + Duration::from_secs(1)), ["for ever", "2"]);
}

#[test]
fn while_locked_nothing_is_listed_used_or_changed() {
    let now = Instant::now();
    let mut keyring = keyring(1..3, now);
    assert!(!keyring.lock(b""), "an empty passphrase locks nothing");
    assert!(keyring.lock(b"word"));
    assert!(!keyring.lock(b"other"));
    assert_eq!(keyring.identities(now), []);
    assert!(keyring.holder(&blob(1), now).is_none());
    assert_eq!(keyring.add(checked(9, ""), None, now), Err(AddError::Locked));
    assert!(!keyring.remove(&blob(1), now));
    assert!(!keyring.remove_all());
    assert_eq!(keyring.unlock(b"word"), Ok(()));
    assert_eq!(comments(&mut keyring, now), ["1", "2"]);
    assert_eq!(keyring.unlock(b"word"), Err(UnlockError::NotLocked));
}

#[test]
fn each_wrong_unlock_waits_longer() {
    let mut keyring = Keyring::default();
    keyring.lock("wörd\u{0}".as_bytes());
    for failures in 1..=3 {
        let wait = Duration::from_millis(100 * failures);
        assert_eq!(keyring.unlock(b"word"), Err(UnlockError::Wrong(wait)));
    }
    assert_eq!(keyring.unlock("wörd\u{0}".as_bytes()), Ok(()));
    keyring.lock(b"word");
    assert_eq!(keyring.unlock(b"no"), Err(UnlockError::Wrong(Duration::from_millis(100))), "a new lock counts anew");
}

#[test]
fn a_list_that_clients_could_not_read_is_never_made() {
    let now = Instant::now();
    let mut keyring = keyring(1..2, now);
    let room = LONGEST_LIST - listed(&keyring.entries[0].identity) - listed(&checked(2, "").identity);
    let fits = "x".repeat(room);
    assert_eq!(keyring.add(checked(2, &(fits.clone() + "x")), None, now), Err(AddError::Full(1)));
    keyring.add(checked(2, &fits), None, now).unwrap();
    assert_eq!(keyring.add(checked(3, ""), None, now), Err(AddError::Full(2)));
    keyring.add(checked(2, "short"), None, now).expect("replacing makes room");
    keyring.add(checked(3, ""), None, now).unwrap();
}

#[test]
fn a_key_whose_halves_do_not_match_is_refused() {
    let mut ed25519 = Ed25519Keypair::from_seed(&[1; 32]);
    ed25519.public = Ed25519Keypair::from_seed(&[2; 32]).public;
    let curve = ssh_key::EcdsaCurve::NistP256;
    let mut rng = russh::keys::key::safe_rng();
    let (one, other) = (EcdsaKeypair::random(&mut rng, curve).unwrap(), EcdsaKeypair::random(&mut rng, curve).unwrap());
    let (EcdsaKeypair::NistP256 { public, .. }, EcdsaKeypair::NistP256 { private, .. }) = (one, other) else {
        panic!("the curve is P-256");
    };
    let ecdsa = EcdsaKeypair::NistP256 { public, private };
    for data in [KeypairData::Ed25519(ed25519), KeypairData::Ecdsa(ecdsa)] {
        let key = PrivateKey::new(data, "").unwrap();
        assert_eq!(Checked::new(key).err(), Some(AddError::Mismatch));
    }
}
