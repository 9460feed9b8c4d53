//! Streams to commands, sockets and ports over a connection to a real sshd.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use toolbox::ssh::{Connection, SshError, Target, quote};

use crate::sshd::{KeyPair, SshAgent, Sshd};

/// An sshd and a connection to it.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    pub(crate) sshd: Sshd,
    pub(crate) agent: SshAgent,
    _directory: TempDir,
}

pub(crate) async fn line(settings: &[&str]) -> Line {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "id", "ed25519");
    let (sshd, agent) = (Sshd::start(&key, settings), SshAgent::with(&[&key]));
    let connection = Connection::open(&sshd.target(), &agent.dialer()).await.unwrap();
    Line { connection, sshd, agent, _directory: directory }
}

/// Fails instead of hanging for ever; no test is expected to come near it.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.expect("it hangs")
}

/// Sends everything back, then says goodbye.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    let _ = writer.write_all(b"|goodbye").await;
    let _ = writer.shutdown().await;
}

/// Sends `length` bytes and reads until the other side ends.
async fn round_trip(stream: impl AsyncRead + AsyncWrite, length: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sending = async {
        writer.write_all(&data).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let ((), read) = tokio::join!(sending, reader.read_to_end(&mut back));
    read.unwrap();
    assert!(back.starts_with(&data));
    back.split_off(length)
}

#[tokio::test]
async fn an_unread_stream_ends_alone_and_a_bulk_one_waits_for_its_reader() {
    let line = line(&[]).await;
    let bulk = Connection::open_bulk(&line.sshd.target(), &line.agent.dialer()).await.unwrap();
    let mut slow = bulk.exec_stream("head -c 100000000 /dev/zero").await.unwrap();
    let fifo = fifo(&line).await;
    let mut unread = line.connection.exec_stream(&format!("cat /dev/zero; echo ended > {fifo}")).await.unwrap();
    // Without a limit this would wait for ever behind the unread data.
    let output = soon(line.connection.exec(&format!("cat {fifo}"), b"")).await.unwrap();
    assert_eq!(output.stdout_text(), "ended");
    let error = soon(tokio::io::copy(&mut unread, &mut tokio::io::sink())).await.unwrap_err();
    assert!(error.to_string().contains("unread"), "{error}");
    // Not read for just as long, on the connection that is made for it.
    assert_eq!(soon(tokio::io::copy(&mut slow, &mut tokio::io::sink())).await.unwrap(), 100_000_000);
}

/// Makes a fifo on the host and returns its name, quoted.
async fn fifo(line: &Line) -> String {
    let fifo = quote(line.sshd.path("fifo").to_str().unwrap());
    assert!(line.connection.exec(&format!("mkfifo {fifo}"), b"").await.unwrap().success());
    fifo
}

#[tokio::test]
async fn a_dropped_stream_closes_its_channel() {
    let line = line(&[]).await;
    let fifo = fifo(&line).await;
    let stream = line.connection.exec_stream(&format!("cat; echo ended > {fifo}")).await.unwrap();
    drop(stream);
    let output = soon(line.connection.exec(&format!("cat {fifo}"), b"")).await.unwrap();
    assert_eq!(output.stdout_text(), "ended");
}

#[tokio::test]
async fn a_stream_from_a_command_that_fails_says_why() {
    let line = line(&[]).await;
    let mut stream = line.connection.exec_stream("echo docker: not found >&2; exit 127").await.unwrap();
    let error = soon(stream.read_to_end(&mut Vec::new())).await.unwrap_err();
    let inner = error.get_ref().and_then(|error| error.downcast_ref::<SshError>());
    match inner {
        Some(SshError::CommandFailed { status: 127, stderr, .. }) => assert_eq!(stderr, "docker: not found"),
        _ => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_compressed_connection_goes_on_with_new_keys() {
    let line = line(&["RekeyLimit 1M", "Compression yes"]).await;
    let noise = line.sshd.path("noise");
    // What cannot be compressed counts whole, so that new keys are agreed on several times.
    let command = format!("head -c 8000000 /dev/urandom | tee {}", quote(noise.to_str().unwrap()));
    let mut stream = line.connection.exec_stream(&command).await.unwrap();
    let mut read = Vec::new();
    soon(stream.read_to_end(&mut read)).await.unwrap();
    assert!(read == std::fs::read(noise).unwrap(), "{} bytes, others than were sent", read.len());
    let stream = line.connection.exec_stream("cat; printf '|the end'").await.unwrap();
    assert_eq!(soon(round_trip(stream, 8 << 20)).await, b"|the end");
}

#[tokio::test]
async fn a_command_stream_closes_one_direction_at_a_time() {
    let line = line(&[]).await;
    let stream = line.connection.exec_stream("cat; printf '|after the end of input'").await.unwrap();
    assert_eq!(soon(round_trip(stream, 3 << 20)).await, b"|after the end of input");
}

#[tokio::test]
async fn a_unix_socket_echoes_and_closes_one_direction_at_a_time() {
    let line = line(&[]).await;
    let path = line.sshd.path("echo");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let stream = line.connection.streamlocal(path.to_str().unwrap()).await.unwrap();
    assert_eq!(soon(round_trip(stream, 8 << 20)).await, b"|goodbye");
    serving.await.unwrap();
}

#[tokio::test]
async fn a_port_echoes_and_closes_one_direction_at_a_time() {
    let line = line(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let stream = line.connection.tcp("127.0.0.1", port).await.unwrap();
    assert_eq!(soon(round_trip(stream, 8 << 20)).await, b"|goodbye");
    serving.await.unwrap();
}

#[tokio::test]
async fn a_writer_notices_that_the_other_side_is_gone() {
    let line = line(&[]).await;
    let mut stream = line.connection.exec_stream("exit 0").await.unwrap();
    let chunk = vec![0; 1 << 20];
    let error = soon(async {
        loop {
            if let Err(error) = stream.write_all(&chunk).await {
                return error;
            }
        }
    });
    assert_eq!(error.await.kind(), ErrorKind::BrokenPipe);
}

/// The refusal of a channel, as what was asked for and why it was refused.
fn refused<T>(result: Result<T, SshError>) -> (String, String) {
    match result {
        Err(SshError::ChannelRefused { what, reason, .. }) => (what, reason),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn refused_channels_say_what_was_asked_and_why() {
    let line = line(&["AllowStreamLocalForwarding no", "AllowTcpForwarding no", "MaxSessions 0"]).await;
    let (what, _) = refused(line.connection.streamlocal("/run/some.sock").await);
    assert_eq!(what, "the socket /run/some.sock");
    let (what, reason) = refused(line.connection.tcp("127.0.0.1", 1).await);
    assert_eq!((what.as_str(), reason.contains("prohibited")), ("a connection to 127.0.0.1:1", true), "{reason}");
    // However many ask: where there is no room for one, another login is in vain.
    let (one, other) = tokio::join!(line.connection.exec("true", b""), line.connection.exec("true", b""));
    assert_eq!([refused(one).0, refused(other).0], ["a session", "a session"]);
    assert_eq!((line.sshd.connections(), line.connection.is_full()), (1, false));
}

#[tokio::test]
async fn sessions_beyond_those_that_a_connection_may_have_go_over_others() {
    let line = line(&["MaxSessions 2"]).await;
    let mut held = Vec::new();
    for number in 0..5_usize {
        assert_eq!(
            (line.connection.is_full(), line.sshd.connections()),
            (number > 2, 1 + number.saturating_sub(1) / 2)
        );
        let mut stream = line.connection.exec_stream("cat").await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        held.push(stream);
    }
    for stream in held {
        assert_eq!(round_trip(stream, 1000).await, b"");
    }
    soon(line.connection.close()).await;
    assert!(line.connection.exec("true", b"").await.is_err());
}

#[tokio::test]
async fn the_hosts_own_words_reach_the_error() {
    let line = line(&[]).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_, reason) = refused(line.connection.tcp("127.0.0.1", port).await);
    assert!(reason.contains("Connection refused"), "{reason}");
    let (_, reason) = refused(line.connection.streamlocal("/nonexistent.sock").await);
    assert!(reason.starts_with("connect failed"), "{reason}");
}

/// A connection through a relay whose task can be aborted, which cuts the line.
async fn cuttable(line: &Line) -> (Connection, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (front, back) = (listener.local_addr().unwrap().port(), line.sshd.port);
    let relay = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", back)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    let target = Target { port: front, pinned: vec![line.sshd.host_keys[0].public.clone()], ..line.sshd.target() };
    let connection = Connection::open(&target, &line.agent.dialer()).await.unwrap();
    (connection, relay)
}

#[tokio::test]
async fn a_line_cut_in_the_middle_is_never_taken_for_success() {
    let line = line(&[]).await;
    let (connection, relay) = cuttable(&line).await;
    let mut stream = connection.exec_stream("echo started; cat").await.unwrap();
    let mut read = [0; 8];
    stream.read_exact(&mut read).await.unwrap();
    let connection = Arc::new(connection);
    let started = Arc::new(tokio::sync::Notify::new());
    let running = tokio::spawn({
        let (connection, started) = (connection.clone(), started.clone());
        // It ends together with its parent, the sshd of this connection.
        let command = "echo started; tail -f --pid=$PPID /dev/null";
        async move { connection.exec_lines(command, b"", |_, _| started.notify_one()).await }
    });
    soon(started.notified()).await;
    relay.abort();
    let result = soon(running).await.unwrap();
    assert!(matches!(result, Err(SshError::Disconnected { .. })), "{result:?}");
    let error = soon(stream.read(&mut read)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert!(connection.is_closed());
    let result = connection.exec("true", b"").await;
    assert!(matches!(result, Err(SshError::Disconnected { .. })), "{result:?}");
}

#[tokio::test]
async fn close_ends_the_connection_for_every_clone() {
    let line = line(&[]).await;
    let clone = line.connection.clone();
    assert!(!clone.is_closed());
    soon(line.connection.close()).await;
    assert!(clone.is_closed());
    assert!(matches!(clone.streamlocal("/x").await, Err(SshError::Disconnected { .. })));
}

#[tokio::test]
async fn a_connection_through_another_is_checked_and_used_like_any() {
    let line = line(&[]).await;
    let target = line.sshd.target();
    let hop = line.connection.tcp("127.0.0.1", line.sshd.port).await.unwrap();
    let inner = Connection::open_over(hop, &target, &line.agent.dialer()).await.unwrap();
    assert_eq!(inner.exec("echo hello", b"").await.unwrap().stdout_text(), "hello");
}
