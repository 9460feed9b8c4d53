use super::*;
use crate::agent::private_wire::put_string;

fn key(name: &str) -> Vec<u8> {
    let mut key = Vec::new();
    put_string(&mut key, name.as_bytes());
    put_string(&mut key, b"numbers");
    key
}

/// The parts of a request, to be changed one by one.
#[derive(Clone)]
struct Parts {
    session: Vec<u8>,
    kind: u8,
    user: Vec<u8>,
    service: Vec<u8>,
    method: Vec<u8>,
    signed: u8,
    algorithm: Vec<u8>,
    key: Vec<u8>,
    rest: Vec<u8>,
}

fn parts() -> Parts {
    Parts {
        session: b"session".to_vec(),
        kind: 50,
        user: b"me".to_vec(),
        service: b"ssh-connection".to_vec(),
        method: b"publickey".to_vec(),
        signed: 1,
        algorithm: b"ssh-ed25519".to_vec(),
        key: key("ssh-ed25519"),
        rest: Vec::new(),
    }
}

fn bytes(parts: &Parts) -> Vec<u8> {
    let mut data = Vec::new();
    put_string(&mut data, &parts.session);
    data.push(parts.kind);
    [&parts.user, &parts.service, &parts.method].into_iter().for_each(|field| put_string(&mut data, field));
    data.push(parts.signed);
    [&parts.algorithm, &parts.key].into_iter().for_each(|field| put_string(&mut data, field));
    data.extend(&parts.rest);
    data
}

#[test]
fn both_methods_are_read() {
    let plain = bytes(&parts());
    let expected = UserAuth { session: b"session", user: b"me", host_key: None };
    assert_eq!(UserAuth::parse(&plain, &parts().key), Some(expected));
    let mut hostbound = Parts { method: HOSTBOUND.to_vec(), ..parts() };
    put_string(&mut hostbound.rest, b"host key");
    let hostbound = bytes(&hostbound);
    let read = UserAuth::parse(&hostbound, &parts().key).unwrap();
    assert_eq!(read.host_key, Some(&b"host key"[..]));
}

#[test]
fn a_user_longer_than_any_name_is_refused() {
    for (length, is_read) in [(1025, true), (1026, false)] {
        let data = bytes(&Parts { user: vec![b'u'; length], ..parts() });
        assert_eq!(UserAuth::parse(&data, &parts().key).is_some(), is_read, "{length}");
    }
}

#[test]
fn anything_else_is_refused() {
    let wrong = [
        Parts { session: Vec::new(), ..parts() },
        Parts { kind: 51, ..parts() },
        Parts { user: b"a\0b".to_vec(), ..parts() },
        Parts { service: b"ssh-userauth".to_vec(), ..parts() },
        Parts { method: b"hostbased".to_vec(), ..parts() },
        Parts { method: HOSTBOUND.to_vec(), ..parts() },
        Parts { signed: 0, ..parts() },
        Parts { algorithm: b"ssh-rsa".to_vec(), ..parts() },
        Parts { key: key("ssh-dss"), ..parts() },
        Parts { rest: vec![0], ..parts() },
    ];
    for (number, parts_) in wrong.iter().enumerate() {
        assert_eq!(UserAuth::parse(&bytes(parts_), &parts().key), None, "case {number}");
    }
    let whole = bytes(&parts());
    for cut in 0..whole.len() {
        assert_eq!(UserAuth::parse(&whole[..cut], &parts().key), None, "cut at {cut}");
    }
    assert_eq!(UserAuth::parse(b"SSHSIG", &parts().key), None);
}

#[test]
fn rsa_signs_with_three_algorithms() {
    for suffix in ["", "-cert-v01@openssh.com"] {
        let key = key(&format!("ssh-rsa{suffix}"));
        for (algorithm, fits) in [("ssh-rsa", true), ("rsa-sha2-256", true), ("rsa-sha2-512", true), ("rsa", false)] {
            let algorithm = format!("{algorithm}{suffix}").into_bytes();
            let data = bytes(&Parts { algorithm, key: key.clone(), ..parts() });
            assert_eq!(UserAuth::parse(&data, &key).is_some(), fits);
        }
    }
}

#[test]
fn an_ecdsa_fido_key_signs_as_webauthn_too() {
    let name = "sk-ecdsa-sha2-nistp256@openssh.com";
    let webauthn = format!("webauthn-{name}").into_bytes();
    for (kind, fits) in [(name, true), ("sk-ssh-ed25519@openssh.com", false), ("ecdsa-sha2-nistp256", false)] {
        let data = bytes(&Parts { algorithm: webauthn.clone(), key: key(kind), ..parts() });
        assert_eq!(UserAuth::parse(&data, &key(kind)).is_some(), fits, "{kind}");
    }
}
