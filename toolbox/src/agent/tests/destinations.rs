//! Destination constraints as `ssh-add -h` makes them, and connections bound to sessions with real host keys.

use super::*;
use russh::keys::signature::Signer as _;
use ssh_key::encoding::Encode as _;

/// Hosts `one`, `two` (a certificate's) and `three`, and a key that may go to `one` as `me`, and over `one` to `two`.
async fn restricted() -> House {
    let house = House::with(|directory| {
        let askpass = Some(Askpass::program(&directory.join("askpass")));
        Settings { askpass, ..Settings::default() }
    });
    for name in ["key", "free", "one", "three", "authority"] {
        house.generate(name, TYPES[0]).await;
    }
    house.generate("two", TYPES[3]).await;
    house.done("ssh-keygen", &["-q", "-s", "authority", "-I", "two", "-h", "-n", "two", "two.pub"]).await;
    let text = |name: &str| std::fs::read_to_string(house.path(name)).unwrap();
    let known = format!("one {}@cert-authority two {}", text("one.pub"), text("authority.pub"));
    std::fs::write(house.path("known"), known).unwrap();
    let arguments = ["-q", "-H", "known", "-h", "me@one", "-h", "one>two", "key"];
    house.done("ssh-add", &arguments).await;
    house.done("ssh-add", &["-q", "free"]).await;
    house
}

impl House {
    fn signed(&self, name: &str, data: &[u8]) -> Vec<u8> {
        let key = parse(&std::fs::read(self.path(name)).unwrap(), None).unwrap();
        let signature: Signature = key.key_data().try_sign(data).unwrap();
        let mut blob = Vec::new();
        signature.encode(&mut blob).unwrap();
        blob
    }

    /// A binding to the host `name` that shows the key or certificate in `file`.
    pub(super) fn bind(&self, name: &str, file: &str, session: &[u8], forwarded: bool) -> Vec<u8> {
        let parts = [&b"session-bind@openssh.com"[..], &self.blob(file), session, &self.signed(name, session)];
        let body = parts.iter().map(|part| string(part)).collect::<Vec<_>>().concat();
        [&[27][..], &body, &[u8::from(forwarded)]].concat()
    }

    /// A request to sign a login of `user`, naming the host key in `file` if there is one.
    pub(super) fn login(&self, session: &[u8], user: &str, file: Option<&str>) -> Vec<u8> {
        let blob = self.blob("key.pub");
        let method = if file.is_some() { "publickey-hostbound-v00@openssh.com" } else { "publickey" };
        let head = [user, "ssh-connection", method].map(|text| string(text.as_bytes())).concat();
        let host = file.map_or_else(Vec::new, |file| string(&self.blob(file)));
        let algorithm = private_wire::take_string(&mut blob.as_slice()).unwrap();
        let tail = [string(algorithm), string(&blob), host].concat();
        sign(&blob, &[&string(session)[..], &[50], &head, &[1], &tail].concat())
    }
}

/// How many identities a connection sees.
async fn seen(stream: &mut UnixStream) -> u8 {
    let answer = exchange(stream, &[11]).await;
    answer[4]
}

#[tokio::test]
async fn an_unbound_connection_sees_a_restricted_key_and_cannot_use_it() {
    let house = restricted().await;
    let mut stream = house.raw().await;
    assert_eq!(seen(&mut stream).await, 2);
    assert_eq!(exchange(&mut stream, &sign(&house.blob("key.pub"), b"data")).await, [5]);
    assert_eq!(exchange(&mut stream, &house.login(b"s1", "me", None)).await, [5]);
    assert_eq!(exchange(&mut stream, &sign(&house.blob("free.pub"), b"data")).await[0], 14);
}

#[tokio::test]
async fn at_its_destination_a_key_signs_logins_of_the_bound_session_only() {
    let house = restricted().await;
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &house.bind("one", "one.pub", b"s1", false)).await, [6]);
    assert_eq!(seen(&mut stream).await, 2);
    for (request, kind) in [
        (house.login(b"s1", "me", None), 14),
        (house.login(b"s1", "me", Some("one.pub")), 14),
        (house.login(b"s2", "me", None), 5),
        (house.login(b"s1", "root", None), 5),
        (house.login(b"s1", "me", Some("three.pub")), 5),
        (sign(&house.blob("key.pub"), b"data"), 5),
        (sign(&house.blob("free.pub"), b"data"), 14),
    ] {
        assert_eq!(exchange(&mut stream, &request).await[0], kind);
    }
}

