use ssh_key::private::{Ed25519Keypair, KeypairData};

use super::*;

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_string(&mut out, bytes);
    out
}

/// An add request for an ed25519 key, with these bytes after it.
fn add(kind: u8, after: &[u8]) -> Vec<u8> {
    let mut body = vec![kind];
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&[7; 32]));
    ssh_key::encoding::Encode::encode(&pair, &mut body).unwrap();
    body.extend(string(b"me"));
    body.extend(after);
    body
}

fn lifetime(seconds: u32) -> Vec<u8> {
    [&[1], &seconds.to_be_bytes()[..]].concat()
}

fn constraint(name: &str) -> Vec<u8> {
    [vec![255], string(name.as_bytes()), string(b"")].concat()
}

#[test]
fn a_key_comes_across_whole() {
    let Ok(Request::Add { key, lifetime: None }) = decode(&add(17, &[])) else { panic!("an add request") };
    let expected = Ed25519Keypair::from_seed(&[7; 32]);
    assert_eq!(key.key_data(), &KeypairData::Ed25519(expected));
    assert_eq!(key.comment().as_str_lossy(), "me");
}

#[test]
fn a_constraint_is_enforced_or_the_key_is_refused() {
    assert!(matches!(decode(&add(25, &lifetime(90))), Ok(Request::Add { lifetime: Some(90), .. })));
    assert!(matches!(decode(&add(25, &[])), Ok(Request::Add { lifetime: None, .. })));
    let refused = [
        vec![2],
        vec![3, 0, 0, 0, 1],
        constraint("restrict-destination-v00@openssh.com"),
        constraint("sk-provider@openssh.com"),
        [lifetime(1), lifetime(2)].concat(),
        [lifetime(1), vec![2]].concat(),
        vec![1, 0],
    ];
    for constraints in refused {
        assert!(decode(&add(25, &constraints)).is_err(), "{constraints:?}");
    }
    // The unconstrained form cannot smuggle one in either.
    assert!(decode(&add(17, &lifetime(90))).is_err());
}

#[test]
fn malformed_and_unknown_requests_are_refused() {
    let sign_then_more = [vec![13], string(&string(b"ssh-ed25519")), string(b"x"), vec![0; 5]].concat();
    let cases: [&[u8]; 11] = [
        &[],
        &[0],
        &[1],
        &[200],
        &[255],
        &[9, 0],
        &[11, 0],
        &[22],
        &[22, 0, 0, 0, 9, b'x'],
        &[13, 0, 0, 0, 255],
        &sign_then_more,
    ];
    for case in cases {
        assert!(decode(case).is_err(), "{case:?}");
    }
    for cut in 1..add(17, &[]).len() {
        assert!(decode(&add(17, &[])[..cut]).is_err(), "cut at {cut}");
    }
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
    assert!(decode(&[vec![27], string(b"session-bind@openssh.com")].concat()).is_err());
    assert_eq!(encode(&Answer::Extensions), [vec![29], string(b"query"), string(b"query")].concat());
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_stream_and_one_at_the_limit_does_not() {
    let at = u32::try_from(LONGEST_FRAME).unwrap();
    let whole = [at.to_be_bytes().to_vec(), vec![7; LONGEST_FRAME]].concat();
    let frame = read_frame(&mut whole.as_slice()).await.unwrap().unwrap();
    assert_eq!(frame.len(), LONGEST_FRAME);
    for announced in [at + 1, u32::MAX] {
        assert!(read_frame(&mut announced.to_be_bytes().as_slice()).await.unwrap().is_none());
    }
    assert!(read_frame(&mut [].as_slice()).await.unwrap().is_none());
    assert!(read_frame(&mut whole[..100].as_ref()).await.is_err(), "cut in the middle");
}
