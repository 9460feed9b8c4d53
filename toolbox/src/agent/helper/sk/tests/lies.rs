//! Helpers that say no, and helpers that lie.

use super::*;

/// The answer of a helper of this version.
fn answer(fields: &[&[u8]]) -> String {
    format!("head -c 4 >/dev/null; {}", frame(&[&[VERSION], &fields.concat()[..]].concat()))
}

async fn sign(script: &str) -> HelperError {
    let directory = tempfile::tempdir().unwrap();
    let program = fake(&directory, script);
    made_up("ssh:").sign_with(&program, b"data", &alone(&Settings::default())).await.unwrap_err()
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let cases = [(43_u32, "PIN"), (59, "cannot do this"), (60, "plugged in"), (4, "refused"), (u32::MAX, "refused")];
    for (code, part) in cases {
        let error = sign(&answer(&[&[0; 4], &code.to_be_bytes()])).await.to_string();
        assert!(error.contains(part), "{code}: {error}");
    }
}

#[tokio::test]
async fn a_cancelled_pin_is_asked_for_once() {
    let directory = tempfile::tempdir().unwrap();
    let program = fake(&directory, &answer(&[&[0; 4], &43_u32.to_be_bytes()]));
    let askpass = script(directory.path(), "askpass", "echo asked >>\"$0.log\"; exit 1");
    let settings = Settings { askpass: Some(Askpass::program(&askpass)), ..Settings::default() };
    let error = made_up("ssh:").sign_with(&program, b"data", &alone(&settings)).await.unwrap_err();
    assert!(matches!(error, HelperError::PinWanted));
    let asked = std::fs::read_to_string(directory.path().join("askpass.log")).unwrap();
    assert!((1..=2).contains(&asked.lines().count()), "at most a notice and a question: {asked}");
}

#[tokio::test]
async fn another_version_is_named() {
    let error = sign(&format!("head -c 4 >/dev/null; {}", frame(&[4, 0, 0, 0, 1]))).await;
    assert!(matches!(error, HelperError::Version { got: 4, wanted: 5, .. }), "{error}");
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    let signed = 1_u32.to_be_bytes();
    for fields in [
        &[][..],
        &[&[0; 4][..]],
        &[&[0; 4][..], &[0, 0]],
        &[&7_u32.to_be_bytes()[..]],
        &[&signed[..]],
        &[&signed[..], &[0, 0, 0, 9, 1]],
        &[&signed[..], &[0, 0, 0, 1, 1, 1]],
    ] {
        let error = sign(&answer(fields)).await;
        assert!(matches!(error, HelperError::Garbled { .. }), "{fields:?}: {error}");
    }
}

