//! What the tests of helpers share: programs that play one, and tools.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64ct::Encoding as _;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, LineEnding, Signature, SshSig};
use tempfile::TempDir;

use super::process::{Kind, Program};
use super::{HelperError, Library};

/// A FIDO device in software, of Debian's package openssh-tests.
pub(crate) const DUMMY: &str = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";
/// A token in software, of Debian's package softhsm2.
pub(crate) const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "24680";

/// A shell script in the place of a helper.
pub(super) fn script(directory: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// A helper that a shell script plays.
pub(super) fn fake(directory: &TempDir, text: &str) -> Program {
    Program::at(script(directory.path(), "helper", text))
}

/// The shell's words to write bytes.
pub(super) fn print(bytes: &[u8]) -> String {
    let escaped = bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:03o}").unwrap();
        text
    });
    format!("printf '{escaped}'")
}

/// The shell's words to write a frame.
pub(super) fn frame(body: &[u8]) -> String {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    print(&[&length[..], body].concat())
}

/// Waits until something holds: many short looks, each as soon as the runtime has nothing else to do.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("{what} did not happen");
}

/// Runs a tool that must succeed.
pub(super) fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A token with a key of each type; its configuration is beside it.
pub(crate) fn token() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("tokens")).unwrap();
    let settings = format!("directories.tokendir = {}\nobjectstore.backend = file\n", path("tokens").display());
    std::fs::write(path("softhsm2.conf"), settings).unwrap();
    let util = || {
        let mut command = Command::new("softhsm2-util");
        command.env("SOFTHSM2_CONF", path("softhsm2.conf"));
        command
    };
    done(util().args(["--init-token", "--free", "--label", "t", "--pin", PIN, "--so-pin", PIN]));
    for (id, kind) in [["rsa", "2048"], ["ecdsa", "256"], ["ecdsa", "384"], ["ecdsa", "521"]].iter().enumerate() {
        let file = path(kind[1]);
        done(
            Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-m", "PKCS8", "-t", kind[0], "-b", kind[1], "-f"])
                .arg(&file),
        );
        let (label, id) = (format!("key {}", kind[1]), format!("0{id}"));
        done(util().args(["--token", "t", "--pin", PIN, "--label", &label, "--id", &id, "--import"]).arg(&file));
    }
    // ssh-keygen writes no PKCS#8 of this type.
    let sevens = [b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", &[7; 32][..]].concat();
    let text = base64ct::Base64::encode_string(&sevens);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    std::fs::write(path("ed25519"), pem).unwrap();
    done(
        util()
            .args(["--token", "t", "--pin", PIN, "--label", "key ed25519", "--id", "09", "--import"])
            .arg(path("ed25519")),
    );
    directory
}

/// Says why a test does nothing here.
pub(crate) fn is_missing(path: &str) -> bool {
    let missing = !Path::new(path).exists();
    if missing {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "skipped: {path} is not installed").unwrap();
    }
    missing
}

/// What an SSH signature of a message is made over.
pub(super) fn to_sign(message: &[u8]) -> Vec<u8> {
    SshSig::signed_data("test", HashAlg::Sha512, message).unwrap()
}

/// Has `ssh-keygen -Y verify` judge a signature over [`to_sign`].
pub(super) fn verify_by_ssh_keygen(key: &KeyData, message: &[u8], signature: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let signature = Signature::try_from(signature).unwrap();
    let armored = SshSig::new(key.clone(), "test", HashAlg::Sha512, signature).unwrap();
    std::fs::write(path("sig"), armored.to_pem(LineEnding::LF).unwrap()).unwrap();
    std::fs::write(path("message"), message).unwrap();
    let line = ssh_key::PublicKey::from(key.clone()).to_openssh().unwrap();
    std::fs::write(path("signers"), format!("me {line}\n")).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-I", "me", "-n", "test", "-f"]).arg(path("signers")).arg("-s").arg(path("sig"));
    done(command.stdin(std::fs::File::open(path("message")).unwrap()));
}

/// The helper that is installed, and those of other versions in the directories that a person names.
pub(super) fn helpers(kind: Kind) -> Vec<Program> {
    let others = std::env::var_os("TOOLBOX_TEST_HELPERS").unwrap_or_default();
    let others = std::env::split_paths(&others)
        .filter(|path| path.is_absolute())
        .map(|directory| Program::at(directory.join(kind.name())));
    Program::find(kind).into_iter().chain(others).collect()
}

#[test]
fn what_a_client_named_forges_no_line_of_the_log() {
    let path = format!("/no/such\n\u{1b}[2J{}", "x".repeat(4096));
    let missing = Library::named(path.as_bytes()).unwrap_err().to_string();
    let refused = HelperError::NotSsh { application: path }.to_string();
    for error in [missing, refused] {
        assert!(!error.contains(char::is_control) && error.chars().count() < 160, "{error}");
    }
}
