//! A port of the host whose connections arrive here, over a real sshd.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use toolbox::ssh::SshError;

use crate::ssh_channels::{line, soon};

#[tokio::test]
async fn connections_to_the_hosts_port_arrive_here_and_close_one_direction_at_a_time() {
    let line = line(&[]).await;
    let mut forward = line.connection.forward_from_host().await.unwrap();
    let port = forward.port();
    let answering = tokio::spawn(async move {
        for _ in 0..3 {
            let mut stream = forward.accept().await.unwrap();
            tokio::spawn(async move {
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).await.unwrap();
                heard.extend(b" and good evening");
                stream.write_all(&heard).await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
        forward
    });
    for text in ["hello", "good morning", ""] {
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(text.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        soon(client.read_to_string(&mut heard)).await.unwrap();
        assert_eq!(heard, format!("{text} and good evening"));
    }
    drop(answering.await.unwrap());
}

#[tokio::test]
async fn two_ports_are_told_apart_and_a_dropped_one_listens_no_more() {
    let line = line(&[]).await;
    let mut first = line.connection.forward_from_host().await.unwrap();
    let second = line.connection.forward_from_host().await.unwrap();
    let (port, dropped) = (first.port(), second.port());
    drop(second);
    // The server answers requests in order: when this one is answered, the port is closed.
    assert!(line.connection.forward_from_host().await.unwrap().port() > 0);
    let error = TcpStream::connect(("127.0.0.1", dropped)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(soon(first.accept()).await.is_some());
    drop(client);
}

#[tokio::test]
async fn with_the_connection_the_port_ends() {
    let line = line(&[]).await;
    let mut forward = line.connection.forward_from_host().await.unwrap();
    soon(line.connection.close()).await;
    assert!(soon(forward.accept()).await.is_none());
    let error = line.connection.forward_from_host().await.unwrap_err();
    assert!(matches!(error, SshError::Disconnected { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_nobody_takes_in_holds_up_nothing() {
    let line = line(&[]).await;
    let forward = line.connection.forward_from_host().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = TcpStream::connect(("127.0.0.1", forward.port())).await.unwrap();
        client.write_all(&[b'x'; 4096]).await.unwrap();
        clients.push(client);
    }
    // Those for whom there is no place are closed; the control connection goes on.
    let output = soon(line.connection.exec("echo still here", b"")).await.unwrap();
    assert_eq!(output.stdout_text(), "still here");
    let mut closed = 0;
    for client in &mut clients[8..] {
        closed += usize::from(matches!(soon(client.read(&mut [0])).await, Ok(0) | Err(_)));
    }
    assert_eq!(closed, 4);
}

#[tokio::test]
async fn a_server_that_forbids_it_is_told_with_the_settings() {
    for setting in ["AllowTcpForwarding no", "AllowTcpForwarding local", "PermitListen none", "DisableForwarding yes"] {
        let line = line(&[setting]).await;
        let error = soon(line.connection.forward_from_host()).await.unwrap_err();
        let SshError::ChannelRefused { ref what, .. } = error else { panic!("{setting}: {error:?}") };
        assert_eq!(what, "to forward a port of its own to this machine", "{setting}");
        let hint = error.hint().unwrap();
        let name = setting.split(' ').next().unwrap();
        assert!(hint.contains(name), "{setting}: {hint}");
        // And the connection is of use for everything else.
        assert!(line.connection.exec("true", b"").await.unwrap().success());
    }
}
