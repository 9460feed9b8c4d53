use std::path::Path;
use std::process::Command;

use ssh_key::private::Ed25519Keypair;
use tempfile::TempDir;

use super::super::tests::{PIN, SOFTHSM, done, helpers, is_missing, script, to_sign, token, verify_by_ssh_keygen};
use super::*;

mod lies;

fn softhsm() -> Library {
    Library::allowed(SOFTHSM.as_bytes(), "/usr/lib*/*").unwrap()
}

/// The helper, pointed at the token.
fn pointed(program: &Program, token: &TempDir) -> Program {
    let settings = token.path().join("softhsm2.conf");
    let text = format!("SOFTHSM2_CONF={} exec {}", settings.display(), program.path().display());
    Program::at(script(token.path(), "helper", &text))
}

fn is_gone(token: &Path) -> bool {
    std::fs::read_to_string(token).is_ok_and(|pid| !Path::new(&format!("/proc/{}", pid.trim())).exists())
}

#[tokio::test]
async fn a_token_s_keys_sign_and_openssh_verifies() {
    if is_missing(SOFTHSM) {
        return;
    }
    let token = token();
    for program in helpers(Kind::Token) {
        let pointed = pointed(&program, &token);
        let (provider, keys) = TokenProvider::load_with(&pointed, softhsm(), PIN.as_bytes()).await.unwrap();
        let labels: Vec<_> = keys.iter().map(TokenKey::label).collect();
        for label in ["key 2048", "key 256", "key 384", "key 521"] {
            assert!(labels.contains(&label), "{program:?}: {labels:?}");
        }
        for key in &keys {
            for flags in [2, 4, 6] {
                let signature = key.sign(&to_sign(b"message"), flags).await;
                let signature = signature.unwrap_or_else(|error| panic!("{program:?} {}: {error}", key.label));
                verify_by_ssh_keygen(&key.plain, b"message", &signature);
            }
            // OpenSSH's tools verify no SHA-1; what comes back was verified here.
            let signature = key.sign(b"message", 0).await.unwrap();
            let name = take_string(&mut &*signature).unwrap();
            assert_eq!(name, take_string(&mut &*key.blob).unwrap(), "{program:?}");
        }
        // Helpers to 10.0 know no such keys.
        assert_eq!(labels.contains(&"key ed25519"), provider.dialect == Dialect::Message, "{program:?}");
        assert!(provider.is_alive());
    }
}

#[tokio::test]
async fn rsa_s_hash_is_the_flags() {
    if is_missing(SOFTHSM) {
        return;
    }
    let token = token();
    for program in helpers(Kind::Token) {
        let pointed = pointed(&program, &token);
        let (_provider, keys) = TokenProvider::load_with(&pointed, softhsm(), PIN.as_bytes()).await.unwrap();
        let rsa = keys.iter().find(|key| key.plain.is_rsa()).unwrap();
        for (flags, name) in
            [(0, "ssh-rsa"), (2, "rsa-sha2-256"), (4, "rsa-sha2-512"), (6, "rsa-sha2-256"), (8, "ssh-rsa")]
        {
            let signature = rsa.sign(b"data", flags).await.unwrap();
            assert_eq!(take_string(&mut &*signature).unwrap(), name.as_bytes(), "{program:?} {flags}");
        }
    }
}

#[tokio::test]
async fn a_wrong_pin_and_a_library_that_is_none_are_named() {
    if is_missing(SOFTHSM) {
        return;
    }
    let token = token();
    for program in helpers(Kind::Token) {
        let pointed = pointed(&program, &token);
        for pin in ["13579", ""] {
            let error = TokenProvider::load_with(&pointed, softhsm(), pin.as_bytes()).await.unwrap_err().to_string();
            assert!(error.contains("PIN") && error.contains("libsofthsm2.so"), "{program:?}: {error}");
        }
        let none = Library::named(b"/etc/passwd").unwrap();
        let error = TokenProvider::load_with(&pointed, none, b"").await.unwrap_err().to_string();
        assert!(error.contains("/etc/passwd"), "{program:?}: {error}");
    }
}

#[tokio::test]
async fn a_message_that_would_end_the_helper_is_refused() {
    if is_missing(SOFTHSM) {
        return;
    }
    let token = token();
    for program in helpers(Kind::Token) {
        let pointed = pointed(&program, &token);
        let (provider, keys) = TokenProvider::load_with(&pointed, softhsm(), PIN.as_bytes()).await.unwrap();
        let long = keys[0].sign(&[0; LONGEST_REQUEST + 1], 2).await;
        match provider.dialect {
            Dialect::Raw => assert!(long.is_ok(), "{program:?}: a digest is short"),
            Dialect::Message => assert!(matches!(long, Err(HelperError::TooLong { .. })), "{program:?}"),
        }
        assert!(keys[0].sign(b"short", 2).await.is_ok() && provider.is_alive(), "{program:?}");
    }
}

#[tokio::test]
async fn certificates_stand_before_their_keys() {
    if is_missing(SOFTHSM) {
        return;
    }
    let Ok(program) = Program::find(Kind::Token) else { return };
    let token = token();
    let path = |name: &str| token.path().join(name);
    done(Command::new("ssh-keygen").args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(path("ca")));
    let certify = |key: &str| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-I", "id", "-n", "me", "-s"]).arg(path("ca")).arg(path(&format!("{key}.pub")));
        done(&mut command);
        let text = std::fs::read_to_string(path(&format!("{key}-cert.pub"))).unwrap();
        Certificate::from_openssh(&text).unwrap()
    };
    let (ecdsa, rsa, stranger) = (certify("256"), certify("2048"), certify("ca"));
    let certificates = [rsa.clone(), stranger, ecdsa.clone()];
    let pointed = pointed(&program, &token);
    let (_provider, keys) = TokenProvider::load_with(&pointed, softhsm(), PIN.as_bytes()).await.unwrap();

    let all = identities(&keys, &certificates, false);
    assert_eq!(all.len(), keys.len() + 2);
    for certificate in [&rsa, &ecdsa] {
        let place = all.iter().position(|key| key.blob() == certificate.blob()).unwrap();
        assert_eq!(all[place].plain_key(), all[place + 1].blob());
        assert_eq!(all[place].label(), all[place + 1].label());
    }
    let only = identities(&keys, &certificates, true);
    assert_eq!(only.len(), 2);
    for key in only {
        let signature = key.sign(&to_sign(b"message"), 4).await.unwrap();
        verify_by_ssh_keygen(&key.plain, b"message", &signature);
    }
}
