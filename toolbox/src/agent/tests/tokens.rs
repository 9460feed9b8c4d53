//! A PKCS#11 token in software, loaded and used by OpenSSH's tools. Its library finds it by a variable that the helper
//! inherits from the agent's process, so that each test runs in a process of its own.

use super::*;
use crate::agent::helper::tests::{PIN, SOFTHSM, is_missing, token};

/// Whether this is the process for the test; if not, it has been run in one, unless nothing is installed.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !is_missing(SOFTHSM) {
        let token = token();
        let settings = token.path().join("softhsm2.conf");
        again(&format!("tokens::{test}"), token.path(), &[("SOFTHSM2_CONF", &settings)]);
    }
    false
}

/// A file of the token's directory.
fn file(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(INSIDE).unwrap()).join(name)
}

/// The token's helpers that this process has started and not collected.
fn helpers() -> usize {
    let is_ours = |stat: &str| {
        let (before, after) = stat.rsplit_once(") ")?;
        let parent = after.split(' ').nth(1)?;
        (before.contains("(ssh-pkcs11-help") && parent == std::process::id().to_string()).then_some(())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    stats.filter_map(|stat| is_ours(&stat)).count()
}

impl House {
    async fn load_token(&self, arguments: &[&str]) {
        self.answer(PIN);
        self.done("ssh-add", &[&["-q"], arguments, &["-s", SOFTHSM]].concat()).await;
    }

    fn comments(&self) -> Vec<String> {
        self.agent.identities().into_iter().map(|identity| identity.comment).collect()
    }
}

/// A request to add a token, with constraints.
fn add_token(constraints: &[u8]) -> Vec<u8> {
    [&[26][..], &string(SOFTHSM.as_bytes()), &string(PIN.as_bytes()), constraints].concat()
}

#[tokio::test]
async fn ssh_add_loads_signs_with_and_removes_a_token() {
    if !inside("ssh_add_loads_signs_with_and_removes_a_token") {
        return;
    }
    let house = House::new();
    house.load_token(&[]).await;
    assert_eq!(helpers(), 1);
    let listed = house.done("ssh-add", &["-L"]).await;
    assert!(listed.lines().count() >= 4 && listed.contains(" key 384"), "{listed}");
    std::fs::write(house.path("text"), "text").unwrap();
    for line in listed.lines() {
        std::fs::write(house.path("one.pub"), line).unwrap();
        house.done("ssh-add", &["-T", "one.pub"]).await;
        house.done("ssh-keygen", &["-q", "-Y", "sign", "-f", "one.pub", "-n", "test", "text"]).await;
        std::fs::write(house.path("signers"), format!("me {line}\n")).unwrap();
        house.done("sh", &["-c", "ssh-keygen -Y verify -f signers -I me -n test -s text.sig < text"]).await;
        std::fs::remove_file(house.path("text.sig")).unwrap();
    }
    house.done("ssh-add", &["-q", "-d", "one.pub"]).await;
    assert_eq!(house.fails("ssh-add", &["-q", "-s", SOFTHSM]).await, 1, "its helper runs, for the other keys");
    house.done("ssh-add", &["-q", "-e", SOFTHSM]).await;
    assert_eq!(house.agent.identities(), []);
    until(|| helpers() == 0).await;
    house.done("ssh-add", &["-q", "-e", SOFTHSM]).await;
    assert_eq!(house.fails("ssh-add", &["-q", "-e", "/usr/lib/no/such.so"]).await, 1);
    house.load_token(&[]).await;
    assert_eq!(house.done("ssh-add", &["-L"]).await, listed);
}

#[tokio::test]
async fn the_helper_ends_with_its_last_identity() {
    if !inside("the_helper_ends_with_its_last_identity") {
        return;
    }
    let house = House::new();
    house.load_token(&[]).await;
    house.done("ssh-add", &["-q", "-D"]).await;
    until(|| helpers() == 0).await;
    house.load_token(&["-t", "1"]).await;
    let blobs: Vec<_> = house.agent.identities().into_iter().map(|identity| identity.blob).collect();
    assert!(blobs.len() >= 4 && helpers() == 1);
    until(|| house.agent.identities().is_empty() && helpers() == 0).await;
    house.load_token(&[]).await;
    let mut stream = house.raw().await;
    for (number, blob) in blobs.iter().enumerate() {
        assert_eq!(helpers(), 1, "{number} were removed");
        assert_eq!(exchange(&mut stream, &[&[18][..], &string(blob)].concat()).await, [6]);
    }
    until(|| helpers() == 0).await;
}

#[tokio::test]
async fn a_wrong_pin_and_a_library_that_is_not_listed_load_nothing() {
    if !inside("a_wrong_pin_and_a_library_that_is_not_listed_load_nothing") {
        return;
    }
    let house = House::new();
    house.answer("13579");
    assert_eq!(house.fails("ssh-add", &["-q", "-s", SOFTHSM]).await, 1);
    until(|| helpers() == 0).await;
    house.load_token(&[]).await;
    let strict = House::with(|_| Settings { allowed_providers: "/usr/lib/other/*".to_owned(), ..Settings::default() });
    strict.answer(PIN);
    assert_eq!(strict.fails("ssh-add", &["-q", "-s", SOFTHSM]).await, 1);
    assert_eq!(strict.fails("ssh-add", &["-q", "-c", "-s", SOFTHSM]).await, 1);
    assert_eq!((strict.agent.identities(), helpers()), (Vec::new(), 1));
    let unasked = House::new();
    assert_eq!(exchange(&mut unasked.raw().await, &add_token(&[2])).await, [5], "nobody could confirm");
    assert_eq!(helpers(), 1);
}

#[tokio::test]
async fn a_client_that_may_be_remote_loads_no_token() {
    if !inside("a_client_that_may_be_remote_loads_no_token") {
        return;
    }
    for (allow_remote_providers, kind) in [(false, 5), (true, 6)] {
        let house = House::with(|_| Settings { allow_remote_providers, ..Settings::default() });
        house.generate("one", TYPES[0]).await;
        let mut stream = house.raw().await;
        assert_eq!(exchange(&mut stream, &house.bind("one", "one.pub", b"s1", true)).await, [6]);
        assert_eq!(exchange(&mut stream, &add_token(&[])).await, [kind]);
        assert_eq!(house.agent.identities().is_empty(), !allow_remote_providers);
    }
}

#[tokio::test]
async fn what_is_there_already_is_not_replaced() {
    if !inside("what_is_there_already_is_not_replaced") {
        return;
    }
    let house = House::new();
    for name in ["256", "2048"] {
        let mut key = parse(&std::fs::read(file(name)).unwrap(), None).unwrap();
        key.set_comment(format!("mine {name}"));
        house.agent.add(key, None).await.unwrap();
    }
    house.load_token(&[]).await;
    let comments = house.comments();
    assert_eq!(comments[..2], ["mine 256", "mine 2048"]);
    assert!(comments.len() >= 4 && !comments.contains(&"key 256".to_owned()), "{comments:?}");
    house.done("ssh-add", &["-q", "-e", SOFTHSM]).await;
    assert_eq!(house.comments(), ["mine 256", "mine 2048"]);
}

#[tokio::test]
async fn certificates_of_a_token_s_keys_sign_and_can_stand_alone() {
    if !inside("certificates_of_a_token_s_keys_sign_and_can_stand_alone") {
        return;
    }
    let house = House::new();
    house.generate("authority", TYPES[0]).await;
    let public = file("384.pub");
    house.done("ssh-keygen", &["-q", "-s", "authority", "-I", "me", "-n", "me", public.to_str().unwrap()]).await;
    std::fs::copy(file("384-cert.pub"), house.path("key-cert.pub")).unwrap();
    let certificate = house.blob("key-cert.pub");
    let associated = |only: u8| {
        let name = string(b"associated-certs-v00@openssh.com");
        [&[255][..], &name, &[only], &string(&string(&certificate))].concat()
    };
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &add_token(&associated(1))).await, [6]);
    let blobs = |agent: &Agent| agent.identities().into_iter().map(|identity| identity.blob).collect::<Vec<_>>();
    assert_eq!(blobs(&house.agent), std::slice::from_ref(&certificate));
    house.done("ssh-add", &["-T", "key-cert.pub"]).await;
    house.agent.remove_all();
    assert_eq!(exchange(&mut stream, &add_token(&associated(0))).await, [6]);
    let blobs = blobs(&house.agent);
    let place = blobs.iter().position(|blob| *blob == certificate).unwrap();
    assert_eq!(Certificate::from_blob(&certificate).unwrap().plain_key(), blobs[place + 1]);
}

