use ssh_agent_lib::proto;
use ssh_agent_lib::ssh_encoding::Encode as _;
use ssh_key::private::{Ed25519Keypair, KeypairData};

use super::*;
use crate::agent::private_wire::private_key;
use crate::agent::protocol::constraints::tests::{destination_constraint, extension as constraint, lifetime, string};

/// An add request for an ed25519 key, with these bytes after it.
fn add(kind: u8, after: &[u8]) -> Vec<u8> {
    let mut body = vec![kind];
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&[7; 32]));
    ssh_key::encoding::Encode::encode(&pair, &mut body).unwrap();
    body.extend(string(b"me"));
    body.extend(after);
    body
}

#[test]
fn a_key_comes_across_whole() {
    let Ok(Request::Add(request)) = decode(&add(17, &[])) else { panic!("an add request") };
    let key = private_key(&request.pair, request.comment).unwrap();
    assert_eq!(key.key_data(), &KeypairData::Ed25519(Ed25519Keypair::from_seed(&[7; 32])));
    assert_eq!(key.comment().as_bytes(), b"me");
    assert!(request.certificate.is_none() && request.constraints == Constraints::default());
}

#[test]
fn constraints_come_with_the_constrained_form_only() {
    let all = [lifetime(90), vec![2], destination_constraint()].concat();
    let Ok(Request::Add(request)) = decode(&add(25, &all)) else { panic!("an add request") };
    assert!(request.constraints.options().confirm);
    assert!(decode(&add(25, &[])).is_ok());
    assert!(decode(&add(17, &lifetime(90))).is_err());
    assert!(decode(&add(25, &constraint("sk-provider@openssh.com", &string(b"internal")))).is_err());
}

#[test]
fn tokens_are_read_with_their_pin() {
    let body = [string(b"/usr/lib/token.so"), string(b"1234")].concat();
    let Ok(Request::RemoveToken(token)) = decode(&[&[21][..], &body].concat()) else { panic!("a token") };
    assert_eq!((token.provider.as_os_str(), token.pin.as_slice()), ("/usr/lib/token.so".as_ref(), &b"1234"[..]));
    let certificates = constraint("associated-certs-v00@openssh.com", &[vec![1], string(b"")].concat());
    let constrained = [&[26][..], &body, &certificates, &lifetime(9)].concat();
    let Ok(Request::AddToken(request)) = decode(&constrained) else { panic!("a token") };
    assert!(request.constraints.certificates.is_some_and(|certificates| certificates.only));
    assert!(matches!(decode(&[&[20][..], &body].concat()), Ok(Request::AddToken(_))));
    assert!(decode(&[&[20][..], &body, &lifetime(9)].concat()).is_err());
    assert!(decode(&[&[21][..], &body, &[0]].concat()).is_err());
    assert!(decode(&[vec![20], string(b"a\0b"), string(b"")].concat()).is_err());
}

#[test]
fn malformed_and_unknown_requests_are_refused() {
    let sign_then_more = [vec![13], string(&string(b"ssh-ed25519")), string(b"x"), vec![0; 5]].concat();
    let cases: [&[u8]; 16] = [
        &[],
        &[0],
        &[1],
        &[200],
        &[255],
        &[9, 0],
        &[11, 0],
        &[19, 0],
        &[20],
        &[22],
        &[22, 0, 0, 0, 9, b'x'],
        &[23, 0, 0, 0, 0, 0],
        &[13, 0, 0, 0, 255],
        &[27],
        &[27, 0, 0, 0, 1, b'x'],
        &sign_then_more,
    ];
    for case in cases {
        assert!(decode(case).is_err(), "{case:?}");
    }
    for cut in 1..add(17, &[]).len() {
        assert!(decode(&add(17, &[])[..cut]).is_err(), "cut at {cut}");
    }
    let mut with_zero = vec![17];
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&[7; 32]));
    ssh_key::encoding::Encode::encode(&pair, &mut with_zero).unwrap();
    with_zero.extend(string(b"a\0b"));
    assert!(decode(&with_zero).is_err());
}

#[test]
fn passphrases_need_not_be_text() {
    let body = [vec![22], string(&[0xff, 0, 0xfe])].concat();
    assert!(matches!(decode(&body), Ok(Request::Lock(passphrase)) if *passphrase == [0xff, 0, 0xfe]));
}

#[test]
fn every_form_of_remove_all_is_known() {
    for kind in [9, 19] {
        assert!(matches!(decode(&[kind]), Ok(Request::RemoveAll)));
    }
}

#[test]
fn query_is_answered_in_the_form_that_openssh_reads() {
    assert!(matches!(decode(&[vec![27], string(b"query")].concat()), Ok(Request::Query)));
    let names = [string(b"query"), string(b"query"), string(b"session-bind@openssh.com")].concat();
    assert_eq!(encode(&Answer::Extensions).body(), [vec![29], names].concat());
}

#[test]
fn answers_are_those_of_the_draft() {
    assert_eq!(encode(&Answer::Failure).body(), [5]);
    assert_eq!(encode(&Answer::Success).body(), [6]);
    assert_eq!(encode(&Answer::Signature(b"blob".to_vec())).body(), [vec![14], string(b"blob")].concat());
}

#[test]
fn bindings_are_read_to_the_last_byte() {
    let key = ssh_key::PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32])).public_key().to_bytes().unwrap();
    let body = [string(&key), string(b"session"), string(b"signature"), vec![1]].concat();
    let (read, signature) = binding(&body).unwrap();
    assert_eq!((read.key.blob(), read.session.as_slice(), read.forwarded), (&key[..], &b"session"[..], true));
    assert_eq!(signature, b"signature");
    for cut in 0..body.len() {
        assert_eq!(binding(&body[..cut]), Err(BindError::Malformed), "cut at {cut}");
    }
    assert_eq!(binding(&[&body[..], &[0]].concat()), Err(BindError::Malformed));
    let unknown = [string(b"key"), string(b"session"), string(b"signature"), vec![1]].concat();
    assert_eq!(binding(&unknown), Err(BindError::HostKey));
}

/// An independent implementation's request, in bytes.
fn written_by_ssh_agent_lib(request: &proto::Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes).unwrap();
    bytes
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(0_u8.., 0..300), kind in 0_u8..30) {
        let _ = decode(&bytes);
        let _ = decode(&[&[kind][..], &bytes].concat());
        let _ = decode(&[&[kind][..], &string(&bytes)].concat());
        let _ = binding(&bytes);
    }

    #[test]
    fn an_independent_implementations_requests_are_understood(
        point in proptest::array::uniform32(0_u8..),
        data in proptest::collection::vec(0_u8.., 0..100),
        flags in 0_u32..,
    ) {
        let blob = [string(b"ssh-ed25519"), string(&point)].concat();
        let mut reader = blob.as_slice();
        let key = ssh_agent_lib::ssh_encoding::Decode::decode(&mut reader).unwrap();
        let credential = proto::PublicCredential::Key(key);
        let sign = proto::SignRequest { credential: credential.clone(), data: data.clone(), flags };
        let bytes = written_by_ssh_agent_lib(&proto::Request::SignRequest(sign));
        let Ok(Request::Sign(read)) = decode(&bytes) else { panic!("a sign request") };
        proptest::prop_assert_eq!((&read.blob, read.data, read.flags), (&blob, data, flags));
        let remove = proto::Request::RemoveIdentity(proto::RemoveIdentity { credential });
        let read = decode(&written_by_ssh_agent_lib(&remove));
        let is_the_same = matches!(read, Ok(Request::Remove { blob: read }) if read == blob);
        proptest::prop_assert!(is_the_same);
    }
}
