//! Helpers of 10.1's form that a script plays, and what becomes of those that hang, die or lie.

use ssh_key::PrivateKey;
use ssh_key::encoding::Encode as _;
use tokio::task::yield_now;

use super::super::super::tests::{fake, frame, until};
use super::*;
use russh::keys::signature::Signer as _;

const DATA: &[u8] = b"what is to be signed";
/// Lengths of the two questions about a key that no helper knows.
const NEW_FORM: usize = 69;
const OLD_FORM: usize = 65;

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = Vec::new();
    crate::agent::private_wire::put_string(&mut string, bytes);
    string
}

fn private_key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))
}

/// The answer that shows the key, without a label.
fn shown() -> String {
    let blob = private_key().public_key().to_bytes().unwrap();
    frame(&[&[KEYS, 0, 0, 0, 1][..], &string(&blob), &string(b"")].concat())
}

/// The answer with the key's signature over [`DATA`].
fn signed() -> String {
    let mut blob = Vec::new();
    private_key().try_sign(DATA).unwrap().encode(&mut blob).unwrap();
    frame(&[&[14][..], &string(&blob)].concat())
}

/// A helper of 10.1's form that does as told when it is to load a library, and when it is to sign. `$length` is that of
/// the question.
fn play(directory: &TempDir, load: &str, sign: &str) -> Program {
    let refuse = frame(&[FAILURE_2]);
    let text = format!(
        r#"echo $$ >"$0.pid"
while :; do
  set -- $(head -c 4 | od -An -tu1)
  [ $# = 4 ] || exit 1
  length=$((($3 * 256) + $4))
  kind=$(head -c $length | head -c 1 | od -An -tu1 | tr -d ' ')
  case $kind-$length in
    13-{NEW_FORM}) {refuse} ;;
    13-{OLD_FORM}) exit 1 ;;
    20-*) {load} ;;
    13-*) {sign} ;;
    *) exit 2 ;;
  esac
done"#
    );
    fake(directory, &text)
}

fn library() -> Library {
    Library::named(b"/etc/passwd").unwrap()
}

async fn load(program: &Program) -> Result<(Arc<TokenProvider>, Vec<TokenKey>), HelperError> {
    TokenProvider::load_with(program, library(), PIN.as_bytes()).await
}

#[tokio::test]
async fn the_form_of_10_1_is_found_and_spoken() {
    let directory = tempfile::tempdir().unwrap();
    let (provider, keys) = load(&play(&directory, &shown(), &signed())).await.unwrap();
    assert_eq!(provider.dialect, Dialect::Message);
    assert_eq!((keys.len(), keys[0].label()), (1, "/etc/passwd"));
    let signature = keys[0].sign(DATA, 0).await.unwrap();
    assert_eq!(take_string(&mut &*signature).unwrap(), b"ssh-ed25519");
    // The helper's signature is over other data than this.
    let error = keys[0].sign(b"other data", 0).await.unwrap_err();
    assert!(matches!(error, HelperError::WrongSignature), "{error}");
}

#[tokio::test]
async fn a_refusal_costs_one_signature() {
    let directory = tempfile::tempdir().unwrap();
    let once = format!("if [ -e \"$0.refused\" ]; then {}; else touch \"$0.refused\"; {}; fi", signed(), frame(&[30]));
    let (_provider, keys) = load(&play(&directory, &shown(), &once)).await.unwrap();
    assert!(matches!(keys[0].sign(DATA, 0).await, Err(HelperError::TokenRefused { .. })));
    assert!(keys[0].sign(DATA, 0).await.is_ok());
}

#[tokio::test]
async fn failures_to_load_are_told_apart() {
    for (code, part) in [(0, "no keys"), (1, "PKCS#11"), (2, "PIN"), (3, "reader"), (4, "PIN"), (5, "locked")] {
        let directory = tempfile::tempdir().unwrap();
        let error = load(&play(&directory, &frame(&[FAILURE, 0, 0, 0, code]), "exit")).await.unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("/etc/passwd"), "{code}: {error}");
        until("the helper's end", || is_gone(&directory.path().join("helper.pid"))).await;
    }
}

