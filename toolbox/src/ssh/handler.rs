//! What russh tells us while a session runs, kept where errors can find it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::sync::{Notify, watch};

use super::SshError;
use super::forward::Listeners;
use super::host_key::HostKeyPolicy;

/// How long the server's words about a refused channel may lag behind the refusal. Both come from
/// one packet, so this only bounds scheduling.
const WORDS_LAG: Duration = Duration::from_millis(500);

/// At most so many unclaimed words are kept; a server that sends more is not worth listening to.
const WORDS_KEPT: usize = 64;

/// An error inside the session: ours (a host key verdict) or russh's.
#[derive(Debug)]
pub(super) enum SessionError {
    Verdict(SshError),
    Russh(russh::Error),
}

impl From<russh::Error> for SessionError {
    fn from(error: russh::Error) -> Self {
        Self::Russh(error)
    }
}

/// What a session leaves behind for those who use it.
#[derive(Debug, Default)]
pub(super) struct SessionNotes {
    banner: Mutex<String>,
    host_key: Mutex<Option<String>>,
    end: Mutex<Option<String>>,
    words: Mutex<VecDeque<(ChannelOpenFailure, String)>>,
    words_added: Notify,
    listeners: Listeners,
}

impl SessionNotes {
    /// What the server showed before the login.
    pub(super) fn banner(&self) -> Option<String> {
        let banner = lock(&self.banner).trim().to_owned();
        (!banner.is_empty()).then_some(banner)
    }

    /// The type of the host key that was accepted.
    pub(super) fn host_key(&self) -> Option<String> {
        lock(&self.host_key).clone()
    }

    /// The ports of the host whose connections arrive here.
    pub(super) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Why the session ended, if it is known: a connection cut by force leaves no reason.
    pub(super) fn end(&self) -> Option<String> {
        lock(&self.end).clone()
    }

    /// The server's own words about a channel that it refused with `reason`.
    ///
    /// The protocol's reply names a channel number that the opener never learns, so words are
    /// claimed by reason: with several refusals at once two openers may swap theirs.
    pub(super) async fn claim_words(&self, reason: &ChannelOpenFailure) -> Option<String> {
        let claim = async {
            loop {
                let added = self.words_added.notified();
                if let Some(words) = self.take_words(reason) {
                    return words;
                }
                added.await;
            }
        };
        tokio::time::timeout(WORDS_LAG, claim).await.ok().filter(|words| !words.is_empty())
    }

    fn take_words(&self, reason: &ChannelOpenFailure) -> Option<String> {
        let mut words = lock(&self.words);
        let index = words.iter().position(|(known, _)| known == reason)?;
        words.remove(index).map(|(_, words)| words)
    }

    fn add_words(&self, reason: ChannelOpenFailure, text: &str) {
        let mut words = lock(&self.words);
        if words.len() == WORDS_KEPT {
            words.pop_front();
        }
        words.push_back((reason, text.trim().to_owned()));
        self.words_added.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handler of one session. Lives exactly as long as the session runs.
pub(super) struct SessionHandler {
    policy: HostKeyPolicy,
    notes: Arc<SessionNotes>,
    /// Never sent to: its end is the message.
    _alive: watch::Sender<()>,
}

impl SessionHandler {
    /// A handler, and a receiver whose `changed` fails once the session is over.
    pub(super) fn new(policy: HostKeyPolicy, notes: Arc<SessionNotes>) -> (Self, watch::Receiver<()>) {
        let (alive, over) = watch::channel(());
        (Self { policy, notes, _alive: alive }, over)
    }
}

impl Handler for SessionHandler {
    type Error = SessionError;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, SessionError> {
        self.policy.check(presented).map_err(SessionError::Verdict)?;
        let kind = presented.public_key().algorithm().to_string();
        let certified = if presented.certificate().is_some() { " certificate" } else { "" };
        *lock(&self.notes.host_key) = Some(format!("{kind}{certified}"));
        Ok(true)
    }

    async fn auth_banner(&mut self, banner: &str, _session: &mut Session) -> Result<(), SessionError> {
        lock(&self.notes.banner).push_str(banner);
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        self.notes.add_words(reason, description);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        match self.notes.listeners.place(address, port, originator) {
            Ok(place) => {
                reply.accept().await;
                place.take(channel);
            }
            Err(reason) => reply.reject(reason).await,
        }
        Ok(())
    }

    // What nobody here asks for is refused: russh would accept it.

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        refuse(reply).await
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        refuse(reply).await
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        refuse(reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), SessionError> {
        refuse(reply).await
    }

    async fn disconnected(&mut self, reason: DisconnectReason<SessionError>) -> Result<(), SessionError> {
        let words = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the server says {:?}", info.message.trim())
            }
            DisconnectReason::Error(SessionError::Russh(error)) => describe(&error),
            DisconnectReason::Error(SessionError::Verdict(verdict)) => verdict.to_string(),
        };
        *lock(&self.notes.end) = Some(words);
        Ok(())
    }
}

async fn refuse(reply: ChannelOpenHandle) -> Result<(), SessionError> {
    reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    Ok(())
}

/// russh's errors at the end of a session, in words for people.
pub(super) fn describe(error: &russh::Error) -> String {
    match error {
        russh::Error::Disconnect | russh::Error::HUP => "the connection was closed".to_owned(),
        russh::Error::IO(error) => error.to_string(),
        russh::Error::KeepaliveTimeout => "the server no longer answers".to_owned(),
        russh::Error::SendError | russh::Error::RecvError => "the connection is closed".to_owned(),
        other => {
            let text = other.to_string();
            let mut chars = text.chars();
            chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}
