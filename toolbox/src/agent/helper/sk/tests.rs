use std::process::Command;
use std::sync::LazyLock;

use ssh_key::PrivateKey;
use tempfile::TempDir;

use super::super::tests::{
    DUMMY, done, fake, frame, helpers, is_missing, script, to_sign, until, verify_by_ssh_keygen,
};
use super::wire::FidoKind;
use super::*;
use crate::agent::askpass::Askpass;
use crate::agent::certificate::Certificate;

mod lies;

/// A key that `ssh-keygen` made on the software device, in wire form; with a certificate if wanted.
fn generated(directory: &TempDir, kind: &str, certified: bool) -> FidoWire {
    let path = |name: &str| directory.path().join(name);
    let keygen = || Command::new("ssh-keygen");
    done(keygen().args(["-q", "-N", "", "-w", DUMMY, "-t", kind, "-f"]).arg(path("key")));
    let key = PrivateKey::read_openssh_file(path("key")).unwrap();
    let mut wire = FidoWire::of(&key).unwrap();
    if certified {
        done(keygen().args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(path("ca")));
        done(keygen().args(["-q", "-I", "id", "-n", "me", "-s"]).arg(path("ca")).arg(path("key.pub")));
        let text = std::fs::read_to_string(path("key-cert.pub")).unwrap();
        wire = wire.certified(&Certificate::from_openssh(&text).unwrap()).unwrap();
    }
    std::fs::remove_file(path("key")).unwrap();
    wire
}

/// A use of an identity that stays, with nobody else asking.
fn alone(settings: &Settings) -> Usage<'_> {
    static QUESTIONS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));
    Usage { settings, purpose: None, questions: &QUESTIONS, is_there: &|| true }
}

fn dummy() -> FidoProvider {
    FidoProvider::allowed(DUMMY.as_bytes(), &Settings::default().allowed_providers).unwrap()
}

/// A key for what never gets as far as a signature.
fn made_up(application: &str) -> FidoKey {
    let mut wire = Vec::new();
    for field in [&b"sk-ssh-ed25519@openssh.com"[..], &POINT, application.as_bytes()] {
        put_string(&mut wire, field);
    }
    wire.push(1);
    put_string(&mut wire, b"a handle");
    put_string(&mut wire, b"");
    let wire = FidoWire::take(&mut wire.as_slice()).unwrap();
    let plain = public_key(&wire.blob).unwrap();
    FidoKey { provider: FidoProvider::Internal, wire, plain }
}

/// Ed25519's base point.
const POINT: [u8; 32] = {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    point
};

#[tokio::test]
async fn the_software_device_signs_and_openssh_verifies() {
    if is_missing(DUMMY) {
        return;
    }
    for program in helpers(Kind::Fido) {
        for kind in ["ed25519-sk", "ecdsa-sk"] {
            for certified in [false, true] {
                let directory = tempfile::tempdir().unwrap();
                let key = FidoKey::new(generated(&directory, kind, certified), dummy()).unwrap();
                assert!(key.wants_touch());
                let data = to_sign(b"message");
                let signature = key.sign_with(&program, &data, &alone(&Settings::default())).await;
                let signature = signature.unwrap_or_else(|error| panic!("{program:?} {kind} {certified}: {error}"));
                verify_by_ssh_keygen(&key.plain, b"message", &signature);
            }
        }
    }
}

