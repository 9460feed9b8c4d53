use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

fn file(directory: &Path, content: &[u8], mode: u32) -> PathBuf {
    let path = directory.join(format!("key{mode:o}"));
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[track_caller]
fn refused(source: &KeySource) -> (String, String) {
    let error = source.read().err().expect("this must not be read");
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o400] {
        let path = file(directory.path(), b"key", mode);
        assert_eq!(KeySource::File(path).read().unwrap().bytes.as_slice(), b"key");
    }
    for mode in [0o644, 0o640, 0o604, 0o660] {
        let path = file(directory.path(), b"key", mode);
        let (error, hint) = refused(&KeySource::File(path.clone()));
        let shown = path.display();
        assert_eq!(error, format!("permissions {mode:04o} for {shown} are too open: others can read it"));
        assert_eq!(hint, format!("chmod 600 {shown}"));
        assert!(KeySource::SecretMount(path).read().is_ok());
    }
    let public = directory.path().join("id_rsa.pub");
    fs::rename(directory.path().join("key644"), &public).unwrap();
    let (_, hint) = refused(&KeySource::File(public.clone()));
    assert!(hint.ends_with(&format!("give the private one: {}", public.with_extension("").display())));
}

#[test]
fn the_mode_of_another_user_s_file_is_not_judged() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), b"key", 0o644);
    let metadata = fs::metadata(&path).unwrap();
    assert!(secret_file::refuse_open_mode(&path, &metadata, metadata.uid()).is_err());
    assert!(secret_file::refuse_open_mode(&path, &metadata, metadata.uid() + 1).is_ok());
}

#[test]
fn only_what_really_lies_below_the_secrets_is_a_secret_mount() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), b"key", 0o644);
    let detour = Path::new(secret_file::SECRETS).join("..").join(path.strip_prefix("/").unwrap());
    // Where /run/secrets exists, this path leads through it to the file; where it does not, there is no such file.
    let (error, _) = refused(&KeySource::File(detour));
    assert!(error.contains("too open") || error.contains("does not exist"), "{error}");
}

#[test]
fn nothing_to_read_means_no_key_and_names_the_ways_to_give_one() {
    let directory = tempfile::tempdir().unwrap();
    let empty = file(directory.path(), b" \n", 0o600);
    for source in [KeySource::File("/dev/null".into()), KeySource::File(empty), KeySource::Environment("".into())] {
        let (error, hint) = refused(&source);
        assert_eq!(error, format!("no key: {} is empty", source.origin()));
        for way in ["TOOLBOX_KEY_FILE=FILE", "--key FILE", "TOOLBOX_SSH_KEY", "--key - < FILE"] {
            assert!(hint.contains(way), "{hint}");
        }
    }
}

#[test]
fn what_cannot_be_a_key_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let huge = file(directory.path(), &vec![b'x'; secret_file::LIMIT + 1], 0o600);
    let full = file(directory.path(), &vec![b'x'; secret_file::LIMIT], 0o400);
    let cases = [
        (directory.path().to_owned(), format!("{} is a directory", directory.path().display())),
        (missing.clone(), format!("{} does not exist", missing.display())),
        (huge.clone(), format!("{} is larger than 1 MiB, which no key is", huge.display())),
        ("/dev/zero".into(), "/dev/zero is larger than 1 MiB, which no key is".into()),
    ];
    for (path, expected) in cases {
        assert_eq!(refused(&KeySource::File(path)).0, expected);
    }
    assert!(KeySource::File(full).read().is_ok());
}

#[test]
fn a_denied_file_names_owner_mode_and_the_way_around() {
    let path = PathBuf::from("/etc/ssh/key");
    let error =
        SourceError::from(SecretFileError::Denied { path: path.clone(), owner: Some((0, 0o600)), our_uid: 65532 });
    assert_eq!(error.to_string(), "uid 65532 may not read /etc/ssh/key (owner uid 0, mode 0600)");
    let hint = error.hint().unwrap();
    assert_eq!(hint, "pipe it instead: docker compose run --rm -T toolbox deploy --key - < FILE");
    let unseen = SecretFileError::Denied { path, owner: None, our_uid: 65532 };
    assert_eq!(unseen.to_string(), "uid 65532 may not read /etc/ssh/key");
}

#[test]
fn a_dash_means_standard_input() {
    assert!(matches!(KeySource::from_argument("-"), KeySource::Stdin));
    assert!(matches!(KeySource::from_argument("./-"), KeySource::File(path) if path == Path::new("./-")));
}
