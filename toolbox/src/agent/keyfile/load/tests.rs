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
fn piped(text: &str) -> Result<Vec<PrivateKey>, LoadError> {
    let text =
        KeyText { bytes: text.as_bytes().to_vec().into(), origin: "standard input".into(), passphrase_follows: true };
    keys_in(&text, Passphrases::default())
}

/// Loads a file with somebody who gives these answers; gives the prompts as well.
fn asked(path: PathBuf, answers: &[&str]) -> (Result<Vec<PrivateKey>, LoadError>, Vec<String>) {
    let prompts = RefCell::new(Vec::new());
    let mut answers = answers.iter();
    let mut ask = |prompt: &str| {
        prompts.borrow_mut().push(prompt.to_owned());
        Ok(SecretString::from(*answers.next().expect("asked too often")))
    };
    let result = load(&KeySource::File(path), Passphrases { given: None, ask: Some(&mut ask) });
    (result, prompts.into_inner())
}

fn comments(keys: &[PrivateKey]) -> Vec<&str> {
    keys.iter().map(|key| key.comment().as_str_lossy()).collect()
}

#[track_caller]
fn key_error(result: Result<Vec<PrivateKey>, LoadError>) -> KeyError {
    match result {
        Err(LoadError::Key { error, .. }) => error,
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
        piped(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
    assert_eq!(key_error(piped(&locked)), KeyError::Encrypted);
    assert_eq!(key_error(piped(&format!("{locked}\npass word \n"))), KeyError::Encrypted);
    assert_eq!(key_error(piped(&format!("{locked}pass word\n"))), KeyError::WrongPassphrase);
}

#[test]
fn a_passphrase_line_in_a_file_is_not_looked_at() {
    let keys = Keys::new();
    let path = keys.write("file", &(keys.generate("a", "word", "") + "word\n"));
    assert_eq!(key_error(load(&KeySource::File(path), Passphrases::default())), KeyError::Encrypted);
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
    let given = Passphrases { given: Some("wrong".into()), ask: Some(&mut ask) };
    assert_eq!(key_error(load(&KeySource::File(locked), given)), KeyError::WrongPassphrase);
    let keys = load(&KeySource::File(plain.clone()), Passphrases { given: None, ask: Some(&mut ask) }).unwrap();
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
