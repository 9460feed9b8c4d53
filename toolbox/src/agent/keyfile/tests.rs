use std::path::PathBuf;
use std::process::Command;

use ssh_key::PublicKey;

use super::*;

/// Keys made by the tools that people make keys with.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `ssh-keygen -f NAME arguments…` and gives the private key's text.
    fn generate(&self, name: &str, arguments: &[&str]) -> Vec<u8> {
        run(Command::new("ssh-keygen").args(["-q", "-f"]).arg(self.path(name)).args(arguments));
        std::fs::read(self.path(name)).unwrap()
    }

    fn openssl(&self, name: &str, arguments: &[&str]) -> Vec<u8> {
        run(Command::new("openssl").args(arguments).arg("-out").arg(self.path(name)).current_dir(&self.0));
        std::fs::read(self.path(name)).unwrap()
    }

    fn public(&self, name: &str) -> PublicKey {
        let text = std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        PublicKey::from_openssh(&text).unwrap()
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn secret(text: &str) -> SecretString {
    text.into()
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, passphrase: Option<&str>) -> KeyError {
    parse(text.as_ref(), passphrase.map(secret).as_ref()).expect_err("this must not parse")
}

#[test]
fn every_format_that_ssh_keygen_writes_is_read_plain_and_encrypted() {
    let keys = Keys::new();
    let types: [&[&str]; 5] = [
        &["ed25519"],
        &["rsa", "-b", "2048"],
        &["ecdsa", "-b", "256"],
        &["ecdsa", "-b", "384"],
        &["ecdsa", "-b", "521"],
    ];
    for (number, kind) in types.iter().enumerate() {
        for format in ["RFC4716", "PEM", "PKCS8"] {
            for passphrase in ["", "open sésame"] {
                let name = format!("{number}{format}{}", passphrase.len());
                let arguments = [&["-N", passphrase, "-m", format, "-C", "me", "-t"], *kind].concat();
                let text = keys.generate(&name, &arguments);
                let given = (!passphrase.is_empty()).then(|| secret(passphrase));
                let key = parse(&text, given.as_ref()).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
                assert_eq!(key.public_key().key_data(), keys.public(&name).key_data(), "{arguments:?}");
                assert!(crate::agent::keyring::signer::SealedKey::seal(key.clone()).is_some(), "{arguments:?}");
                if given.is_some() {
                    assert_eq!(refused(&text, None), KeyError::Encrypted, "{arguments:?}");
                    assert_eq!(refused(&text, Some("wrong")), KeyError::WrongPassphrase, "{arguments:?}");
                } else {
                    parse(&text, Some(&secret("needless"))).expect("a needless passphrase is ignored");
                }
            }
        }
    }
}

#[test]
fn every_cipher_of_the_openssh_format_is_read() {
    let keys = Keys::new();
    let ciphers = [
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ];
    for cipher in ciphers {
        let text = keys.generate(cipher, &["-t", "ed25519", "-N", "pass word", "-C", "me", "-Z", cipher, "-a", "2"]);
        let key = parse(&text, Some(&secret("pass word"))).unwrap_or_else(|error| panic!("{cipher}: {error}"));
        assert_eq!(key.comment().as_str_lossy(), "me");
        assert_eq!(refused(&text, Some("wrong")), KeyError::WrongPassphrase, "{cipher}");
    }
    let text = keys.generate("3des", &["-t", "ed25519", "-N", "pass word", "-Z", "3des-cbc", "-a", "2"]);
    assert_eq!(refused(&text, Some("pass word")), KeyError::UnsupportedCipher("3des-cbc".into()));
}

#[test]
fn keys_that_openssl_writes_are_read() {
    let keys = Keys::new();
    // A block of curve parameters stands before the key.
    let text = keys.openssl("ec", &["ecparam", "-name", "prime256v1", "-genkey"]);
    assert!(text.starts_with(b"-----BEGIN EC PARAMETERS-----"));
    parse(&text, None).unwrap();
    for cipher in ["-aes128", "-aes192", "-aes256"] {
        let text = keys.openssl("rsa", &["genrsa", "-traditional", cipher, "-passout", "pass:word"]);
        parse(&text, Some(&secret("word"))).unwrap_or_else(|error| panic!("{cipher}: {error}"));
        assert_eq!(refused(&text, Some("other")), KeyError::WrongPassphrase);
    }
    let plain = ["pkcs8", "-topk8", "-in", "ec", "-passout", "pass:word"];
    for scheme in [&["-v2", "aes-256-cbc"][..], &["-scrypt"]] {
        let text = keys.openssl("p8", &[&plain[..], scheme].concat());
        parse(&text, Some(&secret("word"))).unwrap_or_else(|error| panic!("{scheme:?}: {error}"));
        assert_eq!(refused(&text, Some("other")), KeyError::WrongPassphrase, "{scheme:?}");
    }
}

#[test]
fn weak_ciphers_and_other_types_are_refused_by_name() {
    let keys = Keys::new();
    let text = keys.openssl("des3", &["genrsa", "-traditional", "-des3", "-passout", "pass:word"]);
    assert_eq!(refused(&text, Some("word")), KeyError::UnsupportedCipher("DES-EDE3-CBC".into()));
    keys.openssl("ec", &["ecparam", "-name", "prime256v1", "-genkey"]);
    let text = keys.openssl("p8", &["pkcs8", "-topk8", "-in", "ec", "-passout", "pass:word", "-v2", "des3"]);
    let des = KeyError::UnsupportedCipher("DES-EDE3-CBC".into());
    assert_eq!(refused(&text, Some("word")), des);
    let text = keys.openssl("ed448", &["genpkey", "-algorithm", "ed448"]);
    assert_eq!(refused(&text, None), KeyError::UnsupportedType("1.3.101.113".into()));
    let text = keys.generate("dsa", &["-t", "dsa", "-N", ""]);
    assert_eq!(refused(&text, None), KeyError::UnsupportedType("ssh-dss".into()));
}

#[test]
fn what_is_no_private_key_is_told_apart() {
    let keys = Keys::new();
    let text = keys.generate("key", &["-t", "ed25519", "-N", ""]);
    let text = String::from_utf8(text).unwrap();
    let public = std::fs::read_to_string(keys.path("key.pub")).unwrap();
    let half = &text[..text.len() / 2];
    let cases: [(&str, KeyError); 9] = [
        ("", KeyError::Empty),
        (" \n\n", KeyError::Empty),
        ("hello\n", KeyError::NoKey),
        (&public, KeyError::Public),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", KeyError::Public),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", KeyError::Putty),
        (half, KeyError::Truncated),
        (&text.replace('\n', " "), KeyError::LineBreaksLost),
        (&text.replace('\n', "\\n"), KeyError::LineBreaksLost),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text, None), expected, "{text:?}");
    }
    assert_eq!(refused([0x30, 0x82, 0xff], None), KeyError::Binary);
    let other = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n-----END PGP PRIVATE KEY BLOCK-----\n";
    assert!(matches!(refused(other, None), KeyError::UnsupportedFormat(_)));
}

