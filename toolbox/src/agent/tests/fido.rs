//! FIDO keys on a device in software, added and used by OpenSSH's tools and by the Rust API.

use super::*;
use crate::agent::helper::tests::{DUMMY, is_missing};

const KINDS: [&str; 2] = ["ed25519-sk", "ecdsa-sk"];

/// A house with a key `key` of this kind on the device, and a program that asks.
async fn house(kind: &str, settings: Settings) -> House {
    let house = House::with(|directory| {
        let askpass = Some(Askpass::program(&directory.join("askpass")));
        Settings { askpass, ..settings }
    });
    house.generate("key", &[kind, "-w", DUMMY]).await;
    house
}

impl House {
    async fn add_fido(&self, arguments: &[&str]) {
        self.done("ssh-add", &[&["-q", "-S", DUMMY], arguments].concat()).await;
    }

    fn private_key(&self, name: &str) -> Box<PrivateKey> {
        parse(&std::fs::read(self.path(name)).unwrap(), None).unwrap()
    }

    /// What a client sends to add the key of a file, for another application and with these constraints.
    fn add_request(&self, application: &str, constraints: &[u8]) -> Vec<u8> {
        let wire = FidoWire::of(&self.private_key("key")).unwrap().serialised().to_vec();
        let place = wire.windows(8).position(|window| window == string(b"ssh:")).unwrap();
        let (before, after) = (&wire[..place], &wire[place + 8..]);
        [&[25][..], before, &string(application.as_bytes()), after, &string(b"comment"), constraints].concat()
    }
}

/// The constraint that names a provider.
fn provider(name: &str) -> Vec<u8> {
    [&[255][..], &string(b"sk-provider@openssh.com"), &string(name.as_bytes())].concat()
}

#[tokio::test]
async fn openssh_s_tools_add_sign_and_verify_with_keys_and_certificates() {
    if is_missing(DUMMY) {
        return;
    }
    for kind in KINDS {
        let house = house(kind, Settings::default()).await;
        house.generate("authority", TYPES[0]).await;
        house.done("ssh-keygen", &["-q", "-s", "authority", "-I", "me", "-n", "me", "key.pub"]).await;
        house.add_fido(&["key"]).await;
        std::fs::remove_file(house.path("key")).unwrap();
        let held: Vec<_> = house.agent.identities().into_iter().map(|identity| identity.blob).collect();
        assert_eq!(held, [house.blob("key.pub"), house.blob("key-cert.pub")]);
        for file in ["key.pub", "key-cert.pub"] {
            house.done("ssh-add", &["-T", file]).await;
        }
        std::fs::write(house.path("text"), "text").unwrap();
        house.done("ssh-keygen", &["-q", "-Y", "sign", "-f", "key.pub", "-n", "test", "text"]).await;
        let signers = format!("me {}", std::fs::read_to_string(house.path("key.pub")).unwrap());
        std::fs::write(house.path("signers"), signers).unwrap();
        let verify = "ssh-keygen -Y verify -f signers -I me -n test -s text.sig < text";
        assert!(house.done("sh", &["-c", verify]).await.contains("Good \"test\" signature"));
        house.done("ssh-add", &["-q", "-d", "key-cert.pub"]).await;
        assert_eq!(house.agent.identities().len(), 1);
    }
}

#[tokio::test]
async fn each_use_of_a_fido_key_is_confirmed() {
    if is_missing(DUMMY) {
        return;
    }
    let house = house(KINDS[0], Settings::default()).await;
    house.add_fido(&["-c", "key"]).await;
    for (answer, kind) in [("yes", 14), ("no", 5)] {
        // A notice may be shown with the same program.
        let asked = house.path("asked");
        let only = "[ \"$SSH_ASKPASS_PROMPT\" = confirm ] || exit";
        house.askpass(&format!("{only}; printf '%s' \"$1\" > {}; echo {answer}", asked.display()));
        let request = sign(&house.blob("key.pub"), b"data");
        assert_eq!(exchange(&mut house.raw().await, &request).await[0], kind, "{answer}");
        let question = std::fs::read_to_string(&asked).unwrap();
        assert!(question.starts_with("Allow use of key key?"), "{question}");
        std::fs::remove_file(asked).unwrap();
    }
}

