//! Lets clients in, and only those who may speak.
//!
//! Contract: every client is a task of its own, so that a slow, silent or never-reading one stalls nobody. Where the
//! system has no descriptor left the loop waits until a client goes, and looks again four times a second in case the
//! shortage was another process's.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use super::{AgentSocket, SocketError};
use crate::agent::Agent;
use crate::agent::protocol::session;

/// How long the loop waits at most when the system has no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(250);

/// Accepts for as long as it is polled. Inside a tokio runtime.
///
/// # Errors
/// The runtime cannot watch the socket.
pub(crate) async fn serve(agent: &Agent, socket: AgentSocket) -> Result<(), SocketError> {
    let AgentSocket { listener, place } = socket;
    let system = |error| SocketError::System { path: place.path.clone(), error };
    listener.set_nonblocking(true).map_err(system)?;
    let listener = UnixListener::from_std(listener).map_err(system)?;
    let gone = Arc::new(Notify::new());
    let mut in_want = false;
    loop {
        let accepted = listener.accept().await;
        if let (Err(error), false) = (&accepted, in_want) {
            // Once, and not four times a second.
            tracing::warn!(%error, "clients have to wait");
        }
        in_want = accepted.is_err();
        match accepted {
            Ok((stream, _)) if may_speak(peer_uid(&stream), our_uid()) => {
                let (agent, leaving) = (agent.clone(), Leaving(gone.clone()));
                tokio::spawn(async move {
                    let served = session::serve_while(agent, stream, is_there).await;
                    drop(leaving);
                    served
                });
            }
            Ok((stream, _)) => {
                tracing::warn!(uid = ?peer_uid(&stream), "a peer of another user was cut off");
            }
            Err(_) => {
                let _ = tokio::time::timeout(OUT_OF_DESCRIPTORS, gone.notified()).await;
            }
        }
    }
}

/// Tells the loop that a client's descriptor is free, however its task ends.
struct Leaving(Arc<Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Whether the client has not hung up. One that has only shut its sending side down waits for answers.
fn is_there(stream: &UnixStream) -> bool {
    let mut looked = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::HUP | PollFlags::ERR;
    poll(&mut looked, Some(&now)).is_err() || !looked[0].revents().intersects(gone)
}

fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn peer_uid(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok().map(|peer| peer.uid())
}

/// Ourselves and root; nobody whom the kernel does not name.
pub(super) fn may_speak(peer: Option<u32>, ours: u32) -> bool {
    peer.is_some_and(|peer| peer == ours || peer == 0)
}
