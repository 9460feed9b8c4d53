//! The program at a terminal of its own, as a person runs it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::project::Project;

/// A program at a terminal.
pub(crate) struct AtTerminal {
    child: Child,
    /// Where keys go in and the screen comes out.
    master: File,
    /// Kept open, so that the settings can be looked at when the program has ended.
    terminal: OwnedFd,
    screen: String,
    /// What stood before that which was found last.
    line: String,
}

impl AtTerminal {
    /// Starts the program at a terminal of 24 rows and 80 columns.
    pub(crate) fn start(project: &Project, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let mut command = project.command(arguments, &["setsid", "--ctty"]);
        command.stdin(end()).stdout(end()).stderr(end());
        let mut started = Self {
            child: command.spawn().unwrap(),
            master: master.into(),
            terminal,
            screen: String::new(),
            line: String::new(),
        };
        started.resize(24, 80);
        started
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// Presses keys.
    pub(crate) fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until this is on the screen, after what was found before.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        let mut chunk = [0; 4096];
        loop {
            if let Some(at) = self.screen.find(text) {
                self.line = self.screen[..at].to_owned();
                self.screen.drain(..at + text.len());
                return;
            }
            let count = self.master.read(&mut chunk).unwrap_or_default();
            assert!(count > 0, "{text:?} never came: {:?}", self.screen);
            self.screen.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    }

    /// Types a question again and again until this is the answer: what it asks about takes a moment to change.
    #[track_caller]
    pub(crate) fn answers(&mut self, question: &str, answer: &str) {
        loop {
            self.types(&format!("{question}\r"));
            // The terminal's echo.
            self.shows(&format!("{question}\r\n"));
            self.shows("\r\n");
            if self.line == answer {
                return;
            }
        }
    }

    /// Whether the program may be typed to in whole lines, as a shell leaves a terminal.
    pub(crate) fn is_canonical(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the program's end; its exit status.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
