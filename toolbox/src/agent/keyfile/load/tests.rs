use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::*;

struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn generate(&self, name: &str, passphrase: &str, comment: &str) -> String {
        let arguments = ["-q", "-t", "ed25519", "-a", "2", "-N", passphrase, "-C", comment, "-f"];
        let path = self.0.path().join(name);
        assert!(Command::new("ssh-keygen").args(arguments).arg(&path).status().unwrap().success());
        fs::read_to_string(path).unwrap()
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }
}

/// What a text on standard input gives.
fn piped(text: &str) -> Result<Loaded, Vec<LoadError>> {
    let text =
        KeyText { bytes: text.as_bytes().to_vec().into(), origin: "standard input".into(), passphrase_follows: true };
    let keys = keys_in(&text, &mut Passphrases::default())?.into_iter();
    let loaded = |key| LoadedKey { key, certificate: None, origin: String::new() };
    Ok(Loaded { keys: keys.map(loaded).collect(), warning: None })
}

/// Loads a file with somebody who gives these answers; gives the prompts as well.
fn asked(path: PathBuf, answers: &[&str]) -> (Result<Loaded, Vec<LoadError>>, Vec<String>) {
    let prompts = RefCell::new(Vec::new());
    let mut answers = answers.iter();
    let mut ask = |prompt: &str| {
        prompts.borrow_mut().push(prompt.to_owned());
        Ok(SecretString::from(*answers.next().expect("asked too often")))
    };
    let result = load(&KeySource::File(path), &mut Passphrases { ask: Some(&mut ask), ..Passphrases::default() });
    (result, prompts.into_inner())
}

fn comments(loaded: &Loaded) -> Vec<&str> {
    loaded.keys.iter().map(|loaded| loaded.key.comment().as_str_lossy()).collect()
}

/// Loads a file that needs no passphrase.
fn load_file(path: PathBuf) -> Result<Loaded, Vec<LoadError>> {
    load(&KeySource::File(path), &mut Passphrases::default())
}

