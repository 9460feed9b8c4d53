//! Lines of many logs, each with the name of its source before it, as `docker compose logs` shows them.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

/// A line that is longer is broken into lines, in bytes.
const LONGEST: usize = 256 << 10;

/// Colours of sources, one after the other (SGR parameters).
const COLOURS: [&str; 6] = ["36", "33", "32", "35", "34", "96"];

/// How lines are shown.
#[derive(Debug, Clone)]
pub struct LogStyle {
    prefix: bool,
    /// For standard output and for standard error.
    colours: [bool; 2],
    width: Arc<AtomicUsize>,
    sources: Arc<AtomicUsize>,
}

impl LogStyle {
    /// With or without prefixes; colours only on a terminal and without `NO_COLOR`.
    pub fn new(prefix: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let terminals = [std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
        let colours = terminals.map(|terminal| terminal && wanted);
        Self { prefix, colours, width: Arc::default(), sources: Arc::default() }
    }

    /// A further source of lines. Columns are as wide as the longest name so far.
    pub fn source(&self, name: &str) -> LogLines {
        self.width.fetch_max(name.chars().count(), Ordering::Relaxed);
        let number = self.sources.fetch_add(1, Ordering::Relaxed);
        let colour = COLOURS[number % COLOURS.len()];
        LogLines { style: self.clone(), name: name.to_owned(), colour, begun: [BytesMut::new(), BytesMut::new()] }
    }
}

/// One source: its output comes in as it is cut, and goes out in whole lines.
#[derive(Debug)]
pub struct LogLines {
    style: LogStyle,
    name: String,
    colour: &'static str,
    /// What has no end yet, of standard output and of standard error.
    begun: [BytesMut; 2],
}

impl LogLines {
    /// The lines that end in this piece, with their prefixes, as one piece of text; empty where none does.
    pub fn take(&mut self, error: bool, bytes: &[u8]) -> Bytes {
        let mut text = BytesMut::new();
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            self.begun[usize::from(error)].extend_from_slice(part);
            if part.ends_with(b"\n") || self.begun[usize::from(error)].len() >= LONGEST {
                self.end_line(error, &mut text);
            }
        }
        text.freeze()
    }

    /// Last lines that were not ended: of standard output, and of standard error.
    pub fn rest(mut self) -> [Bytes; 2] {
        [false, true].map(|error| {
            let mut text = BytesMut::new();
            if !self.begun[usize::from(error)].is_empty() {
                self.end_line(error, &mut text);
            }
            text.freeze()
        })
    }

    fn end_line(&mut self, error: bool, text: &mut BytesMut) {
        text.extend_from_slice(self.prefix(error).as_bytes());
        let line = self.begun[usize::from(error)].split();
        text.extend_from_slice(&line);
        if !line.ends_with(b"\n") {
            text.extend_from_slice(b"\n");
        }
    }

    fn prefix(&self, error: bool) -> String {
        if !self.style.prefix {
            return String::new();
        }
        let (name, width) = (&self.name, self.style.width.load(Ordering::Relaxed));
        let padded = format!("{name:<width$} | ");
        if self.style.colours[usize::from(error)] { format!("\x1b[{}m{padded}\x1b[0m", self.colour) } else { padded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(prefix: bool) -> LogStyle {
        LogStyle { colours: [false, true], ..LogStyle::new(prefix) }
    }

    #[test]
    fn lines_come_out_whole_with_names_in_a_column() {
        let style = style(true);
        let (mut web, mut database) = (style.source("web-1"), style.source("database-1"));
        assert!(web.take(false, b"hel").is_empty());
        assert_eq!(database.take(false, b"a\nb\nc"), "database-1 | a\ndatabase-1 | b\n");
        assert_eq!(web.take(false, b"lo\n"), "web-1      | hello\n");
        assert_eq!(web.take(true, b"oh\n"), "\x1b[36mweb-1      | \x1b[0moh\n");
        assert_eq!(database.rest(), [Bytes::from("database-1 | c\n"), Bytes::new()]);
    }

    #[test]
    fn line_without_an_end_is_broken_and_not_kept_for_ever() {
        let mut source = style(false).source("web-1");
        let piece = vec![b'x'; LONGEST / 2];
        assert!(source.take(false, &piece).is_empty());
        assert_eq!(source.take(false, &piece).len(), LONGEST + 1);
        assert_eq!(source.rest(), [Bytes::new(), Bytes::new()]);
    }
}
