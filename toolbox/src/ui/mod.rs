//! Ring 4: the only writer of standard output and standard error.
//!
//! Rules: standard output is data (plans, status, recaps); standard error is for people (steps, progress, errors).
//! Bars only on a terminal; meaning never hangs on colour; `NO_COLOR` and `--quiet` are honoured.

mod log_lines;
mod progress;
mod raw_terminal;
mod recap;
mod table;
mod terminal;
mod writer;

use std::io::{IsTerminal as _, Write as _};

pub use log_lines::{LogLines, LogStyle};
pub use progress::watch;
pub use raw_terminal::{RawTerminal, has_terminal, input, restore_terminal, terminal_size};
pub use recap::{HostOutcome, Outcome};
pub use table::table;
pub use terminal::Terminal;
pub use writer::{Closed, Writer, Writing};

/// How much is shown, and whether in colour.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    quiet: bool,
    color: bool,
    terminal: bool,
}

impl Ui {
    /// For this process's standard error.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { quiet, color, terminal }
    }

    /// Whether standard error shows colours, and is wanted to.
    pub fn colours(&self) -> bool {
        self.color
    }

    /// Data, for whoever reads standard output. A closed pipe is no error: `toolbox plan | head` is fine.
    pub fn data(&self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// The same for what need not be UTF-8, as paths need not.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// A line for a person.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// An error, and the next thing to type.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        eprintln!("{} {message}", self.paint("31;1", "error:"));
        if let Some(hint) = hint {
            eprintln!("{} {}", self.paint("36;1", "hint:"), hint.replace('\n', "\n      "));
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// An error and all its causes on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
