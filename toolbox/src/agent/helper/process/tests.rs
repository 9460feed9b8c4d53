use std::os::unix::fs::PermissionsExt as _;

use super::super::tests::{fake, frame, print, until};
use super::*;

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_question_arrives_and_its_answer_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let program = fake(&directory, &format!("head -c 9 >\"$0.question\"; {}", frame(b"answer")));
    let mut helper = Helper::start(&program).unwrap();
    assert_eq!(helper.ask(b"hello").await.unwrap(), b"answer");
    assert_eq!(std::fs::read(directory.path().join("helper.question")).unwrap(), b"\0\0\0\x05hello");
}

#[tokio::test]
async fn helpers_that_die_are_told_from_those_that_lie() {
    let directory = tempfile::tempdir().unwrap();
    let read = "head -c 9 >/dev/null;";
    for (script, died) in [
        ("exit 0".to_owned(), true),
        ("kill -9 $$".to_owned(), true),
        (format!("{read} {}", print(&[0, 0])), true),
        (format!("{read} {}", print(&[0, 0, 0, 9, 1, 2])), true),
        (format!("{read} {}; exec sleep 1000", print(&[0, 0, 0, 0])), false),
        (format!("{read} {}; exec sleep 1000", print(&[0, 4, 0, 1])), false),
        (format!("{read} {}; exec sleep 1000", print(&[0xff; 4])), false),
        (format!("{read} exec yes"), false),
    ] {
        let mut helper = Helper::start(&fake(&directory, &script)).unwrap();
        match helper.ask(b"hello").await {
            Err(HelperError::Died { .. }) => assert!(died, "{script}"),
            Err(HelperError::Garbled { .. }) => assert!(!died, "{script}"),
            other => panic!("{script}: {other:?}"),
        }
    }
}

/// The clock of these goes on by itself when everybody waits.
#[tokio::test(start_paused = true)]
async fn silence_and_deafness_have_an_end() {
    let directory = tempfile::tempdir().unwrap();
    for script in ["exec sleep 1000", "head -c 9 >/dev/null; printf '\\000\\000'; exec sleep 1000"] {
        let mut helper = Helper::start(&fake(&directory, script)).unwrap();
        // More than a socket holds, for one that never reads.
        let error = helper.ask(&vec![0; 4 << 20]).await.unwrap_err();
        assert!(matches!(error, HelperError::Silent { .. }), "{script}: {error}");
    }
}

#[tokio::test]
async fn a_dropped_helper_is_ended_and_collected() {
    let directory = tempfile::tempdir().unwrap();
    let helper = Helper::start(&fake(&directory, "trap '' HUP TERM INT PIPE; exec sleep 1000")).unwrap();
    let pid = helper.child.id().unwrap();
    assert!(alive(pid));
    drop(helper);
    until("the end of the helper", || !alive(pid)).await;
}

#[tokio::test]
async fn a_retired_helper_ends_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let helper = Helper::start(&fake(&directory, "cat >/dev/null; touch \"$0.closed\"")).unwrap();
    let pid = helper.child.id().unwrap();
    helper.retire();
    until("the end of the helper", || !alive(pid)).await;
    assert!(directory.path().join("helper.closed").exists());
}

#[tokio::test]
async fn no_descriptor_of_ours_is_in_a_helper() {
    let directory = tempfile::tempdir().unwrap();
    let _file = std::fs::File::create(directory.path().join("ours")).unwrap();
    let _listener = tokio::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let script = format!("ls -l /proc/$$/fd >\"$0.fds\"; head -c 5 >/dev/null; {}", frame(b"."));
    let mut helper = Helper::start(&fake(&directory, &script)).unwrap();
    helper.ask(b"?").await.unwrap();
    let listed = std::fs::read_to_string(directory.path().join("helper.fds")).unwrap();
    assert_eq!(listed.matches("socket:").count(), 2, "{listed}");
    assert!(!listed.contains("/ours") && listed.contains("/dev/null"), "{listed}");
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let error = Program::choose(Kind::Fido, None, &["/no/such", "/nor/this"]).unwrap_err().to_string();
    for part in ["ssh-sk-helper", "/no/such/ssh-sk-helper, /nor/this/ssh-sk-helper", "openssh-client", "SSH_SK_HELPER"]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_variable_is_the_last_word() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    place("first/ssh-pkcs11-helper", 0o600);
    let second = place("second/ssh-pkcs11-helper", 0o700);
    let own = place("own", 0o700);
    let directories = [directory.path().join("first"), directory.path().join("second")];
    let directories = directories.each_ref().map(|path| path.to_str().unwrap());
    let choose = |named: Option<&Path>| Program::choose(Kind::Token, named.map(Into::into), &directories);

    assert_eq!(choose(None).unwrap().0, second);
    assert_eq!(choose(Some(Path::new(""))).unwrap().0, second);
    assert_eq!(choose(Some(&own)).unwrap().0, own);
    assert!(choose(Some(Path::new("/no/such/program"))).is_err());
}

#[test]
fn a_nul_byte_never_reaches_a_helper() {
    let mut body = Vec::new();
    assert!(matches!(put_text(&mut body, b"12\x0034"), Err(HelperError::Nul)));
    assert!(body.is_empty());
}
