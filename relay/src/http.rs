//! Where one connection's HTTP/1 messages begin and end (RFC 9112), both ways, while the bytes pass unchanged.
//!
//! Contract: pure; told of the bytes that go each way, [`Exchange`] says up to where they may go before a
//! new request begins, and whether the connection is between two requests, which is when it can be moved
//! to another server. However the bytes are cut, it says the same. What it does not understand beyond
//! doubt makes it opaque for good: such a connection is never moved. Memory is
//! bounded: a copy of one unfinished head each way, and a few bytes for each unanswered request.
//!
//! Deliberately absent: judging messages, changing them, HTTP/2 (which is opaque).

mod chunked;
mod head;
mod line;
mod message;

use std::collections::VecDeque;

use head::{Asked, Body, Doubt};
use message::Message;

/// Requests that may wait for their answers on one connection; the next one waits in the client's socket.
const MOST_UNANSWERED: usize = 128;

/// What is known of one connection's messages.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    request: Message,
    response: Message,
    unanswered: VecDeque<Asked>,
    continued: bool,
    closing: bool,
    opaque: bool,
    touched: bool,
}

impl Exchange {
    /// Takes bytes from the client; how many of them may go on to the server. Never more than to the end of
    /// one request: call again for the rest, if [`may_begin`](Self::may_begin).
    pub(crate) fn request(&mut self, bytes: &[u8]) -> usize {
        self.touched |= !bytes.is_empty();
        if self.opaque {
            return bytes.len();
        }
        let Self { request, unanswered, continued, closing, .. } = self;
        let fed = request.feed(bytes, |head| {
            let (asked, body, close) = head::request(head)?;
            unanswered.push_back(asked);
            *continued = false;
            *closing |= close;
            Ok(body)
        });
        fed.unwrap_or_else(|Doubt| self.give_up(bytes))
    }

    /// Takes bytes from the server. All of them may go on to the client.
    pub(crate) fn response(&mut self, bytes: &[u8]) {
        self.touched |= !bytes.is_empty();
        let mut rest = bytes;
        while !rest.is_empty() && !self.opaque {
            let taken = self.one_response(rest).unwrap_or_else(|Doubt| self.give_up(rest));
            rest = &rest[taken..];
        }
    }

    fn one_response(&mut self, bytes: &[u8]) -> Result<usize, Doubt> {
        let Self { request, response, unanswered, continued, closing, .. } = self;
        if response.is_between() && unanswered.is_empty() {
            return Err(Doubt);
        }
        response.feed(bytes, |head| {
            let answer = head::response(head, unanswered.front())?;
            if answer.interim {
                *continued |= answer.status == 100;
                return Ok(Body::Nothing);
            }
            *closing |= answer.close;
            let asked = unanswered.pop_front().ok_or(Doubt)?;
            // The client may now send the body or leave it (RFC 9110, 10.1.1): nobody can tell which.
            let undecided = asked.expects && !*continued && unanswered.is_empty() && request.is_after_head();
            if undecided { Err(Doubt) } else { Ok(answer.body) }
        })
    }

    fn give_up(&mut self, bytes: &[u8]) -> usize {
        self.opaque = true;
        self.request = Message::default();
        self.response = Message::default();
        self.unanswered = VecDeque::new();
        bytes.len()
    }

    /// Whether the client's next byte is the first of a request.
    pub(crate) fn is_at_request(&self) -> bool {
        !self.opaque && self.request.is_between()
    }

    /// Whether one more request may go out.
    pub(crate) fn may_begin(&self) -> bool {
        self.unanswered.len() < MOST_UNANSWERED
    }

    /// Whether every request that has begun is answered, if not all of it was sent.
    pub(crate) fn is_answered(&self) -> bool {
        !self.opaque && self.response.is_between() && self.unanswered.is_empty()
    }

    /// Whether every request is answered and none has begun, so that nothing is lost with the server's side.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_at_request() && self.is_answered()
    }

    /// Whether one side has said that this connection ends after what is on its way.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    #[cfg(test)]
    fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// Whether any byte has gone either way.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }
}

#[cfg(test)]
mod tests;