#[tokio::test]
async fn a_restricted_fido_key_signs_logins_of_the_bound_session_only() {
    if is_missing(DUMMY) {
        return;
    }
    let house = house(KINDS[1], Settings::default()).await;
    house.generate("one", TYPES[0]).await;
    let known = format!("one {}", std::fs::read_to_string(house.path("one.pub")).unwrap());
    std::fs::write(house.path("known"), known).unwrap();
    house.add_fido(&["-H", "known", "-h", "me@one", "key"]).await;
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &house.login(b"s1", "me", None)).await, [5]);
    assert_eq!(exchange(&mut stream, &house.bind("one", "one.pub", b"s1", false)).await, [6]);
    for (session, user, kind) in [(b"s1", "me", 14), (b"s1", "root", 5), (b"s2", "me", 5)] {
        assert_eq!(exchange(&mut stream, &house.login(session, user, None)).await[0], kind, "{session:?} {user}");
    }
}

#[tokio::test]
async fn a_key_of_a_web_origin_signs_what_looks_like_ssh_only() {
    if is_missing(DUMMY) {
        return;
    }
    let free = Settings { restrict_websafe: false, ..Settings::default() };
    let listed = Settings { websafe_allow: "ssh:*,https://*".to_owned(), ..Settings::default() };
    for (settings, kind) in [(Settings::default(), 5), (free, 14), (listed, 14)] {
        let house = house(KINDS[0], settings).await;
        let mut stream = house.raw().await;
        let request = house.add_request("https://example.com", &provider(DUMMY));
        assert_eq!(exchange(&mut stream, &request).await, [6]);
        let blob = house.agent.identities()[0].blob.clone();
        assert_eq!(exchange(&mut stream, &sign(&blob, b"a web site's challenge")).await[0], kind);
        let signed = ssh_key::SshSig::signed_data("file", HashAlg::Sha256, b"text").unwrap();
        assert_eq!(exchange(&mut stream, &sign(&blob, &signed)).await[0], 14);
    }
}

#[tokio::test]
async fn a_library_that_is_not_listed_or_not_named_is_refused() {
    if is_missing(DUMMY) {
        return;
    }
    let house = house(KINDS[0], Settings::default()).await;
    let copy = house.path("copy.so");
    std::fs::copy(DUMMY, &copy).unwrap();
    let copy = copy.display().to_string();
    assert_eq!(house.fails("ssh-add", &["-q", "-S", &copy, "key"]).await, 1);
    assert_eq!(house.fails("ssh-add", &["-q", "-S", "/usr/lib/no/such.so", "key"]).await, 1);
    let mut stream = house.raw().await;
    assert_eq!(exchange(&mut stream, &house.add_request("ssh:", &[])).await, [5]);
    assert_eq!(house.agent.identities(), []);
    assert_eq!(exchange(&mut stream, &house.add_request("ssh:", &provider(DUMMY))).await, [6]);
}

#[tokio::test]
async fn a_client_that_may_be_remote_loads_no_library() {
    if is_missing(DUMMY) {
        return;
    }
    let allowing = Settings { allow_remote_providers: true, ..Settings::default() };
    for (settings, kind) in [(Settings::default(), 5), (allowing, 6)] {
        let house = house(KINDS[0], settings).await;
        house.generate("one", TYPES[0]).await;
        let mut stream = house.raw().await;
        assert_eq!(exchange(&mut stream, &house.bind("one", "one.pub", b"s1", true)).await, [6]);
        assert_eq!(exchange(&mut stream, &house.add_request("ssh:", &provider(DUMMY))).await, [kind]);
        assert_eq!(exchange(&mut stream, &house.add_request("ssh:", &provider("internal"))).await, [6]);
    }
}