#[tokio::test]
async fn a_locked_agent_neither_loads_nor_removes_a_token() {
    if !inside("a_locked_agent_neither_loads_nor_removes_a_token") {
        return;
    }
    let house = House::new();
    house.load_token(&[]).await;
    house.done("ssh-add", &["-q", "-x"]).await;
    assert_eq!(house.fails("ssh-add", &["-q", "-s", SOFTHSM]).await, 1);
    assert_eq!(house.fails("ssh-add", &["-q", "-e", SOFTHSM]).await, 1);
    house.done("ssh-add", &["-q", "-X"]).await;
    assert!(house.agent.identities().len() >= 4);
}

#[tokio::test]
async fn paths_that_clients_name_are_looked_at_one_at_a_time() {
    use crate::agent::protocol::LOOKING;
    let house = House::new();
    // As if one hung.
    let turn = LOOKING.acquire().await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut stream = house.raw().await;
        send(&mut stream, &[&[21][..], &string(b"/no/such.so"), &string(b"")].concat()).await;
        waiting.push(stream);
    }
    assert_eq!(exchange(&mut house.raw().await, &[22, 0, 0, 0, 1, b'a']).await, [6], "others go on");
    assert_eq!(exchange(&mut house.raw().await, &[23, 0, 0, 0, 1, b'a']).await, [6], "others go on");
    for stream in &waiting {
        assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    drop(turn);
    for mut stream in waiting {
        assert_eq!(receive(&mut stream).await.unwrap(), [5]);
    }
}
