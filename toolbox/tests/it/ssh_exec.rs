//! Commands over a connection to a real sshd.

use std::time::Duration;

use toolbox::ssh::{OutputStream, SshError, Target, Timeouts, quote};

use crate::ssh::open;
use crate::ssh_channels::{line, soon};

#[tokio::test]
async fn a_command_gets_its_input_and_gives_status_and_both_outputs() {
    let line = line(&[]).await;
    let output = line.connection.exec("cat; echo problem >&2; exit 7", b"input").await.unwrap();
    assert_eq!(
        (output.status, output.stdout.as_slice(), output.stderr.as_slice()),
        (7, &b"input"[..], &b"problem\n"[..])
    );
    let word = "it's $HOME\n\"*\"";
    let output = line.connection.exec(&format!("printf %s {}", quote(word)), b"").await.unwrap();
    assert_eq!(output.stdout, word.as_bytes());
}

#[tokio::test]
async fn a_command_that_ignores_a_large_input_still_ends() {
    let line = line(&[]).await;
    let output = soon(line.connection.exec("exit 3", &vec![0; 16 << 20])).await.unwrap();
    assert_eq!(output.status, 3);
}

#[tokio::test]
async fn many_commands_run_side_by_side() {
    let line = line(&["MaxSessions 100"]).await;
    let commands = (0..50).map(|i| {
        let connection = line.connection.clone();
        tokio::spawn(async move { connection.exec(&format!("echo {i}"), b"").await.unwrap().stdout_text() })
    });
    for (i, command) in commands.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(soon(command).await.unwrap(), i.to_string());
    }
}

#[tokio::test]
async fn output_comes_line_by_line_while_the_command_runs() {
    let line = line(&[]).await;
    let mut seen = Vec::new();
    let command = "echo one; echo two >&2; printf three; exit 5";
    let status = line.connection.exec_lines(command, b"", |stream, text| seen.push((stream, text.to_owned()))).await;
    assert_eq!(status.unwrap(), 5);
    seen.sort_by_key(|(stream, _)| *stream == OutputStream::Stderr);
    let expected = [(OutputStream::Stdout, "one"), (OutputStream::Stdout, "three"), (OutputStream::Stderr, "two")];
    assert_eq!(seen, expected.map(|(stream, text)| (stream, text.to_owned())));
}

#[tokio::test]
async fn large_output_is_read_to_its_end() {
    let line = line(&[]).await;
    let mut bytes = 0;
    let command = "head -c 67108864 /dev/zero | tr '\\0' x | fold -w 1000; head -c 67108864 /dev/zero >&2";
    let counting = line.connection.exec_lines(command, b"", |stream, text| {
        bytes += if stream == OutputStream::Stdout { text.len() } else { 0 };
    });
    assert_eq!(soon(counting).await.unwrap(), 0);
    assert_eq!(bytes, 64 << 20);
    let mut stream = line.connection.exec_stream("head -c 67108864 /dev/zero").await.unwrap();
    let read = soon(tokio::io::copy(&mut stream, &mut tokio::io::sink())).await.unwrap();
    assert_eq!(read, 64 << 20);
}

#[tokio::test]
async fn more_output_than_can_be_held_is_an_error() {
    let line = line(&[]).await;
    let result = soon(line.connection.exec("head -c 67108864 /dev/zero", b"")).await;
    assert!(matches!(result, Err(SshError::OutputTooLong { .. })), "{result:?}");
    assert!(line.connection.exec("true", b"").await.unwrap().success());
}

#[tokio::test]
async fn a_command_ended_by_a_signal_is_an_error() {
    let line = line(&[]).await;
    let result = line.connection.exec("kill -KILL $$", b"").await;
    assert!(matches!(&result, Err(SshError::Killed { signal, .. }) if signal == "KILL"), "{result:?}");
}

#[tokio::test]
async fn a_command_that_does_not_end_and_one_that_says_nothing_are_given_up() {
    let line = line(&[]).await;
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { command: second, silence: second, ..Timeouts::default() };
    let connection = open(&Target { timeouts, ..line.sshd.target() }, &line.agent).await.unwrap();
    let result = soon(connection.exec("echo one; exec sleep 9", b"")).await;
    assert!(matches!(&result, Err(SshError::Unfinished { seconds: 1, .. })), "{result:?}");
    let mut said = Vec::new();
    let following = connection.exec_lines("echo one; exec sleep 9", b"", |_, text| said.push(text.to_owned()));
    let result = soon(following).await;
    assert!(matches!(&result, Err(SshError::Silent { seconds: 1, .. })), "{result:?}");
    assert_eq!(said, ["one"]);
    assert!(connection.exec("true", b"").await.unwrap().success());
}
