use ssh_key::PrivateKey;
use ssh_key::certificate::Builder;
use ssh_key::private::Ed25519Keypair;

use super::*;
use crate::agent::protocol::constraints::tests::string;

const ED25519: &[u8] = b"sk-ssh-ed25519@openssh.com";
const ECDSA: &[u8] = b"sk-ecdsa-sha2-nistp256@openssh.com";
/// P-256's generator.
const POINT: [u8; 65] = {
    let mut point = [0; 65];
    let hex = b"046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let mut at = 0;
    while at < 65 {
        point[at] = digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]);
        at += 1;
    }
    point
};

const fn digit(letter: u8) -> u8 {
    if letter <= b'9' { letter - b'0' } else { letter - b'a' + 10 }
}

/// A FIDO key as `ssh-add` sends it, with something behind it.
fn security_key(public: &[&[u8]], application: &[u8]) -> Vec<u8> {
    let public = public.iter().map(|field| string(field)).collect::<Vec<_>>().concat();
    [public, string(application), vec![1], string(b"handle"), string(b""), b"behind".to_vec()].concat()
}

#[test]
fn fido_keys_are_read_with_their_public_key() {
    let point = Ed25519Keypair::from_seed(&[1; 32]).public.0;
    let cases: [&[&[u8]]; 2] = [&[ED25519, &point], &[ECDSA, b"nistp256", &POINT]];
    for public in cases {
        let bytes = security_key(public, b"ssh:work");
        let mut reader = bytes.as_slice();
        let Credential::SecurityKey(key) = Credential::take(&mut reader).unwrap() else { panic!("a FIDO key") };
        assert_eq!(reader, b"behind");
        let plain = public.iter().chain(&[&b"ssh:work"[..]]).map(|field| string(field)).collect::<Vec<_>>().concat();
        assert_eq!((key.blob(), key.plain_key()), (&plain[..], &plain[..]));
        for cut in 1..bytes.len() - b"behind".len() {
            assert!(Credential::take(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
    assert!(Credential::take(&mut security_key(&[b"sk-new@openssh.com", &point], b"ssh:").as_slice()).is_err());
}

#[test]
fn certified_fido_keys_are_read_with_their_certificate() {
    let point = Ed25519Keypair::from_seed(&[1; 32]).public.0;
    let plain: [&[&[u8]]; 2] = [&[ED25519, &point, b"ssh:"], &[ECDSA, b"nistp256", &POINT, b"ssh:"]];
    for (fields, repeated) in plain.into_iter().zip([Some(point), None]) {
        let blob = fields.iter().map(|field| string(field)).collect::<Vec<_>>().concat();
        let key = crate::agent::certificate::public_key(&blob).unwrap();
        let mut builder = Builder::new(vec![1; 16], key, 0, 9).unwrap();
        builder.all_principals_valid().unwrap();
        let authority = PrivateKey::from(Ed25519Keypair::from_seed(&[2; 32]));
        let certificate = builder.sign(&authority).unwrap().to_bytes().unwrap();
        let name = take_string(&mut certificate.as_slice()).unwrap().to_vec();
        let repeated = repeated.map_or_else(Vec::new, |point| string(&point));
        let head = [string(&name), string(&certificate), repeated].concat();
        let bytes = [&head[..], &string(b"ssh:"), &[1], &string(b"handle"), &string(b"")].concat();
        let Ok(Credential::SecurityKey(key)) = Credential::take(&mut bytes.as_slice()) else { panic!("a FIDO key") };
        assert_eq!((key.plain_key(), key.blob()), (&blob[..], &certificate[..]));
        let other = [&head[..], &string(b"ssh:other"), &[1], &string(b"handle"), &string(b"")].concat();
        assert!(Credential::take(&mut other.as_slice()).is_err(), "another application than the certificate's");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(0_u8.., 0..200), kind in 0_usize..6) {
        let names = [
            ED25519,
            ECDSA,
            b"ssh-ed25519-cert-v01@openssh.com",
            b"ssh-rsa-cert-v01@openssh.com",
            b"sk-ssh-ed25519-cert-v01@openssh.com",
            b"ecdsa-sha2-nistp521",
        ];
        let _ = Credential::take(&mut bytes.as_slice());
        let _ = Credential::take(&mut [string(names[kind]), bytes.clone()].concat().as_slice());
        let _ = Credential::take(&mut [string(names[kind]), string(&bytes)].concat().as_slice());
    }
}
