use super::accept::may_speak;
use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn only_our_own_uid_and_root_may_speak() {
    for (peer, allowed) in [(Some(1000), true), (Some(0), true), (Some(1001), false), (None, false)] {
        assert_eq!(may_speak(peer, 1000), allowed, "{peer:?}");
    }
}

#[test]
fn socket_and_directory_are_ours_alone_and_go_with_their_owner() {
    let directory = tempfile::tempdir().unwrap();
    let socket = AgentSocket::in_private_directory(directory.path()).unwrap();
    let (path, made) = (socket.path().to_owned(), socket.path().parent().unwrap().to_owned());
    assert_eq!((mode(&path), mode(&made)), (0o600, 0o700));
    let name = made.file_name().unwrap().to_str().unwrap();
    assert_eq!((name.len(), &name[..4]), (16, "ssh-"));
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("agent.{}", std::process::id()));
    drop(socket);
    assert!(!made.exists());
}

#[test]
fn a_living_agent_is_left_alone_and_a_dead_one_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let socket = AgentSocket::bind(&path).unwrap();
    assert!(matches!(AgentSocket::bind(&path), Err(SocketError::Taken(_))));
    // What a killed process leaves: the file, and nobody behind it.
    drop(socket);
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = AgentSocket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "not a socket").unwrap();
    drop(socket);
    assert!(path.exists(), "only our own socket is removed");
    assert!(matches!(AgentSocket::bind(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(fs::read(&path).unwrap(), b"not a socket");
}

#[test]
fn paths_that_cannot_be_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("x".repeat(108));
    assert!(matches!(AgentSocket::bind(&long), Err(SocketError::TooLong(_))));
    let nowhere = directory.path().join("no/socket");
    assert!(matches!(AgentSocket::bind(&nowhere), Err(SocketError::System { .. })));
    let refused = AgentSocket::in_private_directory(&directory.path().join("no"));
    assert!(matches!(refused, Err(SocketError::Directory { .. })));
}

#[test]
fn a_socket_that_was_handed_over_is_removed_by_its_new_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let socket = AgentSocket::in_private_directory(directory.path()).unwrap();
    let heir = AgentSocket::inherited(socket.share().unwrap(), true).unwrap();
    let made = socket.path().parent().unwrap().to_owned();
    assert_eq!(heir.path(), socket.path());
    socket.hand_over();
    assert!(heir.path().exists());
    drop(heir);
    assert!(!made.exists());
    let (stream, _other) = UnixStream::pair().unwrap();
    assert!(matches!(AgentSocket::inherited(stream.into(), true), Err(SocketError::NotListening)));
}
