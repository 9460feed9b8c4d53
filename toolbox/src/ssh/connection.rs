//! A connection to a host, from the first packet to the last.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::client::{Handle, Handler, Msg, connect_stream};
use russh::keys::PublicKey;
use russh::{Channel, ChannelOpenFailure, Disconnect, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;

use super::channel::{Incoming, Overflow};
use super::config::{COMPRESSED, Chosen, PLAIN, config};
use super::forward::Listeners;
use super::handler::{SessionError, SessionHandler, SessionNotes, describe};
use super::host_key::HostKeyPolicy;
use super::prompt::Goodbye;
use super::road::{self, Road};
use super::room::Room;
use super::tap::{Heard, Tap};
use super::{AgentDialer, ChannelStream, SshError, Target, Timeouts, auth, busy};

/// How long [`Connection::close`] waits for the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// An authenticated connection to a host. Cheap to clone: all clones are one connection, which ends
/// when the last of them and of their streams is gone, or with [`Connection::close`].
#[derive(Clone)]
pub struct Connection(pub(super) Arc<Inner>);

pub(super) struct Inner {
    handle: Handle<SessionHandler>,
    peer: Arc<Peer>,
    overflow: Overflow,
    over: watch::Receiver<()>,
    identity: PublicKey,
    /// The connection that carries this one.
    _hop: Option<Connection>,
    goodbye: Goodbye,
    pub(super) timeouts: Timeouts,
    pub(super) room: Room,
}

/// What holds for the other side before anything is sent.
struct Terms {
    policy: HostKeyPolicy,
    chosen: Chosen,
    room: Room,
}

impl Terms {
    fn of(target: &Target) -> Result<Self, SshError> {
        Ok(Self { policy: HostKeyPolicy::of(target)?, chosen: Chosen::of(target)?, room: Room::default() })
    }
}

/// Who is on the other side, for messages, and what the session left about its end.
pub(super) struct Peer {
    pub(super) address: String,
    label: String,
    notes: Arc<SessionNotes>,
}

impl Peer {
    /// The error for a connection that is gone.
    pub(super) fn lost(&self) -> SshError {
        let reason = self.notes.end().unwrap_or_else(|| "it broke off".to_owned());
        SshError::Disconnected { address: self.address.clone(), reason }
    }

    /// The ports of the host whose connections arrive here.
    pub(super) fn listeners(&self) -> &Listeners {
        self.notes.listeners()
    }
}

/// A channel to be opened.
#[derive(Clone)]
pub(super) enum Wanted {
    Session,
    Socket(String),
    Port(String, u16),
}

impl Connection {
    /// Connects, checks the host key and logs in through the agent.
    ///
    /// This connection is for control: a stream of it whose reader leaves 32 MiB unread fails, so
    /// that it cannot hold up the others.
    ///
    /// # Errors
    /// Nearly every [`SshError`]; [`SshError::hint`] has the next step. What goes wrong on the way is a
    /// [`SshError::Hop`] or [`SshError::HopRefused`].
    pub async fn open(target: &Target, agent: &AgentDialer) -> Result<Self, SshError> {
        Self::establish(target, agent, Overflow::Fail).await
    }

    /// As [`Connection::open`], for bulk data: a reader that is slow slows the sender down, and with
    /// it every other channel of this connection.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn open_bulk(target: &Target, agent: &AgentDialer) -> Result<Self, SshError> {
        Self::establish(target, agent, Overflow::Wait).await
    }

    /// As [`Connection::open`], over a stream that leads to the target's sshd already, such as a
    /// channel from a jump host.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn open_over<S>(stream: S, target: &Target, agent: &AgentDialer) -> Result<Self, SshError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let terms = Terms::of(target)?;
        Self::introduce(Road::over(stream), terms, target, agent, Overflow::Fail).await
    }

    /// Connects from the host to a Unix socket on it (`direct-streamlocal@openssh.com`).
    ///
    /// # Errors
    /// [`SshError::ChannelRefused`] when there is no such socket, the user may not open it, or sshd
    /// says `AllowStreamLocalForwarding no`: OpenSSH does not tell which. [`SshError::Disconnected`].
    pub async fn streamlocal(&self, path: &str) -> Result<ChannelStream, SshError> {
        let incoming = self.channel(Wanted::Socket(path.to_owned())).await?;
        Ok(ChannelStream::new(incoming, self.peer(), None))
    }

    /// Connects from the host to a TCP port (`direct-tcpip`).
    ///
    /// # Errors
    /// [`SshError::ChannelRefused`], with the host's words where it has any; [`SshError::Disconnected`].
    pub async fn tcp(&self, host: &str, port: u16) -> Result<ChannelStream, SshError> {
        let incoming = self.channel(Wanted::Port(host.to_owned(), port)).await?;
        Ok(ChannelStream::new(incoming, self.peer(), None))
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.handle.is_closed()
    }

    /// Says goodbye and waits for the end, 2 seconds at most. Streams that are still open fail.
    pub async fn close(&self) {
        self.0.goodbye.say();
        let goodbye = self.0.handle.disconnect(Disconnect::ByApplication, "done", "");
        let mut over = self.0.over.clone();
        let end = async {
            let _ = goodbye.await;
            // Fails, as wanted, when the session drops its handler.
            while over.changed().await.is_ok() {}
        };
        let _ = timeout(GOODBYE, end).await;
        if let Some(next) = self.0.room.next() {
            Box::pin(next.close()).await;
        }
    }

    /// Whether the server allowed fewer sessions at a time than were wanted (`MaxSessions`), so that another connection
    /// was opened for them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.room.next().is_some()
    }

    /// The address as given in the target.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.peer.address
    }

    /// The key that the server accepted; a certificate's is the one that it certifies.
    #[must_use]
    pub fn identity(&self) -> &PublicKey {
        &self.0.identity
    }

    /// What the server proved itself by: the type of its host key, with a word where it was a certificate.
    #[must_use]
    pub fn host_key(&self) -> Option<String> {
        self.0.peer.notes.host_key()
    }

    /// What the server showed before the login, if anything.
    #[must_use]
    pub fn banner(&self) -> Option<String> {
        self.0.peer.notes.banner()
    }

    pub(super) fn handle(&self) -> &Handle<SessionHandler> {
        &self.0.handle
    }

    /// Its `changed` fails once the connection is gone.
    pub(super) fn over(&self) -> watch::Receiver<()> {
        self.0.over.clone()
    }

    pub(super) fn peer(&self) -> Arc<Peer> {
        self.0.peer.clone()
    }

    /// Opens a channel, in a task of its own: when the caller gives up in between, the channel is
    /// still closed on the host as soon as it exists.
    pub(super) async fn channel(&self, wanted: Wanted) -> Result<Incoming, SshError> {
        let connection = self.clone();
        let opening = tokio::spawn(async move {
            match wanted.open(&connection.0.handle).await {
                Ok(channel) => Ok(Incoming::new(channel, connection.0.overflow)),
                Err(Error::ChannelOpenFailure(reason)) => Err(connection.refused(&wanted, &reason).await),
                Err(_) => Err(connection.0.peer.lost()),
            }
        });
        opening.await.unwrap_or_else(|_| Err(self.0.peer.lost()))
    }

    async fn refused(&self, wanted: &Wanted, reason: &ChannelOpenFailure) -> SshError {
        let name = reason.description().to_lowercase();
        let reason = match self.0.peer.notes.claim_words(reason).await {
            Some(words) if words != name => format!("{name} ({words})"),
            _ => name,
        };
        SshError::ChannelRefused { address: self.address().to_owned(), what: wanted.to_string(), reason }
    }

    /// A stream to the host behind this one.
    pub(super) async fn next(&self, target: &Target) -> Result<ChannelStream, SshError> {
        let stream = self.tcp(target.bare_address(), target.port).await;
        stream.map_err(|error| match error {
            SshError::ChannelRefused { reason, .. } => SshError::HopRefused {
                hop: self.0.peer.label.clone(),
                address: target.address.clone(),
                port: target.port,
                reason,
            },
            other => SshError::Hop { hop: self.0.peer.label.clone(), source: Arc::new(other) },
        })
    }

    pub(super) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    /// The connection, if somebody still has it and it is not gone.
    pub(super) fn upgrade(weak: &Weak<Inner>) -> Option<Self> {
        weak.upgrade().map(Self).filter(|connection| !connection.is_closed())
    }

    pub(super) async fn establish(target: &Target, agent: &AgentDialer, overflow: Overflow) -> Result<Self, SshError> {
        busy::until_let_in(|| Self::attempt(target, agent, overflow)).await
    }

    async fn attempt(target: &Target, agent: &AgentDialer, overflow: Overflow) -> Result<Self, SshError> {
        // Before anything is sent: what is wrong on this side must not depend on the host.
        let terms = Terms { room: Room::with(target, agent, overflow), ..Terms::of(target)? };
        let mut road = Road::open(target, agent, overflow).await?;
        let command = road.command.take();
        match Self::introduce(road, terms, target, agent, overflow).await {
            Err(error) => Err(road::instead_of(command, error).await),
            opened => opened,
        }
    }

    async fn introduce(
        road: Road,
        terms: Terms,
        target: &Target,
        agent: &AgentDialer,
        overflow: Overflow,
    ) -> Result<Self, SshError> {
        let Road { stream, hop, goodbye, .. } = road;
        let notes = Arc::new(SessionNotes::default());
        let Terms { policy, chosen, room } = terms;
        let plain = matches!(overflow, Overflow::Wait) || !target.compression;
        let compression = if plain { PLAIN } else { COMPRESSED };
        let rsa = timeout(target.timeouts.auth, auth::may_use_rsa(agent)).await.unwrap_or(true);
        let config = Arc::new(config(&policy, &chosen, &target.timeouts, compression, rsa));
        let (handler, over) = SessionHandler::new(policy, notes.clone());
        let (stream, heard) = Tap::new(stream);
        let handshake = connect_stream(config, stream, handler);
        let mut handle = shake_hands(handshake, target, &heard, &notes).await?;
        let login = timeout(target.timeouts.auth, auth::log_in(&mut handle, target, agent, &notes));
        let identity = login.await.map_err(|_| SshError::AuthTimedOut {
            user: target.user.clone(),
            address: target.address.clone(),
            seconds: target.timeouts.auth.as_secs(),
        })??;
        let peer = Arc::new(Peer { address: target.address.clone(), label: target.label(), notes });
        let timeouts = target.timeouts;
        Ok(Self(Arc::new(Inner { handle, peer, overflow, over, identity, _hop: hop, goodbye, timeouts, room })))
    }
}