#[track_caller]
fn key_error(result: Result<Loaded, Vec<LoadError>>) -> KeyError {
    let mut errors = result.expect_err("this must not load");
    match (errors.pop(), errors.len()) {
        (Some(LoadError::Key { error, .. }), 0) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn several_keys_in_sequence_are_all_loaded() {
    let keys = Keys::new();
    let text = keys.generate("a", "", "first") + "\n" + &keys.generate("b", "", "second");
    assert_eq!(comments(&piped(&text).unwrap()), ["first", "second"]);
}

#[test]
fn the_line_after_the_last_key_on_standard_input_is_the_passphrase() {
    let keys = Keys::new();
    let locked = keys.generate("a", "pass word ", "locked");
    let both = keys.generate("b", "", "plain") + &locked;
    for text in [format!("{locked}pass word \n"), format!("{locked}pass word \r\nrest"), format!("{both}pass word ")] {
        piped(&text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
    }
    assert_eq!(key_error(piped(&locked)), KeyError::Encrypted);
    assert_eq!(key_error(piped(&format!("{locked}\npass word \n"))), KeyError::Encrypted);
    assert_eq!(key_error(piped(&format!("{locked}pass word\n"))), KeyError::WrongPassphrase);
}

#[test]
fn a_passphrase_line_in_a_file_is_not_looked_at() {
    let keys = Keys::new();
    let path = keys.write("file", &(keys.generate("a", "word", "") + "word\n"));
    assert_eq!(key_error(load_file(path)), KeyError::Encrypted);
}

#[test]
fn a_prompt_is_given_three_tries_and_no_more() {
    let keys = Keys::new();
    let path = keys.write("file", &keys.generate("a", "right", "me"));
    let (result, prompts) = asked(path.clone(), &["wrong", "wronger", "right"]);
    assert_eq!(comments(&result.unwrap()), ["me"]);
    assert_eq!(prompts[0], format!("Enter passphrase for {}: ", path.display()));
    assert_eq!(prompts[2], format!("Bad passphrase, try again for {}: ", path.display()));
    let (result, prompts) = asked(path.clone(), &["wrong", "wronger", "wrongest"]);
    assert_eq!((key_error(result), prompts.len()), (KeyError::WrongPassphrase, 3));
    let (result, prompts) = asked(path, &[""]);
    assert_eq!((key_error(result), prompts.len()), (KeyError::Encrypted, 1));
}

#[test]
fn an_answer_is_tried_on_the_next_key_before_asking_again() {
    let keys = Keys::new();
    let text =
        ["a", "b", "c"].map(|name| keys.generate(name, if name == "c" { "other" } else { "same" }, name)).concat();
    let (result, prompts) = asked(keys.write("file", &text), &["same", "other"]);
    assert_eq!(comments(&result.unwrap()), ["a", "b", "c"]);
    assert_eq!(prompts.len(), 2);
}

#[test]
fn nobody_is_asked_when_a_passphrase_was_given_or_none_is_wanted() {
    let keys = Keys::new();
    let locked = keys.write("locked", &keys.generate("a", "right", ""));
    let plain = keys.write("plain", &keys.generate("b", "", ""));
    let mut ask = |prompt: &str| -> io::Result<SecretString> { panic!("asked: {prompt}") };
    let mut given = Passphrases { given: Some("wrong".into()), ask: Some(&mut ask), answered: None };
    assert_eq!(key_error(load(&KeySource::File(locked), &mut given)), KeyError::WrongPassphrase);
    given.given = None;
    let keys = load(&KeySource::File(plain.clone()), &mut given).unwrap();
    assert_eq!(comments(&keys), [plain.display().to_string()], "a key without a comment is named after its source");
}

#[test]
fn a_passphrase_file_loses_one_newline_and_is_guarded_like_a_key() {
    let keys = Keys::new();
    for (content, expected) in [("word\n", "word"), ("word\r\n", "word"), (" word ", " word "), ("word\n\n", "word\n")]
    {
        let passphrase = passphrase_file(&keys.write("passphrase", content)).unwrap();
        assert_eq!(passphrase.expose_secret(), expected);
    }
    let path = keys.write("passphrase", "\n");
    assert!(matches!(passphrase_file(&path), Err(LoadError::NoPassphrase(_))));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(passphrase_file(&path), Err(LoadError::PassphraseFile(SecretFileError::TooOpen { .. }))));
}

#[test]
fn an_answer_is_tried_on_the_next_source_before_asking_again() {
    let keys = Keys::new();
    let files = ["a", "b"].map(|name| keys.write(&format!("{name}.file"), &keys.generate(name, "same", name)));
    let mut answers = ["same"].into_iter();
    let mut ask = |_: &str| Ok(SecretString::from(answers.next().expect("asked twice")));
    let mut passphrases = Passphrases { ask: Some(&mut ask), ..Passphrases::default() };
    for file in files {
        load(&KeySource::File(file), &mut passphrases).unwrap();
    }
}

#[test]
fn every_bad_key_of_a_file_is_named_by_its_place() {
    let keys = Keys::new();
    let (good, locked) = (keys.generate("a", "", "a"), keys.generate("b", "word", "b"));
    let mut lines: Vec<&str> = good.lines().collect();
    lines.remove(2);
    let path = keys.write("file", &format!("{}\n{good}{locked}", lines.join("\n")));
    let shown: Vec<String> = load_file(path.clone()).unwrap_err().iter().map(ToString::to_string).collect();
    let shown: Vec<&str> = shown.iter().map(|error| error.strip_prefix(path.to_str().unwrap()).unwrap()).collect();
    let [damaged, encrypted] = shown.as_slice() else { panic!("{shown:?}") };
    assert!(damaged.starts_with(" (key 1 of 3): the OpenSSH private key is damaged"), "{damaged}");
    assert_eq!(*encrypted, " (key 3 of 3): the private key is encrypted and no passphrase was given");
}

/// A key whose certificate lies beside it, and the file of its private half.
fn certified(keys: &Keys, name: &str, extra: &[&str]) -> PathBuf {
    keys.generate("authority", "", "authority");
    keys.generate(name, "", name);
    let path = keys.0.path().join(name);
    sign(keys, name, extra);
    path
}

fn sign(keys: &Keys, name: &str, extra: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.current_dir(&keys.0).args(["-q", "-s", "authority", "-I", "test"]).args(extra);
    assert!(command.arg(format!("{name}.pub")).status().unwrap().success());
}

#[test]
fn the_certificate_beside_a_key_is_loaded_with_it() {
    let keys = Keys::new();
    let path = certified(&keys, "id", &["-n", "root"]);
    let loaded = load_file(path.clone()).unwrap();
    assert_eq!(loaded.warning, None);
    let certificate = loaded.keys[0].certificate.as_ref().unwrap();
    assert!(certificate.is_for_users());
    assert_eq!(certificate.plain_key(), loaded.keys[0].key.public_key().to_bytes().unwrap());
    // Of several keys in one file it goes to the one that it is for.
    let both = keys.generate("other", "", "other") + &fs::read_to_string(&path).unwrap();
    keys.write("both", &both);
    fs::copy(keys.0.path().join("id-cert.pub"), keys.0.path().join("both-cert.pub")).unwrap();
    let loaded = load_file(keys.0.path().join("both")).unwrap();
    assert_eq!(loaded.keys.iter().map(|key| key.certificate.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_certificate_that_is_of_no_use_is_a_warning_that_names_it() {
    let keys = Keys::new();
    let path = certified(&keys, "id", &[]);
    let beside = keys.0.path().join("id-cert.pub");
    keys.generate("other", "", "");
    fs::copy(keys.0.path().join("other"), &path).unwrap();
    let warning = |expected: String| {
        let loaded = load_file(path.clone()).unwrap();
        assert_eq!(loaded.warning.unwrap().to_string(), expected);
        assert!(loaded.keys[0].certificate.is_none());
    };
    warning(format!("certificate {} does not match private key {}", beside.display(), path.display()));
    fs::copy(keys.0.path().join("other.pub"), &beside).unwrap();
    warning(format!("{} is left aside: this is not a certificate of a known type", beside.display()));
    sign(&keys, "other", &["-h"]);
    fs::copy(keys.0.path().join("other-cert.pub"), &beside).unwrap();
    warning(format!("{} is left aside: it is a host's certificate, not a user's", beside.display()));
    fs::write(&beside, "").unwrap();
    warning(format!("{} is left aside: it is empty", beside.display()));
}
