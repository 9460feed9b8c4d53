//! The terminal's settings, which a prompt changes and an interrupted prompt leaves changed.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The settings as they were; nothing where there is no terminal.
#[derive(Debug)]
pub struct Terminal(Option<Termios>);

impl Terminal {
    /// Looks at the terminal behind standard input.
    pub fn save() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }

    /// Puts the settings back.
    pub fn restore(&self) {
        if let Some(settings) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, settings);
        }
    }
}
