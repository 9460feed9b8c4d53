//! Commands that begin behind a gate, over a connection to a real sshd.

use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;
use toolbox::ssh::{Gate, GateError};

use crate::ssh_channels::{Line, line, soon};

/// Runs a script behind a gate with the password `secret`; its lines and how it ended.
async fn run(line: &Line, script: &str, stdin: &str) -> (Vec<String>, Result<u32, GateError>) {
    let secret = SecretString::from("secret");
    let gate = Gate { name: "it", mark: "begins", prompt: "asks:", password: Some(&secret) };
    let command = format!("sh -c {}", toolbox::ssh::quote(script));
    let mut lines = Vec::new();
    let on_line = |_, text: &str| lines.push(text.to_owned());
    let ended = soon(line.connection.exec_lines_behind(gate, &command, stdin.as_bytes(), on_line)).await;
    (lines, ended)
}

#[tokio::test]
async fn a_password_is_sent_where_it_is_asked_for_and_the_input_follows() {
    let line = line(&[]).await;
    let script = "echo noise; echo lecture >&2; printf asks: >&2; read -r word; [ \"$word\" = secret ] || exit 9; \
                  printf 'no line end'; echo begins; cat; exit 4";
    let (lines, ended) = run(&line, script, "input\n").await;
    assert_eq!((lines, ended.unwrap()), (vec!["input".to_owned()], 4));
}

#[tokio::test]
async fn a_password_that_nobody_asks_for_is_not_sent() {
    let line = line(&[]).await;
    let (lines, ended) = run(&line, "echo begins; cat", "input\n").await;
    assert_eq!((lines, ended.unwrap()), (vec!["input".to_owned()], 0));
    // What it writes later is no question, even where it looks like one.
    let (lines, ended) = run(&line, "echo begins; echo asks: >&2; cat", "input\n").await;
    assert_eq!((lines.len(), ended.unwrap()), (2, 0));
    assert!(!lines.concat().contains("secret"), "{lines:?}");
}

#[tokio::test]
async fn a_second_question_is_not_answered() {
    let line = line(&[]).await;
    let fifo = toolbox::ssh::quote(line.sshd.path("heard").to_str().unwrap());
    let script = format!("printf asks: >&2; read -r word; printf 'Sorry.\nasks:' >&2; cat > {fifo}");
    assert!(line.connection.exec(&format!("mkfifo {fifo}"), b"").await.unwrap().success());
    let (_, ended) = run(&line, &script, "input\n").await;
    assert!(matches!(ended, Err(GateError::Wrong)), "{ended:?}");
    let heard = soon(line.connection.exec(&format!("cat {fifo}"), b"")).await.unwrap();
    assert_eq!(heard.stdout_text(), "");
}

#[tokio::test]
async fn a_command_that_does_not_begin_is_told_by_its_last_words() {
    let line = line(&[]).await;
    let (_, ended) = run(&line, "echo out; echo first >&2; echo 'not allowed' >&2; exit 1", "").await;
    assert!(matches!(&ended, Err(GateError::Ended { said }) if said == "not allowed"), "{ended:?}");
    let gate = Gate { name: "it", mark: "begins", prompt: "asks:", password: None };
    let ended = soon(line.connection.exec_stream_behind(gate, "printf asks: >&2; cat")).await;
    assert!(matches!(ended, Err(GateError::Asks)), "{:?}", ended.err());
}

#[tokio::test]
async fn a_stream_begins_after_the_mark_and_tells_a_failure() {
    let line = line(&[]).await;
    let gate = Gate { name: "it", mark: "begins", prompt: "", password: None };
    let mut stream = line.connection.exec_stream_behind(gate, "echo noise; echo begins; printf answer").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "answer");
    let mut stream = line.connection.exec_stream_behind(gate, "echo begins; echo broken >&2; exit 3").await.unwrap();
    let error = soon(stream.read(&mut [0])).await.unwrap_err().to_string();
    assert!(error.contains("`it` on 127.0.0.1 ended with status 3: broken"), "{error}");
}
