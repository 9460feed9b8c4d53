//! Sockets that lead nowhere: each named with its reason and the fix.

use std::fs;
use std::path::Path;

use super::super::error::Owner;
use super::*;

#[track_caller]
fn told(error: &UpstreamError, message: &str, hint: &str) {
    assert_eq!(error.to_string(), message);
    let shown = error.hint().unwrap_or_default();
    assert!(shown.contains(hint), "{hint:?} in {shown:?}");
}

async fn failure(path: &Path) -> UpstreamError {
    Upstream::at(path).identities().await.unwrap_err()
}

#[tokio::test]
async fn what_is_no_living_socket_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let shown = |name: &str| path(name).display().to_string();
    told(&failure(&path("missing")).await, &format!("there is no socket {}", shown("missing")), "mount its socket");
    fs::create_dir(path("directory")).unwrap();
    let message = format!("{} is a directory and not a socket", shown("directory"));
    told(&failure(&path("directory")).await, &message, "remove it on the host");
    fs::write(path("file"), "").unwrap();
    told(&failure(&path("file")).await, &format!("{} is a file and not a socket", shown("file")), "SSH_AUTH_SOCK must");
    drop(UnixListener::bind(path("dead")).unwrap());
    told(
        &failure(&path("dead")).await,
        &format!("nobody listens on the socket {}", shown("dead")),
        "make the container anew",
    );
}

#[tokio::test]
async fn one_that_hangs_up_and_is_ours_may_have_died() {
    let fake = Fake::new(|_| Reply::HangUp);
    let error = fake.upstream().identities().await.unwrap_err();
    let uid = rustix::process::geteuid().as_raw();
    let socket = fake.directory.path().join("socket");
    let message = format!("the agent at {} hung up on uid {uid} without an answer", socket.display());
    told(&error, &message, "ssh-add -l");
}

#[tokio::test]
async fn one_that_refuses_to_list_is_told() {
    let fake = Fake::new(|_| Reply::Body(vec![FAILURE]));
    let error = fake.upstream().identities().await.unwrap_err();
    assert!(matches!(error, UpstreamError::Declined { .. }), "{error:?}");
}

fn owner(uid: u32) -> Owner {
    Owner { path: "/run/agent.sock".into(), uid, gid: 1001, mode: 0o600 }
}

#[test]
fn rights_that_do_not_fit_name_owner_and_fix() {
    let denied = |uid| UpstreamError::Denied { what: "socket", owner: owner(uid), our_uid: 65532 };
    told(
        &denied(1000),
        "the socket /run/agent.sock belongs to uid 1000 (mode 0600) and this process is uid 65532",
        "user: \"1000:1001\" (TOOLBOX_UID=1000 and TOOLBOX_GID=1001 in .env)",
    );
    assert!(denied(0).hint().unwrap().contains("as another user"));
    assert_eq!(denied(65532).hint().unwrap(), "chmod u+rwX /run/agent.sock");
    let hung_up = UpstreamError::HungUp { path: "/run/agent.sock".into(), owner: Some(owner(1000)), our_uid: 65532 };
    told(
        &hung_up,
        "the agent at /run/agent.sock hung up: an agent serves its own uid only; the socket belongs to uid 1000 and this \
         process is uid 65532",
        "user: \"1000:1001\"",
    );
}