#[tokio::test]
async fn key_files_are_added_with_the_caller_s_provider() {
    if is_missing(DUMMY) {
        return;
    }
    for kind in KINDS {
        let house = house(kind, Settings { allowed_providers: String::new(), ..Settings::default() }).await;
        house.generate("authority", TYPES[0]).await;
        house.done("ssh-keygen", &["-q", "-s", "authority", "-I", "me", "-n", "me", "key.pub"]).await;
        let text = std::fs::read_to_string(house.path("key-cert.pub")).unwrap();
        let certificate = Certificate::from_openssh(&text).unwrap();
        let options = AddOptions { provider: Some(DUMMY.into()), ..AddOptions::default() };
        house.agent.add_with(house.private_key("key"), options.clone()).await.unwrap();
        house.agent.add_certificate(certificate.clone(), house.private_key("key"), options.clone()).await.unwrap();
        for file in ["key.pub", "key-cert.pub"] {
            house.done("ssh-add", &["-T", file]).await;
        }
        house.generate("other", &[kind, "-w", DUMMY]).await;
        let other = house.agent.add_certificate(certificate, house.private_key("other"), options).await;
        assert_eq!(other, Err(AddError::OtherCertificate));
        let options = AddOptions { provider: Some("/no/such.so".into()), ..AddOptions::default() };
        let missing = house.agent.add_with(house.private_key("other"), options).await.unwrap_err().to_string();
        assert!(missing.contains("/no/such.so: no such library"), "{missing}");
    }
}

/// Whether this is a process whose FIDO helper waits for a touch in the directory's `touch`; if not, the test has been
/// run in one.
fn inside(test: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let directory = tempfile::tempdir().unwrap();
    let (path, helper) = (directory.path().display(), directory.path().join("helper"));
    std::process::Command::new("mkfifo").arg(directory.path().join("touch")).status().unwrap();
    let wait = format!(": > {path}/waits; read touch < {path}/touch; exec /usr/lib/openssh/ssh-sk-helper");
    std::fs::write(&helper, format!("#!/bin/sh\n{wait}\n")).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o700)).unwrap();
    let variables = [("SSH_SK_HELPER", helper.as_path()), ("DISPLAY", std::path::Path::new(":none"))];
    again(&format!("fido::{test}"), directory.path(), &variables);
    false
}

#[tokio::test]
async fn a_device_that_waits_for_a_touch_holds_up_nobody_else() {
    if is_missing(DUMMY) || !inside("a_device_that_waits_for_a_touch_holds_up_nobody_else") {
        return;
    }
    let directory = PathBuf::from(std::env::var_os(INSIDE).unwrap());
    let house = House::with(|directory| {
        let askpass = Some(Askpass::program(&directory.join("askpass")));
        Settings { askpass, ..Settings::default() }
    });
    // ssh-keygen makes keys with a helper, too.
    let generate = format!("unset SSH_SK_HELPER; ssh-keygen -q -N '' -w {DUMMY} -t ed25519-sk -f key");
    house.done("sh", &["-c", &generate]).await;
    for name in ["other", "one"] {
        house.generate(name, TYPES[0]).await;
    }
    let known = format!("one {}", std::fs::read_to_string(house.path("one.pub")).unwrap());
    std::fs::write(house.path("known"), known).unwrap();
    house.add_fido(&["-H", "known", "-h", "me@one", "key"]).await;
    house.done("ssh-add", &["-q", "other"]).await;
    let shown = house.path("shown");
    house.askpass(&format!("printf '%s' \"$SSH_ASKPASS_PROMPT: $1\" > {0}.new; mv {0}.new {0}", shown.display()));

    let mut waiting = house.raw().await;
    assert_eq!(exchange(&mut waiting, &house.bind("one", "one.pub", b"s1", false)).await, [6]);
    send(&mut waiting, &house.login(b"s1", "me", None)).await;
    until(|| directory.join("waits").exists() && shown.exists()).await;
    let notice = std::fs::read_to_string(shown).unwrap();
    let purpose = "\npublic key authentication request for user \"me\" to listed host";
    assert!(notice.starts_with("none: Confirm user presence for key ED25519-SK SHA256:"), "{notice}");
    assert!(notice.ends_with(purpose), "{notice}");

    house.done("ssh-add", &["-T", "other.pub"]).await;
    // Its key is gone before the device has signed.
    house.done("ssh-add", &["-q", "-d", "key.pub"]).await;
    std::fs::write(directory.join("touch"), "\n").unwrap();
    assert_eq!(receive(&mut waiting).await.unwrap(), [5]);
    assert_eq!(exchange(&mut waiting, &house.login(b"s1", "me", None)).await, [5]);
}
