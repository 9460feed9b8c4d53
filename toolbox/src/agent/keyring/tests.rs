use ssh_key::PrivateKey;
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};

use super::*;

fn checked(seed: u8, comment: &str) -> Checked {
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
    key.set_comment(comment);
    Checked::new(&key, None).unwrap()
}

fn blob(seed: u8) -> Vec<u8> {
    checked(seed, "").blob
}

/// Nobody behind a forwarding.
fn local() -> Bindings {
    Bindings::default()
}

fn until(expires: Instant) -> Terms {
    Terms { expires: Some(expires), ..Terms::default() }
}

fn digest(keyring: &Keyring, passphrase: &[u8]) -> Option<Digest> {
    keyring.salt().unwrap_or_else(|| Salt::random().unwrap()).digest(passphrase)
}

fn lock(keyring: &mut Keyring, passphrase: &[u8]) -> bool {
    let digest = digest(keyring, passphrase).unwrap();
    keyring.lock(digest)
}

fn unlock(keyring: &mut Keyring, passphrase: &[u8]) -> Result<(), UnlockError> {
    let attempt = digest(keyring, passphrase);
    keyring.unlock(attempt.as_ref())
}

/// A keyring with one key for each seed, its comment being the seed.
fn keyring(seeds: std::ops::Range<u8>, now: Instant) -> Keyring {
    let mut keyring = Keyring::default();
    for seed in seeds {
        keyring.add(checked(seed, &seed.to_string()), Terms::default(), &local(), now).unwrap();
    }
    keyring
}

fn comments(keyring: &mut Keyring, now: Instant) -> Vec<String> {
    let text = |profile: &Profile| String::from_utf8(profile.comment.clone()).unwrap();
    keyring.visible(&local(), now).map(text).collect()
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
    keyring.add(checked(2, "mortal"), until(end), &local(), now).unwrap();
    let before = end - Duration::from_nanos(1);
    assert_eq!(comments(&mut keyring, before), ["1", "mortal"]);
    assert!(keyring.find(&blob(2), before).is_some());
    assert!(keyring.find(&blob(2), end).is_none());
    assert_eq!(comments(&mut keyring, end), ["1"]);
}

#[test]
fn expiry_lets_go_of_the_private_key_even_while_locked() {
    let now = Instant::now();
    let mut keyring = Keyring::default();
    keyring.add(checked(1, ""), until(now + Duration::from_secs(1)), &local(), now).unwrap();
    let held = keyring.entries[0].holder.downgrade();
    assert!(lock(&mut keyring, b"word"));
    keyring.expire(now + Duration::from_secs(1));
    assert_eq!(held.strong_count(), 0);
}

#[test]
fn removal_lets_go_of_the_private_key() {
    let now = Instant::now();
    let mut keyring = keyring(1..4, now);
    let held: Vec<_> = keyring.entries.iter().map(|entry| entry.holder.downgrade()).collect();
    assert!(keyring.remove(&blob(2), &local(), now));
    assert!(!keyring.remove(&blob(2), &local(), now));
    assert_eq!(comments(&mut keyring, now), ["1", "3"]);
    assert!(keyring.remove_all());
    assert!(held.iter().all(|key| key.strong_count() == 0));
}

#[test]
fn adding_again_replaces_comment_and_lifetime_in_place() {
    let now = Instant::now();
    let mut keyring = keyring(1..3, now);
    keyring.add(checked(1, "again"), until(now + Duration::from_secs(1)), &local(), now).unwrap();
    assert_eq!(comments(&mut keyring, now), ["again", "2"]);
    keyring.add(checked(1, "for ever"), Terms::default(), &local(), now).unwrap();
    assert_eq!(comments(&mut keyring, now + Duration::from_secs(1)), ["for ever", "2"]);
}

#[test]
fn while_locked_nothing_is_listed_used_or_changed() {
    let now = Instant::now();
    let mut keyring = keyring(1..3, now);
    assert!(digest(&keyring, b"").is_none(), "an empty passphrase locks nothing");
    assert!(lock(&mut keyring, b"word"));
    assert!(!lock(&mut keyring, b"other"));
    assert_eq!(keyring.visible(&local(), now).count(), 0);
    assert!(keyring.find(&blob(1), now).is_none());
    assert_eq!(keyring.add(checked(9, ""), Terms::default(), &local(), now), Err(AddError::Locked));
    assert!(!keyring.remove(&blob(1), &local(), now));
    assert!(!keyring.remove_all());
    assert_eq!(unlock(&mut keyring, b"word"), Ok(()));
    assert_eq!(comments(&mut keyring, now), ["1", "2"]);
    assert_eq!(unlock(&mut keyring, b"word"), Err(UnlockError::NotLocked));
}

#[test]
fn each_wrong_unlock_waits_longer() {
    let mut keyring = Keyring::default();
    lock(&mut keyring, "wörd\u{0}".as_bytes());
    for failures in 1..=3 {
        let wait = Duration::from_millis(100 * failures);
        assert_eq!(unlock(&mut keyring, b"word"), Err(UnlockError::Wrong(wait)));
    }
    assert_eq!(unlock(&mut keyring, "wörd\u{0}".as_bytes()), Ok(()));
    lock(&mut keyring, b"word");
    assert_eq!(
        unlock(&mut keyring, b"no"),
        Err(UnlockError::Wrong(Duration::from_millis(100))),
        "a new lock counts anew"
    );
}

