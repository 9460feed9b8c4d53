//! What one client's conversation passes upstream.
//!
//! Contract: the conversation with a client calls [`Relay::observe`] with each request before it answers it, and the
//! other two where its own keyring has no answer. Nothing here knows whether the keyring is locked: who calls does, and
//! then does not call.

use super::{Conversation, Fault, Identity, LONGEST_FRAME, MOST_IDENTITIES, Upstream, take_string};

const EXTENSION: u8 = 27;
const SESSION_BIND: &[u8] = b"session-bind@openssh.com";

/// One client's way upstream; without an upstream it leads nowhere.
pub(crate) struct Relay {
    upstream: Option<Upstream>,
    link: Link,
    /// Whether the client has bound this conversation to a session, or tried to.
    bound: bool,
}

enum Link {
    /// Not connected; the next question connects.
    Idle,
    Open(Conversation),
    /// Broken after a binding: not to be replaced.
    Spent,
}

impl Relay {
    /// A way to this agent; nothing is connected yet.
    pub(crate) fn new(upstream: Option<Upstream>) -> Self {
        Self { upstream, link: Link::Idle, bound: false }
    }

    /// Passes a session binding on, whatever becomes of it here. Any other request is left alone.
    pub(crate) async fn observe(&mut self, request: &[u8]) {
        if self.upstream.is_none() || !is_session_binding(request) {
            return;
        }
        self.bound = true;
        let Some(mut conversation) = self.take().await else {
            return;
        };
        // An agent that knows no bindings declines, and has no keys that depend on them.
        let result = conversation.bind(request).await;
        self.put_back(conversation, &result);
    }

    /// What upstream lists; nothing where it fails.
    pub(crate) async fn identities(&mut self) -> Vec<Identity> {
        let Some(mut conversation) = self.take().await else {
            return Vec::new();
        };
        let result = conversation.list().await;
        self.put_back(conversation, &result);
        result.unwrap_or_default()
    }

    /// Upstream's signature blob, or `None` where it refuses or fails.
    pub(crate) async fn sign(&mut self, blob: &[u8], data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let mut conversation = self.take().await?;
        let result = conversation.sign(blob, data, flags).await;
        self.put_back(conversation, &result);
        result.ok()
    }

    /// The connection, taken out so that a question that is given up half-way leaves none behind.
    async fn take(&mut self) -> Option<Conversation> {
        let upstream = self.upstream.as_ref()?;
        let if_it_breaks = if self.bound { Link::Spent } else { Link::Idle };
        match std::mem::replace(&mut self.link, if_it_breaks) {
            Link::Open(conversation) => Some(conversation),
            Link::Spent => None,
            Link::Idle => upstream.connect().await.ok(),
        }
    }

    fn put_back<T>(&mut self, conversation: Conversation, result: &Result<T, Fault>) {
        if result.as_ref().err().is_none_or(Fault::is_an_answer) {
            self.link = Link::Open(conversation);
        }
    }
}

fn is_session_binding(request: &[u8]) -> bool {
    matches!(request, [EXTENSION, rest @ ..] if take_string(&mut &*rest) == Some(SESSION_BIND))
}

/// Of upstream's identities those that may follow `count` of ours which take `bytes` in the list: each blob once, none
/// that we hold ourselves (`is_ours`), and no more than clients take.
pub(crate) fn following(
    theirs: Vec<Identity>,
    count: usize,
    bytes: usize,
    is_ours: impl Fn(&[u8]) -> bool,
) -> Vec<Identity> {
    let mut left = (LONGEST_FRAME - 5).saturating_sub(bytes);
    let mut taken: Vec<Identity> = Vec::new();
    for identity in theirs {
        let fits = count + taken.len() < MOST_IDENTITIES && listed(&identity) <= left;
        if fits && !is_ours(&identity.blob) && taken.iter().all(|known| known.blob != identity.blob) {
            left -= listed(&identity);
            taken.push(identity);
        }
    }
    taken
}

/// The bytes that an identity takes in a list: two strings, each with its length before it.
fn listed(identity: &Identity) -> usize {
    identity.blob.len() + identity.comment.len() + 8
}
