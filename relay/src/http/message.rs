//! One direction: message after message.
//!
//! Contract: [`Message::feed`] takes bytes up to the end of one message and reads its head once, when it is
//! whole. A head longer than the bound is doubtful. Line ends before a message (RFC 9112, section 2.2)
//! belong to none, but for the first one, where they may mean anything.

use super::chunked::Chunked;
use super::head::{Body, Doubt};
use super::line::Line;

/// Bytes of a head that is still to be understood; common servers take less.
pub(super) const MOST_HEAD: usize = 64 * 1024;

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Between,
    Head(Line),
    Length {
        left: u64,
        begun: bool,
    },
    Chunked {
        body: Chunked,
        begun: bool,
    },
    UntilClose,
}

/// One direction's place.
#[derive(Debug, Default)]
pub(super) struct Message {
    phase: Phase,
    /// The head so far, if it came in pieces.
    kept: Vec<u8>,
    /// Messages that ended.
    later: bool,
}

impl Message {
    /// Whether the next byte is the first of a message.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.phase, Phase::Between)
    }

    /// Whether a head is read whose body has not begun to come.
    pub(super) fn is_after_head(&self) -> bool {
        matches!(self.phase, Phase::Length { begun: false, .. } | Phase::Chunked { begun: false, .. })
    }

    /// Takes bytes, at most to the end of a message; how many.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&[u8]) -> Result<Body, Doubt>,
    ) -> Result<usize, Doubt> {
        let mut at = 0;
        if self.is_between() {
            at = if self.later { line_ends(bytes) } else { 0 };
            if at == bytes.len() {
                return Ok(at);
            }
            self.phase = Phase::Head(Line::Text);
        }
        if let Phase::Head(line) = &mut self.phase {
            let Some(length) = line.find_empty(&bytes[at..]) else {
                self.keep(&bytes[at..])?;
                return Ok(bytes.len());
            };
            self.phase = self.head(&bytes[at..at + length], read)?.into();
            at += length;
        }
        at += self.body(&bytes[at..])?;
        Ok(at)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Doubt> {
        if self.kept.len() + bytes.len() > MOST_HEAD {
            return Err(Doubt);
        }
        self.kept.extend_from_slice(bytes);
        Ok(())
    }

    fn head(&mut self, last: &[u8], read: impl FnOnce(&[u8]) -> Result<Body, Doubt>) -> Result<Body, Doubt> {
        if self.kept.is_empty() && last.len() <= MOST_HEAD {
            return read(last);
        }
        self.keep(last)?;
        read(&std::mem::take(&mut self.kept))
    }

    fn body(&mut self, bytes: &[u8]) -> Result<usize, Doubt> {
        let (taken, ended) = match &mut self.phase {
            Phase::Between | Phase::Head(_) => (0, false),
            Phase::Length { left, begun } => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                *begun |= taken > 0;
                (taken, *left == 0)
            }
            Phase::Chunked { body, begun } => {
                let fed = body.feed(bytes)?;
                *begun |= fed.taken > 0;
                (fed.taken, fed.ended)
            }
            Phase::UntilClose => (bytes.len(), false),
        };
        if ended {
            self.phase = Phase::Between;
        }
        self.later |= ended;
        Ok(taken)
    }
}

impl From<Body> for Phase {
    fn from(body: Body) -> Self {
        match body {
            Body::Nothing => Self::Length { left: 0, begun: false },
            Body::Length(left) => Self::Length { left, begun: false },
            Body::Chunked => Self::Chunked { body: Chunked::new(), begun: false },
            Body::UntilClose => Self::UntilClose,
        }
    }
}

fn line_ends(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}
