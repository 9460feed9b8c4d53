use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;

use super::*;
use crate::agent::private_wire::put_string;

pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_string(&mut out, bytes);
    out
}

pub(crate) fn lifetime(seconds: u32) -> Vec<u8> {
    [&[1], &seconds.to_be_bytes()[..]].concat()
}

pub(crate) fn extension(name: &str, details: &[u8]) -> Vec<u8> {
    [&[255], &string(name.as_bytes())[..], details].concat()
}

fn host(seed: u8) -> Vec<u8> {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32])).public_key().to_bytes().unwrap()
}

fn hop_bytes(user: &str, host: &str, extensions: &str, keys: &[(Vec<u8>, u8)]) -> Vec<u8> {
    let mut body = [user, host, extensions].map(|text| string(text.as_bytes())).concat();
    for (key, is_authority) in keys {
        body.extend(string(key));
        body.push(*is_authority);
    }
    body
}

fn origin() -> Vec<u8> {
    hop_bytes("", "", "", &[])
}

fn step(from: &[u8], to: &[u8], extensions: &[u8]) -> Vec<u8> {
    string(&[string(from), string(to), string(extensions)].concat())
}

fn restricted(steps: &[Vec<u8>]) -> Vec<u8> {
    extension("restrict-destination-v00@openssh.com", &string(&steps.concat()))
}

/// To host 7, from where the agent is.
pub(crate) fn destination_constraint() -> Vec<u8> {
    restricted(&[step(&origin(), &hop_bytes("me", "host", "", &[(host(7), 0)]), b"")])
}

fn decoded(bytes: &[u8]) -> Result<Constraints, Refused> {
    Constraints::decode(bytes, Subject::Key)
}

#[test]
fn every_constraint_that_is_enforced_is_read() {
    let provider = extension("sk-provider@openssh.com", &string(b"internal"));
    let bytes = [lifetime(90), vec![2], provider, destination_constraint()].concat();
    let constraints = decoded(&bytes).unwrap();
    assert_eq!(
        constraints.options(),
        AddOptions { lifetime: Some(Duration::from_secs(90)), confirm: true, provider: None }
    );
    assert_eq!(constraints.provider.as_deref(), Some("internal".as_ref()));
    let keys = vec![HopKey { blob: host(7), is_authority: false }];
    let to = Hop { user: b"me".to_vec(), host: b"host".to_vec(), keys };
    assert_eq!(constraints.into_destinations(), [Destination { from: Hop::default(), to }]);
    assert_eq!(decoded(&[]).unwrap(), Constraints::default());
}

#[test]
fn unknown_repeated_and_cut_constraints_refuse_the_key() {
    let provider = extension("sk-provider@openssh.com", &string(b"internal"));
    let certificates = extension("associated-certs-v00@openssh.com", &[vec![0], string(b"")].concat());
    let cases = [
        vec![0],
        vec![3, 0, 0, 0, 1],
        vec![4],
        vec![1, 0],
        vec![255],
        [lifetime(1), lifetime(2)].concat(),
        vec![2, 2],
        [provider.clone(), provider].concat(),
        [destination_constraint(), destination_constraint()].concat(),
        certificates.clone(),
        extension("unknown@example.com", &string(b"")),
        extension("sk-provider@openssh.com", &string(b"a\0b")),
        restricted(&[]),
    ];
    for case in cases {
        assert!(decoded(&case).is_err(), "{case:?}");
    }
    let whole = destination_constraint();
    for cut in 1..whole.len() {
        assert!(decoded(&whole[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Constraints::decode(&certificates, Subject::Token).unwrap().certificates.is_some());
    let provider = extension("sk-provider@openssh.com", &string(b"internal"));
    assert!(Constraints::decode(&provider, Subject::Token).is_err());
}

#[test]
fn destinations_must_be_consistent() {
    let (keys, there) = ([(host(7), 0)], hop_bytes("", "host", "", &[(host(7), 1)]));
    let consistent = [
        step(&origin(), &there, b""),
        step(&hop_bytes("", "from", "", &keys), &there, b""),
        step(&origin(), &hop_bytes("me", "host", "", &[(host(7), 0), (host(8), 1)]), b""),
    ];
    for (number, case) in consistent.into_iter().enumerate() {
        assert!(decoded(&restricted(&[case])).is_ok(), "case {number}");
    }
    let inconsistent = [
        step(&origin(), &origin(), b""),
        step(&origin(), &hop_bytes("", "host", "", &[]), b""),
        step(&origin(), &hop_bytes("", "", "", &keys), b""),
        step(&hop_bytes("me", "", "", &[]), &there, b""),
        step(&hop_bytes("me", "from", "", &keys), &there, b""),
        step(&hop_bytes("", "from", "", &[]), &there, b""),
        step(&hop_bytes("", "", "", &keys), &there, b""),
        step(&origin(), &hop_bytes("", "host", "x", &keys), b""),
        step(&origin(), &there, b"x"),
        step(&origin(), &hop_bytes("", "host", "", &[(b"no key".to_vec(), 0)]), b""),
        string(&[string(&origin()), string(&there), string(b""), string(b"more")].concat()),
    ];
    for (number, case) in inconsistent.into_iter().enumerate() {
        assert!(decoded(&restricted(&[case])).is_err(), "case {number}");
    }
}

#[test]
fn a_destination_longer_than_any_name_is_refused() {
    let (fits, long) = ("h".repeat(1025), "h".repeat(1026));
    for (user, name, is_taken) in [("", &fits, true), (&*fits, &fits, true), ("", &long, false), (&*long, &fits, false)]
    {
        let case = step(&origin(), &hop_bytes(user, name, "", &[(host(7), 0)]), b"");
        assert_eq!(decoded(&restricted(&[case])).is_ok(), is_taken, "{} {}", user.len(), name.len());
    }
}

#[test]
fn there_are_at_most_1024_destinations() {
    let one = step(&origin(), &hop_bytes("", "h", "", &[(host(7), 0)]), b"");
    assert!(decoded(&restricted(&vec![one.clone(); 1024])).is_ok());
    assert_eq!(decoded(&restricted(&vec![one; 1025])), Err(Refused("too many destinations")));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(0_u8.., 0..200), name in 0_usize..3) {
        let names =
            ["restrict-destination-v00@openssh.com", "sk-provider@openssh.com", "associated-certs-v00@openssh.com"];
        let _ = decoded(&bytes);
        for subject in [Subject::Key, Subject::Token] {
            let _ = Constraints::decode(&extension(names[name], &bytes), subject);
            let _ = Constraints::decode(&extension(names[name], &string(&bytes)), subject);
        }
    }

    #[test]
    fn destinations_come_out_as_they_went_in(user in "[a-z*]{0,9}", name in "[a-z.]{1,9}", flags in proptest::collection::vec(0_u8..2, 1..4)) {
        let keys: Vec<_> = flags.iter().map(|flag| (host(*flag), *flag)).collect();
        let bytes = restricted(&[step(&origin(), &hop_bytes(&user, &name, "", &keys), b"")]);
        let destinations = decoded(&bytes).unwrap().into_destinations();
        let to = &destinations[0].to;
        proptest::prop_assert_eq!((&to.user[..], &to.host[..]), (user.as_bytes(), name.as_bytes()));
        let read: Vec<_> = to.keys.iter().map(|key| (key.blob.clone(), u8::from(key.is_authority))).collect();
        proptest::prop_assert_eq!(read, keys);
    }
}