#[tokio::test]
async fn elsewhere_a_restricted_key_is_neither_seen_nor_removed_nor_replaced() {
    let house = restricted().await;
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &house.bind("three", "three.pub", b"s1", false)).await, [6]);
    assert_eq!(seen(&mut stream).await, 1);
    assert_eq!(exchange(&mut stream, &house.login(b"s1", "me", None)).await, [5]);
    assert_eq!(exchange(&mut stream, &[&[18][..], &string(&house.blob("key.pub"))].concat()).await, [5]);
    let key = parse(&std::fs::read(house.path("key")).unwrap(), None).unwrap();
    let mut add = vec![17];
    key.key_data().encode(&mut add).unwrap();
    add.extend(string(b"again"));
    assert_eq!(exchange(&mut stream, &add).await, [5]);
    assert_eq!(exchange(&mut house.raw().await, &add).await, [6], "from here it can be");
    assert_eq!(seen(&mut stream).await, 2, "and has no restriction then");
}

#[tokio::test]
async fn two_hops_are_followed_to_a_host_with_a_certificate() {
    let house = restricted().await;
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &house.bind("one", "one.pub", b"s1", true)).await, [6]);
    assert_eq!(seen(&mut stream).await, 2);
    assert_eq!(exchange(&mut stream, &house.login(b"s1", "me", Some("one.pub"))).await, [5], "a forwarding signs not");
    assert_eq!(exchange(&mut stream, &house.bind("two", "two-cert.pub", b"s2", false)).await, [6]);
    assert_eq!(exchange(&mut stream, &house.login(b"s2", "anyone", Some("two-cert.pub"))).await[0], 14);
    assert_eq!(exchange(&mut stream, &house.login(b"s2", "anyone", None)).await, [5], "the host key must be named");
    assert_eq!(exchange(&mut stream, &house.login(b"s1", "anyone", Some("two-cert.pub"))).await, [5]);
    let mut plain = house.raw().await;
    exchange(&mut plain, &house.bind("one", "one.pub", b"s1", true)).await;
    assert_eq!(exchange(&mut plain, &house.bind("two", "two.pub", b"s2", false)).await, [6]);
    assert_eq!(seen(&mut plain).await, 1, "the plain key is not certified");
}

#[tokio::test]
async fn host_keys_of_every_type_and_their_certificates_bind() {
    let house = House::new();
    house.generate("authority", TYPES[1]).await;
    for (number, kind) in TYPES.iter().enumerate() {
        let (name, public) = (format!("k{number}"), format!("k{number}.pub"));
        house.generate(&name, kind).await;
        house.done("ssh-keygen", &["-q", "-s", "authority", "-I", "x", "-h", "-n", "host", &public]).await;
        for file in [public, format!("{name}-cert.pub")] {
            let mut stream = house.raw().await;
            assert_eq!(exchange(&mut stream, &house.bind(&name, &file, b"session", true)).await, [6], "{file}");
            let mut wrong = house.bind(&name, &file, b"session", true);
            let at = wrong.len() - 20;
            wrong[at] ^= 1;
            assert_eq!(exchange(&mut stream, &wrong).await, [5], "{file}");
        }
    }
}

#[tokio::test]
async fn a_failed_binding_hides_what_is_restricted_even_while_locked() {
    let house = restricted().await;
    let good = house.bind("one", "one.pub", b"s1", false);
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &good[..good.len() - 1]).await, [5]);
    assert_eq!(seen(&mut stream).await, 1);
    exchange(&mut stream, &good).await;
    assert_eq!(seen(&mut stream).await, 1, "a later one does not help");
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &[22, 0, 0, 0, 1, b'a']).await, [6]);
    assert_eq!(exchange(&mut stream, &good).await, [5]);
    assert_eq!(exchange(&mut stream, &[23, 0, 0, 0, 1, b'a']).await, [6]);
    assert_eq!(seen(&mut stream).await, 1);
    assert_eq!(seen(&mut house.raw().await).await, 2, "other connections are as they were");
}

#[tokio::test]
async fn a_question_names_what_a_restricted_key_is_used_for() {
    let house = restricted().await;
    house.done("ssh-add", &["-q", "-c", "-H", "known", "-h", "me@one", "key"]).await;
    house.askpass(&format!("printf '%s' \"$1\" > {}", house.path("asked").display()));
    let mut stream = house.raw().await;
    exchange(&mut stream, &house.bind("one", "one.pub", b"s1", false)).await;
    assert_eq!(exchange(&mut stream, &house.login(b"s1", "root", None)).await, [5]);
    assert!(!house.path("asked").exists(), "nobody is asked for what is not permitted");
    assert_eq!(exchange(&mut stream, &house.login(b"s1", "me", None)).await[0], 14);
    let asked = std::fs::read_to_string(house.path("asked")).unwrap();
    let purpose = "public key authentication request for user \"me\" to listed host";
    assert_eq!(asked.lines().nth(2), Some(purpose), "{asked}");
}