#[test]
fn a_list_that_clients_could_not_read_is_never_made() {
    let now = Instant::now();
    let mut keyring = keyring(1..2, now);
    let room = LONGEST_LIST - keyring.list_size() - 8 - "comment".len();
    let long = |length| Checked { blob: vec![b'x'; length], ..checked(2, "comment") };
    assert_eq!(keyring.add(long(room + 1), Terms::default(), &local(), now), Err(AddError::Full(1)));
    keyring.add(long(room), Terms::default(), &local(), now).unwrap();
    assert_eq!(keyring.add(checked(3, ""), Terms::default(), &local(), now), Err(AddError::Full(2)));
    let short = Checked { comment: Vec::new(), ..long(room) };
    keyring.add(short, Terms::default(), &local(), now).expect("replacing makes room");
    assert_eq!(LONGEST_LIST - keyring.list_size(), "comment".len());
}

#[test]
fn a_comment_that_is_too_long_is_refused() {
    let (now, mut keyring) = (Instant::now(), Keyring::default());
    let long = checked(1, &"x".repeat(LONGEST_COMMENT + 1));
    let refused = Err(AddError::LongComment(LONGEST_COMMENT + 1));
    assert_eq!(keyring.add(long, Terms::default(), &local(), now), refused);
    keyring.add(checked(1, &"x".repeat(LONGEST_COMMENT)), Terms::default(), &local(), now).unwrap();
}

#[test]
fn the_destinations_of_all_identities_have_one_budget() {
    let (now, mut keyring) = (Instant::now(), Keyring::default());
    let far = |count| {
        let key = destination::HopKey { blob: vec![0; 1024], is_authority: false };
        let to = destination::Hop { user: vec![b'u'; 512], host: vec![b'h'; 512], keys: vec![key] };
        let one = Destination { from: destination::Hop::default(), to };
        Terms { destinations: vec![one; count], ..Terms::default() }
    };
    let half = MOST_DESTINATION_BYTES / far(1).destinations[0].size() / 2;
    keyring.add(checked(1, ""), far(half), &local(), now).unwrap();
    keyring.add(checked(2, ""), far(half), &local(), now).unwrap();
    assert_eq!(keyring.add(checked(3, ""), far(half), &local(), now), Err(AddError::Full(2)));
    keyring.add(checked(2, ""), far(1), &local(), now).expect("replacing makes room");
    keyring.add(checked(3, ""), far(half / 2), &local(), now).unwrap();
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
        assert_eq!(Checked::new(&key, None).err(), Some(AddError::Mismatch));
    }
}

#[test]
fn another_lock_is_not_opened_by_an_attempt_at_the_one_before() {
    let mut keyring = Keyring::default();
    lock(&mut keyring, b"word");
    let attempt = digest(&keyring, b"word");
    unlock(&mut keyring, b"word").unwrap();
    lock(&mut keyring, b"word");
    assert!(keyring.unlock(attempt.as_ref()).is_err());
}

#[test]
fn wiping_empties_even_while_locked() {
    let now = Instant::now();
    let mut keyring = keyring(1..4, now);
    let held: Vec<_> = keyring.entries.iter().map(|entry| entry.holder.downgrade()).collect();
    lock(&mut keyring, b"word");
    keyring.wipe();
    assert!(held.iter().all(|key| key.strong_count() == 0));
    unlock(&mut keyring, b"word").unwrap();
    assert_eq!(keyring.visible(&local(), now).count(), 0);
}

#[test]
fn a_ticket_is_good_for_one_adding_only() {
    let now = Instant::now();
    let mut keyring = keyring(1..3, now);
    let ticket = keyring.find(&blob(1), now).unwrap().ticket;
    assert!(keyring.holder(ticket, now).is_some());
    lock(&mut keyring, b"word");
    assert!(keyring.holder(ticket, now).is_none());
    unlock(&mut keyring, b"word").unwrap();
    keyring.add(checked(1, "again"), Terms::default(), &local(), now).unwrap();
    assert!(keyring.holder(ticket, now).is_none());
    let end = now + Duration::from_secs(1);
    keyring.add(checked(1, "mortal"), until(end), &local(), now).unwrap();
    let ticket = keyring.find(&blob(1), now).unwrap().ticket;
    assert!(keyring.holder(ticket, end).is_none());
}

#[test]
fn what_is_due_next_is_known() {
    let now = Instant::now();
    let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
    let mut keyring = keyring(1..2, now);
    assert_eq!(keyring.due(), None);
    keyring.add(checked(2, ""), until(late), &local(), now).unwrap();
    keyring.add(checked(3, ""), until(soon), &local(), now).unwrap();
    assert_eq!(keyring.due(), Some(soon));
    keyring.expire(soon);
    assert_eq!(keyring.due(), Some(late));
    keyring.expire(late);
    assert_eq!((keyring.due(), keyring.entries.len()), (None, 1));
}

#[test]
fn a_full_table_takes_no_more_and_replaces_still() {
    let now = Instant::now();
    let mut keyring = Keyring::default();
    // As many names for one key, since checking so many keys would take its time.
    let holder = checked(1, "").holder;
    let named = |number: usize| {
        let blob = number.to_be_bytes().to_vec();
        Checked { blob, certified: None, comment: Vec::new(), holder: holder.clone() }
    };
    for number in 0..MOST_IDENTITIES {
        keyring.add(named(number), Terms::default(), &local(), now).unwrap();
    }
    let full = Err(AddError::Full(MOST_IDENTITIES));
    assert_eq!(keyring.add(checked(2, ""), Terms::default(), &local(), now), full);
    keyring.add(named(7), Terms::default(), &local(), now).unwrap();
}
