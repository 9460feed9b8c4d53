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

    fn write(&self, name: &str, text: &[u8]) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the public half as OpenSSH reads it out of the private file.
    fn write_public(&self, name: &str, passphrase: &str) {
        let output = Command::new("ssh-keygen").args(["-y", "-P", passphrase, "-f"]).arg(self.path(name)).output();
        self.write(&format!("{name}.pub"), &output.unwrap().stdout);
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
                assert!(crate::agent::keyring::signer::SealedKey::seal(&key).is_some(), "{arguments:?}");
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
fn every_cipher_of_the_openssh_format_is_read_for_every_type() {
    const PASSPHRASE: &str = "pass word";
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
    let keys = Keys::new();
    let encrypt = |cipher| ["-p", "-P", "", "-N", PASSPHRASE, "-Z", cipher, "-a", "2"];
    for kind in [&["ed25519"][..], &["ecdsa", "-b", "521"], &["rsa", "-b", "2048"]] {
        let plain = keys.generate(kind[0], &[&["-N", "", "-C", "me", "-t"], kind].concat());
        for cipher in ciphers {
            keys.write(kind[0], &plain);
            let text = keys.generate(kind[0], &encrypt(cipher));
            let key = parse(&text, Some(&secret(PASSPHRASE))).unwrap_or_else(|error| panic!("{cipher}: {error}"));
            assert_eq!(key.public_key(), &keys.public(kind[0]), "{cipher}");
            assert_eq!(refused(&text, Some("wrong")), KeyError::WrongPassphrase, "{cipher}");
            assert_eq!(refused(&text, None), KeyError::Encrypted, "{cipher}");
        }
        keys.write(kind[0], &plain);
        let text = keys.generate(kind[0], &encrypt("3des-cbc"));
        assert_eq!(refused(&text, Some(PASSPHRASE)), KeyError::UnsupportedCipher("3des-cbc".into()));
    }
}

#[test]
fn fido_keys_are_read_as_they_stand() {
    use ssh_key::encoding::Encode as _;
    use ssh_key::private::{KeypairData, SkEcdsaSha2NistP256, SkEd25519};
    use ssh_key::public::{self, KeyData};
    let keys = Keys::new();
    keys.generate("ed", &["-t", "ed25519", "-N", ""]);
    keys.generate("ec", &["-t", "ecdsa", "-b", "256", "-N", ""]);
    let (KeyData::Ed25519(ed), KeyData::Ecdsa(public::EcdsaPublicKey::NistP256(ec))) =
        (keys.public("ed").key_data().clone(), keys.public("ec").key_data().clone())
    else {
        panic!("other types than asked for")
    };
    let (handle, present) = ([7; 64], 1);
    let pairs = [
        KeypairData::from(SkEd25519::new(public::SkEd25519::new(ed, "ssh:"), present, handle).unwrap()),
        KeypairData::from(
            SkEcdsaSha2NistP256::new(public::SkEcdsaSha2NistP256::new(ec, "ssh:work"), present, handle).unwrap(),
        ),
    ];
    for (name, pair) in ["sk-ed", "sk-ec"].into_iter().zip(pairs) {
        let text = PrivateKey::new(pair.clone(), "token").unwrap().to_openssh(ssh_key::LineEnding::LF).unwrap();
        keys.write(name, text.as_bytes());
        for (passphrase, arguments) in [(None, &[][..]), (Some("word"), &["-p", "-P", "", "-N", "word", "-a", "2"])] {
            // OpenSSH takes the file for what it is meant to be, and writes the encrypted one.
            let text = if arguments.is_empty() { text.as_bytes().to_vec() } else { keys.generate(name, arguments) };
            keys.write_public(name, passphrase.unwrap_or_default());
            let key = parse(&text, passphrase.map(secret).as_ref()).unwrap();
            assert_eq!(key.public_key(), &keys.public(name), "{name}");
            assert_eq!(key.key_data().encode_vec().unwrap(), pair.encode_vec().unwrap(), "{name}");
        }
    }
}

#[test]
fn keys_that_openssl_writes_are_read() {
    let keys = Keys::new();
    // A block of curve parameters stands before the key.
    let text = keys.openssl("ec", &["ecparam", "-name", "prime256v1", "-genkey"]);
    assert!(text.starts_with(b"-----BEGIN EC PARAMETERS-----"));
    parse(&text, None).unwrap();
    for cipher in ["-aes128", "-aes192", "-aes256"] {
        let rsa = keys.openssl("rsa", &["genrsa", "-traditional", cipher, "-passout", "pass:word"]);
        let ec = keys.openssl("ec-locked", &["ec", "-in", "ec", cipher, "-passout", "pass:word"]);
        for text in [rsa, ec] {
            parse(&text, Some(&secret("word"))).unwrap_or_else(|error| panic!("{cipher}: {error}"));
            assert_eq!(refused(&text, Some("other")), KeyError::WrongPassphrase);
            assert_eq!(refused(&text, None), KeyError::Encrypted);
        }
    }
    keys.openssl("ed", &["genpkey", "-algorithm", "ed25519"]);
    keys.openssl("rsa", &["genpkey", "-algorithm", "rsa"]);
    let schemes: [&[&str]; 6] = [
        &["-v2", "aes-128-cbc"],
        &["-v2", "aes-192-cbc"],
        &["-v2", "aes-256-cbc"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"],
        &["-scrypt"],
    ];
    for from in ["ec", "ed", "rsa"] {
        for scheme in schemes {
            let text =
                keys.openssl("p8", &[&["pkcs8", "-topk8", "-in", from, "-passout", "pass:word"], scheme].concat());
            parse(&text, Some(&secret("word"))).unwrap_or_else(|error| panic!("{from} {scheme:?}: {error}"));
            assert_eq!(refused(&text, Some("other")), KeyError::WrongPassphrase, "{from} {scheme:?}");
            assert_eq!(refused(&text, None), KeyError::Encrypted, "{from} {scheme:?}");
        }
    }
}

#[test]
fn other_ciphers_and_types_are_refused_by_name() {
    let keys = Keys::new();
    let unsupported = |cipher: &str| KeyError::UnsupportedCipher(cipher.into());
    for (option, name) in
        [("-des3", "DES-EDE3-CBC"), ("-camellia256", "CAMELLIA-256-CBC"), ("-aria256", "ARIA-256-CBC")]
    {
        let text = keys.openssl("pem", &["genrsa", "-traditional", option, "-passout", "pass:word"]);
        assert_eq!(refused(&text, Some("word")), unsupported(name));
    }
    keys.openssl("ec", &["ecparam", "-name", "prime256v1", "-genkey"]);
    let schemes = [
        (["-v2", "des3"], "DES-EDE3-CBC"),
        (["-v2", "camellia-256-cbc"], "CAMELLIA-256-CBC"),
        (["-v1", "PBE-SHA1-3DES"], "PBE-SHA1-3DES"),
    ];
    for (scheme, name) in schemes {
        let text =
            keys.openssl("p8", &[&["pkcs8", "-topk8", "-in", "ec", "-passout", "pass:word"], &scheme[..]].concat());
        assert_eq!(refused(&text, Some("word")), unsupported(name), "{scheme:?}");
    }
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

#[test]
fn hints_name_what_can_work() {
    let hint = |error: KeyError, file| error.hint(file).unwrap();
    assert_eq!(hint(KeyError::Public, "/k/id.pub"), "give the file without .pub: /k/id");
    assert_eq!(hint(KeyError::Public, "/k/id"), "name the private key's file");
    let keys = Keys::new();
    let pem = keys.openssl("key.pem", &["genpkey", "-algorithm", "ed25519"]);
    let (from, to) = (keys.path("key.pem"), keys.path("key"));
    run(Command::new("openssl").args(["pkey", "-outform", "DER", "-in"]).arg(from).arg("-out").arg(&to));
    assert_eq!(refused(std::fs::read(&to).unwrap(), None), KeyError::Binary);
    let hint = hint(KeyError::Binary, to.to_str().unwrap());
    let (_, command) = hint.split_once("convert it: ").unwrap();
    let words: Vec<_> = command.split(' ').collect();
    run(Command::new(words[0]).args(&words[1..]));
    assert_eq!(parse(&std::fs::read(keys.path("key.pem")).unwrap(), None), parse(&pem, None));
}
