//! Why another agent cannot be used, and what helps.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why the agent at a socket gives nothing.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// No such file.
    #[error("there is no socket {}", .0.display())]
    Missing(PathBuf),
    /// Something else lies there.
    #[error("{} is {what} and not a socket", path.display())]
    NotASocket {
        /// What was named.
        path: PathBuf,
        /// `a directory` or `a file`.
        what: &'static str,
    },
    /// The agent that made the socket is gone.
    #[error("nobody listens on the socket {}", .0.display())]
    NobodyListens(PathBuf),
    /// Rights keep this process from the socket.
    #[error("the {what} {owner} and this process is uid {our_uid}")]
    Denied {
        /// `socket` or `directory`.
        what: &'static str,
        /// Whose it is.
        owner: Owner,
        /// The effective uid of this process.
        our_uid: u32,
    },
    /// It took the connection and ended it without an answer.
    #[error("the agent at {} hung up{}", path.display(), of_another(.owner.as_ref(), *.our_uid))]
    HungUp {
        /// The socket.
        path: PathBuf,
        /// Whose it is, where that can be seen.
        owner: Option<Owner>,
        /// The effective uid of this process.
        our_uid: u32,
    },
    /// It took too long.
    #[error("the agent at {} did not answer within {} s", path.display(), patience.as_secs())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        patience: Duration,
    },
    /// It answered something that no agent answers.
    #[error("what listens on {} does not answer as an agent does", path.display())]
    Nonsense {
        /// The socket.
        path: PathBuf,
    },
    /// It refused to list.
    #[error("the agent at {} refuses to list its identities", path.display())]
    Declined {
        /// The socket.
        path: PathBuf,
    },
    /// Anything else that the system says.
    #[error("cannot use the agent at {}: {error}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
}

/// Whose a socket or a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The socket or directory.
    pub path: PathBuf,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permission bits.
    pub mode: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} belongs to uid {} (mode {:04o})", self.path.display(), self.uid, self.mode)
    }
}

/// An agent of another uid hangs up on principle; one of ours may have died.
fn of_another(owner: Option<&Owner>, our_uid: u32) -> String {
    match owner {
        Some(owner) if owner.uid != our_uid => {
            format!(
                ": an agent serves its own uid only; the socket belongs to uid {} and this process is uid {our_uid}",
                owner.uid
            )
        }
        _ => format!(" on uid {our_uid} without an answer"),
    }
}

impl UpstreamError {
    /// The next thing to do, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing(path) => format!(
                "start an agent, or mount its socket: -v \"$SSH_AUTH_SOCK\":{0} -e SSH_AUTH_SOCK={0}",
                path.display()
            ),
            Self::NotASocket { what: "a directory", .. } => {
                "an engine makes a directory where the socket to be mounted is not there: remove it on the host, start \
                 the agent and the container again"
                    .to_owned()
            }
            Self::NotASocket { .. } => "SSH_AUTH_SOCK must name an agent's socket: echo \"$SSH_AUTH_SOCK\"".to_owned(),
            Self::NobodyListens(_) => {
                "the agent has ended, or listens on a new socket: start it, and make the container anew".to_owned()
            }
            Self::Denied { owner, our_uid, .. } => rights(owner, *our_uid),
            Self::HungUp { owner: Some(owner), our_uid, .. } if owner.uid != *our_uid => rights(owner, *our_uid),
            Self::HungUp { .. } | Self::Silent { .. } | Self::Nonsense { .. } | Self::Declined { .. } => {
                "see whether it answers: ssh-add -l; or leave it alone: --no-upstream".to_owned()
            }
            Self::System { .. } => return None,
        })
    }
}

/// How a process comes to be the one that an agent serves.
fn rights(owner: &Owner, our_uid: u32) -> String {
    match owner.uid {
        0 => {
            "the socket is root's, and the toolbox does not run as root: start the agent as another user (in rootless \
              Podman, where you are root inside, run the container with --userns=keep-id)"
                .to_owned()
        }
        uid if uid == our_uid => format!("chmod u+rwX {}", owner.path.display()),
        uid => format!(
            "run the container with user: \"{uid}:{0}\" (TOOLBOX_UID={uid} and TOOLBOX_GID={0} in .env)",
            owner.gid
        ),
    }
}
