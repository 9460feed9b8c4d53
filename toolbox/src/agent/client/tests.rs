use super::*;

/// A client whose agent answers once with these bytes and hangs up.
fn answered(bytes: &[u8]) -> Client {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(bytes).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    // It is kept open for reading, so that the question can be sent.
    std::thread::spawn(move || io::copy(&mut theirs, &mut io::sink()));
    ours.into()
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

#[test]
fn answers_that_lie_are_malformed_and_allocate_nothing() {
    let longest = u32::try_from(LONGEST_FRAME).unwrap();
    for bytes in [
        (longest + 1).to_be_bytes().to_vec(),
        frame(&[]),
        frame(&[12]),
        frame(&[12, 255, 255, 255, 255]),
        frame(&[12, 0, 0, 0, 1, 0, 0, 0, 9, 1]),
        frame(&[6]),
    ] {
        assert!(matches!(answered(&bytes).list(), Err(ClientError::Malformed)), "{bytes:?}");
    }
    assert!(matches!(answered(&frame(&[5])).list(), Err(ClientError::Refused)));
    assert!(matches!(answered(&[0, 0]).list(), Err(ClientError::Broken(_))));
    assert_eq!(answered(&frame(&[12, 0, 0, 0, 0])).list().unwrap(), []);
    assert!(matches!(answered(&frame(&[6, 6])).remove_all(), Err(ClientError::Malformed)));
}

#[test]
fn a_hop_is_written_as_openssh_reads_it() {
    let blob = [frame(b"ssh-ed25519"), frame(&[7; 32])].concat();
    let to = HopHost { name: "b".into(), keys: vec![(blob.clone(), true)] };
    let hop = Hop { from: None, to, user: Some("u".into()) };
    let constraints = Constraints { lifetime: Some(7), confirm: true, destinations: vec![hop], provider: None };
    let from = frame(&[0; 12]);
    let to = frame(&[&frame(b"u")[..], &frame(b"b"), &frame(&[]), &frame(&blob), &[1]].concat());
    let hops = frame(&[from, to, frame(&[])].concat());
    let expected = [&[1, 0, 0, 0, 7, 2, 255][..], &frame(b"restrict-destination-v00@openssh.com"), &frame(&hops)];
    let seed = ssh_key::private::Ed25519Keypair::from_seed(&[1; 32]);
    let key = PrivateKey::from(seed);
    assert_eq!(constraints.encoded(&key).unwrap(), expected.concat());
    assert!(Constraints::default().encoded(&key).unwrap().is_empty());
}