impl Wanted {
    async fn open(&self, handle: &Handle<SessionHandler>) -> Result<Channel<Msg>, Error> {
        match self {
            Self::Session => handle.channel_open_session().await,
            Self::Socket(path) => handle.channel_open_direct_streamlocal(path.as_str()).await,
            Self::Port(host, port) => {
                handle.channel_open_direct_tcpip(host.as_str(), u32::from(*port), "127.0.0.1", 0).await
            }
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("a session"),
            Self::Socket(path) => write!(f, "the socket {path}"),
            Self::Port(host, port) => write!(f, "a connection to {host}:{port}"),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Waits for the end of the handshake and says what was wrong with it.
pub(super) async fn shake_hands<H: Handler>(
    handshake: impl Future<Output = Result<Handle<H>, SessionError>>,
    target: &Target,
    heard: &Heard,
    notes: &SessionNotes,
) -> Result<Handle<H>, SshError> {
    let (address, port) = (target.address.clone(), target.port);
    let not_ssh = |address| SshError::NotSsh { address, port, said: heard.first_line() };
    match timeout(target.timeouts.handshake, handshake).await {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(SessionError::Verdict(verdict))) => Err(verdict),
        Ok(Err(SessionError::Russh(Error::NoCommonAlgo { kind, ours, theirs }))) => {
            Err(SshError::NoCommonAlgorithm { address, port, kind: kind_name(&kind), ours, theirs })
        }
        Ok(Err(_)) if !heard.is_ssh() && busy::may_be(&heard.first_line()) => {
            Err(SshError::HungUp { address, port, said: heard.first_line(), times: 1 })
        }
        Ok(Err(_)) if !heard.is_ssh() => Err(not_ssh(address)),
        Ok(Err(SessionError::Russh(error))) => {
            let reason = notes.end().unwrap_or_else(|| describe(&error));
            Err(SshError::Handshake { address, port, reason })
        }
        Err(_) if heard.is_ssh() => {
            Err(SshError::HandshakeTimedOut { address, port, seconds: target.timeouts.handshake.as_secs() })
        }
        Err(_) => Err(not_ssh(address)),
    }
}

fn kind_name(kind: &russh::AlgorithmKind) -> &'static str {
    match kind {
        russh::AlgorithmKind::Kex => "key exchange",
        russh::AlgorithmKind::Key => "host key",
        russh::AlgorithmKind::Cipher => "cipher",
        russh::AlgorithmKind::Compression => "compression",
        russh::AlgorithmKind::Mac => "mac",
    }
}