#[tokio::test]
async fn lists_that_lie_show_no_keys() {
    let blob = private_key().public_key().to_bytes().unwrap();
    let many = [&[KEYS, 0xff, 0xff, 0xff, 0xff][..], &string(&blob), &string(b"")].concat();
    for lie in [&[KEYS][..], &[KEYS, 0, 0, 0, 1], &[KEYS, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], &[99, 0, 0, 0, 0], &many]
    {
        let directory = tempfile::tempdir().unwrap();
        let error = load(&play(&directory, &frame(lie), "exit")).await.unwrap_err();
        assert!(matches!(error, HelperError::Garbled { .. }), "{lie:?}: {error}");
    }
    let strange = [&[KEYS, 0, 0, 0, 1][..], &string(b"no key"), &string(b"")].concat();
    let directory = tempfile::tempdir().unwrap();
    let error = load(&play(&directory, &frame(&strange), "exit")).await.unwrap_err();
    assert!(matches!(error, HelperError::NoKeys { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_helper_is_not_taken_for_one() {
    let directory = tempfile::tempdir().unwrap();
    for text in ["exit 0", &format!("head -c 4 >/dev/null; {}; cat >/dev/null", frame(&[14]))] {
        assert!(load(&fake(&directory, text)).await.is_err(), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_helper_that_hangs_fails_all_that_wait_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let program = play(&directory, &shown(), "exec sleep 1000");
    // The clock must not go on by itself while the script is slow.
    tokio::time::resume();
    let (provider, keys) = load(&program).await.unwrap();
    tokio::time::pause();
    let (first, second) = tokio::join!(keys[0].sign(DATA, 0), keys[0].sign(DATA, 0));
    let errors = [first.unwrap_err(), second.unwrap_err()];
    assert!(errors.iter().any(|error| matches!(error, HelperError::Silent { .. })), "{errors:?}");
    assert!(errors.iter().any(|error| matches!(error, HelperError::Gone { .. })), "{errors:?}");
    assert!(!provider.is_alive());
    let error = keys[0].sign(DATA, 0).await.unwrap_err().to_string();
    assert!(error.contains("add it again"), "{error}");
}

#[tokio::test]
async fn a_helper_that_dies_says_so_and_is_gone_then() {
    let directory = tempfile::tempdir().unwrap();
    let (provider, keys) = load(&play(&directory, &shown(), "exit 1")).await.unwrap();
    assert!(matches!(keys[0].sign(DATA, 0).await, Err(HelperError::Died { .. })));
    assert!(matches!(keys[0].sign(DATA, 0).await, Err(HelperError::Gone { .. })));
    assert!(!provider.is_alive());
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_not_the_next_one_s() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let slow = format!("touch \"$0.asked\"; until [ -e \"$0.go\" ]; do sleep 0.01; done; {}", frame(&[30]));
    let sign = format!("if [ -e \"$0.asked\" ]; then {}; else {slow}; fi", signed());
    let (_provider, keys) = load(&play(&directory, &shown(), &sign)).await.unwrap();
    let key = keys[0].clone();
    let given_up = tokio::spawn(async move { key.sign(DATA, 0).await });
    until("the first question", || path("helper.asked").exists()).await;
    given_up.abort();
    let key = keys[0].clone();
    let waiting = tokio::spawn(async move { key.sign(DATA, 0).await });
    yield_now().await;
    std::fs::write(path("helper.go"), "").unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_helper_ends_with_its_last_key_and_when_it_is_stopped() {
    for stopped in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let hang = "touch \"$0.asked\"; exec sleep 1000";
        let (provider, keys) = load(&play(&directory, &shown(), hang)).await.unwrap();
        assert!(!is_gone(&directory.path().join("helper.pid")));
        match stopped {
            true => {
                let key = keys[0].clone();
                let asking = tokio::spawn(async move { key.sign(DATA, 0).await });
                until("the question", || directory.path().join("helper.asked").exists()).await;
                provider.stop();
                assert!(matches!(asking.await.unwrap(), Err(HelperError::Gone { .. })));
            }
            false => drop((provider, keys)),
        }
        until("the helper's end", || is_gone(&directory.path().join("helper.pid"))).await;
    }
}
