//! The word at which a relay switches.
//!
//! Contract: one JSON request and one JSON answer, each one line, over an abstract Unix socket, which only
//! processes of the same network namespace reach, and of those only the relay's own user and root. A switch
//! is answered when it is in force and on disk; what cannot be done changes nothing and is answered with
//! `{"error": …}`.

mod client;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdUnixListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

pub(crate) use client::main;

use crate::config::{ConfigError, Listen, Name, check, socket_name};
use crate::listen::{Bound, ListenError, Listeners, closed};
use crate::serve::shown;
use crate::state::{self, State};
use crate::target::{Count, Targets};

/// Bytes of a request.
const MOST_BYTES: u64 = 1024 * 1024;

/// What can be asked of a relay.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    /// New connections go to these targets; the ports become these, if any are given.
    Switch { targets: Vec<Name>, listen: Option<Vec<Listen>> },
    /// What is so now.
    Status {},
    /// Waits until these targets (all that are not current, if none are given) have no connection.
    Drain { targets: Option<Vec<Name>>, limit_ms: u64 },
}

/// What keeps a switch from being made.
#[derive(Debug, thiserror::Error)]
enum SwitchError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The disk is full, or may not be written to.
    #[error("the state cannot be written")]
    State(#[source] io::Error),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Status { listen: Vec<Listen>, targets: Vec<Name>, connections: BTreeMap<String, Count> },
    Drained { left: usize },
    Error { error: String },
}

/// A relay's side of the control.
pub(crate) struct Control {
    listeners: Mutex<Listeners>,
    targets: Arc<Targets>,
    directory: PathBuf,
}

impl Control {
    /// `directory` is where the state is kept.
    pub(crate) fn new(listeners: Listeners, targets: Arc<Targets>, directory: PathBuf) -> Arc<Self> {
        Arc::new(Self { listeners: Mutex::new(listeners), targets, directory })
    }

    /// Takes the socket.
    ///
    /// # Errors
    /// Another relay of this network namespace has it.
    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        let listener = StdUnixListener::bind_addr(&SocketAddr::from_abstract_name(socket_name())?)?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    }

    /// Answers for ever.
    pub(crate) async fn answer(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(Arc::clone(&self).one(stream))),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn one(self: Arc<Self>, stream: UnixStream) {
        if !is_ours(&stream) {
            return;
        }
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        if (&mut stream).take(MOST_BYTES).read_line(&mut line).await.is_err() {
            return;
        }
        let mut answer = serde_json::to_vec(&self.reply(&line).await).unwrap_or_default();
        answer.push(b'\n');
        // Who asked and is gone misses the answer only.
        let _ = stream.write_all(&answer).await;
    }

    async fn reply(&self, line: &str) -> Answer {
        match serde_json::from_str(line) {
            Ok(Request::Switch { targets, listen }) => self.switch(targets, listen).await,
            Ok(Request::Status {}) => self.status(),
            Ok(Request::Drain { targets, limit_ms }) => {
                let targets = targets.unwrap_or_else(|| self.leaving());
                Answer::Drained { left: self.targets.drain(Some(&targets), Duration::from_millis(limit_ms)).await }
            }
            Err(error) => Answer::Error { error: format!("the request cannot be read: {error}") },
        }
    }

    async fn switch(&self, targets: Vec<Name>, listen: Option<Vec<Listen>>) -> Answer {
        match self.set(targets, listen) {
            Ok(gone) => closed(gone).await,
            Err(error) => return Answer::Error { error: full(&error) },
        }
        eprintln!("toolbox-relay: new connections go to {}", shown(&self.targets));
        self.status()
    }

    /// Binds, writes, and only then changes anything. Gives the ports that go.
    fn set(&self, targets: Vec<Name>, listen: Option<Vec<Listen>>) -> Result<Vec<JoinHandle<()>>, SwitchError> {
        let mut listeners = self.listeners();
        let listen = listen.unwrap_or_else(|| listeners.list());
        check(&listen)?;
        let bound = listeners.bind(&listen)?;
        let state = State { listen, targets };
        state::write(&self.directory, &state).map_err(SwitchError::State)?;
        self.targets.switch(&state.targets);
        Ok(listeners.set(&state.listen, bound))
    }

    fn status(&self) -> Answer {
        let (targets, connections) = (self.targets.current(), self.targets.counts());
        Answer::Status { listen: self.listeners().list(), targets, connections }
    }

    fn leaving(&self) -> Vec<Name> {
        let current = self.targets.current();
        let names = self.targets.counts().into_keys().filter_map(|name| Name::try_from(name).ok());
        names.filter(|name| !current.contains(name)).collect()
    }

    /// Takes no more clients.
    pub(crate) async fn stop_listening(&self) {
        let gone = self.listeners().set(&[], Bound::default());
        closed(gone).await;
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

fn full(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