#[test]
fn a_damaged_key_is_damaged_wherever_the_damage_is() {
    let keys = Keys::new();
    for format in ["RFC4716", "PEM", "PKCS8"] {
        let text = keys.generate(format, &["-t", "ecdsa", "-N", "", "-m", format]);
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for missing in 1..lines.len() - 1 {
            let cut: Vec<&str> =
                lines.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, line)| *line).collect();
            let error = refused(cut.join("\n"), None);
            assert!(matches!(error, KeyError::Damaged { .. } | KeyError::UnsupportedType(_)), "{format}: {error}");
        }
    }
}

#[test]
fn carriage_returns_indentation_and_text_around_the_key_do_not_matter() {
    let keys = Keys::new();
    let text = String::from_utf8(keys.generate("key", &["-t", "ed25519", "-N", ""])).unwrap();
    let indented: String = text.lines().map(|line| format!("    {line}\r\n")).collect();
    let key = parse(format!("\u{feff}Bag Attributes\n{indented}the end").as_bytes(), None).unwrap();
    assert_eq!(key.public_key().key_data(), keys.public("key").key_data());
}

#[test]
fn no_error_shows_anything_of_the_key_or_the_passphrase() {
    let keys = Keys::new();
    let text = String::from_utf8(keys.generate("key", &["-t", "ed25519", "-N", "hunter2"])).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without_third = [&lines[..2], &lines[3..]].concat().join("\n");
    for error in [refused(&text, Some("hunter3")), refused(&without_third, Some("hunter2"))] {
        let shown = format!("{error} {error:?} {:?}", error.hint("FILE"));
        assert!(lines[1..lines.len() - 1].iter().all(|line| !shown.contains(line)), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
