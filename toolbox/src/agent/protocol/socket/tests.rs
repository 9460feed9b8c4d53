use super::*;

#[test]
fn only_our_own_uid_and_root_may_speak() {
    for (peer, allowed) in [(Some(1000), true), (Some(0), true), (Some(1001), false), (None, false)] {
        assert_eq!(may_speak(peer, 1000), allowed, "{peer:?}");
    }
}

#[tokio::test]
async fn the_socket_is_ours_alone_and_goes_with_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent/socket");
    let socket = AgentSocket::bind(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_living_agent_is_left_alone_and_a_dead_one_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/socket");
    let socket = AgentSocket::bind(&path).unwrap();
    assert!(matches!(AgentSocket::bind(&path), Err(SocketError::Taken(_))));
    // What a killed process leaves: the file, and nobody behind it.
    drop(socket);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = AgentSocket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "not a socket").unwrap();
    drop(socket);
    assert!(path.exists(), "only our own socket is removed");
    assert!(matches!(AgentSocket::bind(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(fs::read(&path).unwrap(), b"not a socket");
}

#[tokio::test]
async fn a_directory_that_others_can_enter_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
    let refused = AgentSocket::bind(&directory.path().join("socket"));
    assert!(matches!(refused, Err(SocketError::OpenDirectory { mode: 0o711, .. })));
    let long = directory.path().join("x".repeat(108));
    assert!(matches!(AgentSocket::bind(&long), Err(SocketError::TooLong(_))));
}