#[tokio::test]
async fn a_pin_is_asked_for_in_openssh_s_words_and_reaches_the_helper() {
    let Ok(real) = Program::find(Kind::Fido) else { return };
    if is_missing(DUMMY) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let key = FidoKey::new(generated(&directory, "ed25519-sk", false), dummy()).unwrap();
    let wants_pin = frame(&[&[VERSION, 0, 0, 0, 0][..], &43_u32.to_be_bytes()].concat());
    let real = real.path().display().to_string();
    let first = format!("touch \"$0.first\"; head -c 4 >/dev/null; {wants_pin}; exit");
    let program = fake(&directory, &format!("[ -e \"$0.first\" ] || {{ {first}; }}; tee \"$0.question\" | {real}"));
    let askpass = script(directory.path(), "askpass", r#"printf '%s' "$1" >"$0.question"; echo 2468"#);
    let settings = Settings { askpass: Some(Askpass::program(&askpass)), ..Settings::default() };

    let signature = key.sign_with(&program, &to_sign(b"message"), &alone(&settings)).await.unwrap();
    verify_by_ssh_keygen(&key.plain, b"message", &signature);
    let asked = std::fs::read_to_string(directory.path().join("askpass.question")).unwrap();
    let fingerprint = key.plain.fingerprint(HashAlg::Sha256);
    assert_eq!(asked, format!("Enter PIN and confirm user presence for ED25519-SK key {fingerprint}: "));
    let question = std::fs::read(directory.path().join("helper.question")).unwrap();
    assert!(question.ends_with(b"\0\0\0\x042468"));
}

#[tokio::test]
async fn a_notice_is_terminated_when_the_device_has_answered() {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"trap 'touch "$0.closed"; exit' TERM; echo "$SSH_ASKPASS_PROMPT $1" >"$0.shown"; while :; do sleep 0.01; done"#;
    let program = script(directory.path(), "askpass", text);
    let mut command = tokio::process::Command::new(program);
    command.arg("Confirm user presence").env("SSH_ASKPASS_PROMPT", "none").kill_on_drop(true);
    let notice = notice::Notice::of(command).unwrap();
    let exists = |name: &str| directory.path().join(name).exists();
    until("the notice", || exists("askpass.shown")).await;
    drop(notice);
    until("its end", || exists("askpass.closed")).await;
}

#[test]
fn a_notice_says_what_openssh_s_says() {
    let key = made_up("ssh:");
    let fingerprint = key.plain.fingerprint(HashAlg::Sha256);
    assert_eq!(key.notice(None), format!("Confirm user presence for key ED25519-SK {fingerprint}"));
    assert!(key.notice(Some("for somebody")).ends_with("\nfor somebody"));
}

#[test]
fn a_key_is_taken_from_a_request_and_the_rest_left() {
    let mut request = made_up("ssh:").wire.serialised.to_vec();
    let length = request.len();
    request.extend(b"\0\0\0\x07comment");
    let mut reader = request.as_slice();
    let wire = FidoWire::take(&mut reader).unwrap();
    assert_eq!((wire.kind, wire.flags, wire.application.as_slice()), (FidoKind::Ed25519, 1, &b"ssh:"[..]));
    assert_eq!((&wire.serialised[..], reader), (&request[..length], &b"\0\0\0\x07comment"[..]));
    assert_eq!(public_key(&wire.blob).unwrap().sk_ed25519().unwrap().application(), "ssh:");
    for end in 0..length {
        assert!(FidoWire::take(&mut &request[..end]).is_none(), "{end}");
    }
    assert!(FidoWire::take(&mut &b"\0\0\0\x0bssh-ed25519"[..]).is_none());
}

#[test]
fn a_certificate_of_another_key_is_not_taken() {
    if is_missing(DUMMY) {
        return;
    }
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        let directory = tempfile::tempdir().unwrap();
        let wire = generated(&directory, kind, true);
        let text = |bytes: &[u8]| bytes.windows(4).rposition(|window| window == b"ssh:").unwrap();
        let mut damaged = wire.serialised.to_vec();
        let at = text(&damaged);
        damaged[at] = b'S';
        assert!(FidoWire::take(&mut damaged.as_slice()).is_none(), "{kind}");
        let text = std::fs::read_to_string(directory.path().join("key-cert.pub")).unwrap();
        let other = generated(&tempfile::tempdir().unwrap(), kind, false);
        assert!(other.certified(&Certificate::from_openssh(&text).unwrap()).is_none(), "{kind}");
    }
}
