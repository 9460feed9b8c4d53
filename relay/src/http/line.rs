//! The empty line that ends a head, or trailers.
//!
//! Contract: finds it however the bytes are cut. A bare LF ends a line as CRLF does, as httparse has it.

/// Where in its line a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// At the start.
    Start,
    /// After a CR at the start.
    StartCr,
    /// Elsewhere.
    Text,
}

impl Line {
    /// How many bytes there are up to and with the empty line; `None` if it is not here yet.
    pub(super) fn find_empty(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::Start | Self::StartCr, b'\n') => return Some(at + 1),
                (_, b'\n') => Self::Start,
                (Self::Start, b'\r') => Self::StartCr,
                _ => Self::Text,
            };
        }
        None
    }
}