#[tokio::test]
async fn a_signature_that_does_not_verify_is_not_handed_out() {
    let mut forged = Vec::new();
    put_string(&mut forged, b"sk-ssh-ed25519@openssh.com");
    put_string(&mut forged, &[0; 64]);
    forged.extend([1, 0, 0, 0, 1]);
    for signature in [&forged[..], b"", b"\0\0\0\x0bssh-ed25519"] {
        let mut string = Vec::new();
        put_string(&mut string, signature);
        let error = sign(&answer(&[&1_u32.to_be_bytes(), &string])).await;
        assert!(matches!(error, HelperError::WrongSignature), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_hangs_gives_the_turn_on() {
    assert!(matches!(sign("exec sleep 1000").await, HelperError::Silent { .. }));
    tokio::time::resume();
    assert!(matches!(sign("exit 1").await, HelperError::Died { .. }));
}

#[tokio::test]
async fn a_request_that_is_given_up_gives_the_turn_on() {
    let directory = tempfile::tempdir().unwrap();
    let program = fake(&directory, "touch \"$0.started\"; exec sleep 1000");
    let task =
        tokio::spawn(async move { made_up("ssh:").sign_with(&program, b"data", &alone(&Settings::default())).await });
    until("the helper's start", || directory.path().join("helper.started").exists()).await;
    task.abort();
    assert!(matches!(sign("exit 1").await, HelperError::Died { .. }));
}

#[tokio::test]
async fn a_key_for_the_web_signs_only_ssh() {
    let directory = tempfile::tempdir().unwrap();
    let program = fake(&directory, "touch \"$0.started\"; exit 1");
    let started = || directory.path().join("helper.started").exists();
    let settings = Settings::default();
    let key = made_up("https://example.org");
    let error = key.sign_with(&program, b"a challenge", &alone(&settings)).await.unwrap_err();
    assert!(error.to_string().contains("https://example.org") && !started(), "{error}");

    let free = Settings { restrict_websafe: false, ..Settings::default() };
    let listed = Settings { websafe_allow: "https://*".to_owned(), ..Settings::default() };
    for (data, settings) in [(&to_sign(b"m")[..], &settings), (b"a challenge", &free), (b"a challenge", &listed)] {
        let error = key.sign_with(&program, data, &alone(settings)).await.unwrap_err();
        assert!(matches!(error, HelperError::Died { .. }) && started(), "{error}");
        std::fs::remove_file(directory.path().join("helper.started")).unwrap();
    }
}

#[tokio::test]
async fn one_signature_at_a_time_is_asked_of_devices() {
    let directory = tempfile::tempdir().unwrap();
    let clash = "mkdir \"$0.busy\" || touch \"$0.clash\"; sleep 0.05; rmdir \"$0.busy\"; exit 1";
    let program = fake(&directory, clash);
    let (key, settings) = (made_up("ssh:"), Settings::default());
    let usage = alone(&settings);
    let attempt = || key.sign_with(&program, b"data", &usage);
    let ended = tokio::join!(attempt(), attempt(), attempt());
    assert!([ended.0, ended.1, ended.2].iter().all(|end| matches!(end, Err(HelperError::Died { .. }))));
    assert!(!directory.path().join("helper.clash").exists());
}

/// A program that always wants a PIN, and settings with a person who notes that they were asked.
fn wanting_a_pin(directory: &TempDir) -> (Program, Settings) {
    let wants_pin = frame(&[&[VERSION, 0, 0, 0, 0][..], &43_u32.to_be_bytes()].concat());
    let program = fake(directory, &format!("touch \"$0.started\"; head -c 4 >/dev/null; {wants_pin}"));
    let askpass = script(directory.path(), "askpass", r#"[ -n "$SSH_ASKPASS_PROMPT" ] || touch "$0.asked"; echo 2468"#);
    (program, Settings { askpass: Some(Askpass::program(&askpass)), ..Settings::default() })
}

#[tokio::test]
async fn a_pin_is_asked_for_in_its_turn_among_all_questions() {
    let directory = tempfile::tempdir().unwrap();
    let (program, settings) = wanting_a_pin(&directory);
    // It is nobody's turn any more.
    let questions = Arc::new(Semaphore::new(1));
    questions.close();
    let usage = Usage { questions: &questions, ..alone(&settings) };
    let error = made_up("ssh:").sign_with(&program, b"data", &usage).await.unwrap_err();
    assert!(matches!(error, HelperError::PinWanted), "{error}");
    assert!(!directory.path().join("askpass.asked").exists());
}

#[tokio::test]
async fn an_identity_that_has_gone_starts_no_helper_and_asks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (program, settings) = wanting_a_pin(&directory);
    let exists = |name: &str| directory.path().join(name).exists();
    for (is_there, started) in
        [(&(|| false) as &(dyn Fn() -> bool + Sync), false), (&|| !exists("helper.started"), true)]
    {
        let usage = Usage { is_there, ..alone(&settings) };
        let error = made_up("ssh:").sign_with(&program, b"data", &usage).await.unwrap_err();
        assert!(matches!(error, HelperError::Removed), "{error}");
        assert_eq!((exists("helper.started"), exists("askpass.asked")), (started, false));
    }
}
