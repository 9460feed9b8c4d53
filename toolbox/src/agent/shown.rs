//! Text that others chose, made fit for the log and for errors.
//!
//! Contract: one line of at most [`MOST`] characters and what marks the cut, without control characters, so that it can
//! neither forge a line nor steer a terminal.

/// Most characters that are shown.
const MOST: usize = 80;

/// The text with everything escaped that does not print, and cut.
pub(crate) fn shown(text: &str) -> String {
    let mut escaped = text.escape_debug();
    let mut short: String = escaped.by_ref().take(MOST).collect();
    if escaped.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(shown("/usr/lib/a.so"), "/usr/lib/a.so");
        assert_eq!(shown("a\nb\u{1b}[2J\u{202e}"), "a\\nb\\u{1b}[2J\\u{202e}");
        assert_eq!(shown(&"x".repeat(MOST)), "x".repeat(MOST));
        assert_eq!(shown(&"\u{1b}".repeat(4096)).chars().count(), MOST + 1);
    }
}
