use super::*;

const CERTIFIED: &str = "-cert";

fn key(number: u8) -> PublicKey {
    let mut blob = vec![0, 0, 0, 11];
    blob.extend(b"ssh-ed25519");
    blob.extend([0, 0, 0, 32]);
    blob.extend([number; 32]);
    PublicKey::from_bytes(&blob).unwrap()
}

/// `1` is the key of this number, `1-cert` its certificate, `?` something that is not known.
fn listed(name: &str) -> Listed {
    let number = || name.trim_end_matches(CERTIFIED).parse().unwrap();
    let comment = name.to_owned();
    match name {
        "?" => Listed::Unknown { algorithm: "ssh-new".into(), comment },
        _ if name.ends_with(CERTIFIED) => {
            let certificate = certificate(&key(number()));
            Listed::Usable(Box::new(AgentIdentity::Certificate { certificate, comment }))
        }
        _ => Listed::Usable(Box::new(AgentIdentity::PublicKey { key: key(number()), comment })),
    }
}

fn certificate(key: &PublicKey) -> russh::keys::Certificate {
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::private::{Ed25519Keypair, PrivateKey};
    let authority = PrivateKey::from(Ed25519Keypair::from_seed(&[9; 32]));
    let mut builder = Builder::new([7; 16], key.key_data().clone(), 1, u64::MAX >> 2).unwrap();
    builder.all_principals_valid().unwrap();
    builder.sign(&authority).unwrap()
}

fn order(identities: &[&str], named: &[u8]) -> Vec<String> {
    let named: Vec<PublicKey> = named.iter().copied().map(key).collect();
    let sorted = in_order(identities.iter().map(|name| listed(name)).collect(), &named);
    let name = |listed: Listed| match listed {
        Listed::Usable(identity) => identity.comment().to_owned(),
        Listed::Unknown { comment, .. } => comment,
    };
    sorted.into_iter().map(name).collect()
}

#[test]
fn without_a_named_key_the_agents_order_stays() {
    assert_eq!(order(&["3", "1", "2"], &[]), ["3", "1", "2"]);
    assert_eq!(order(&[], &[1]), [] as [&str; 0]);
}

#[test]
fn certificates_come_right_before_their_keys() {
    assert_eq!(order(&["1", "2", "1-cert", "3-cert"], &[]), ["1-cert", "1", "2", "3-cert"]);
}

#[test]
fn named_keys_come_first_in_the_order_of_naming_and_unknown_types_last() {
    assert_eq!(order(&["?", "1", "2", "3", "2-cert"], &[3, 2]), ["3", "2-cert", "2", "1", "?"]);
    assert_eq!(order(&["1", "2"], &[4]), ["1", "2"], "a named key that is not there changes nothing");
}
