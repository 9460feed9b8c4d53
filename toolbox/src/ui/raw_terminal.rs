//! The terminal handed over to a program in a container: every key goes there, also Ctrl-C.
//!
//! The settings come back however this process ends, short of SIGKILL: when the guard goes, at a panic, and where
//! somebody who ends the process calls [`restore_terminal`].

use std::io::{IsTerminal as _, Read as _};
use std::sync::{Mutex, Once, PoisonError};

use bytes::Bytes;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc::{Receiver, channel};

/// The settings to come back to, while a terminal is raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Pieces of input that wait for their reader.
const WAITING: usize = 8;
const CHUNK: usize = 16 << 10;

/// Whether standard input and standard output are both terminals.
pub fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Rows and columns of the terminal, in characters, where it knows them.
pub fn terminal_size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Puts a raw terminal's settings back; nothing where none is raw.
pub fn restore_terminal() {
    if let Some(settings) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &settings);
    }
}

/// A terminal in raw mode, until it is dropped.
#[derive(Debug)]
pub struct RawTerminal(());

impl RawTerminal {
    /// Makes the terminal behind standard input raw.
    ///
    /// # Errors
    /// The system's, where it is no terminal.
    pub fn enter() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        // A panic ends the process before guards are dropped.
        HOOK.call_once(|| {
            let others = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore_terminal();
                others(panic);
            }));
        });
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let guard = Self(());
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(guard)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Standard input as it comes, to its end, read by a thread that nobody waits for.
pub fn input() -> Receiver<Bytes> {
    let (sender, receiver) = channel(WAITING);
    std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut chunk) {
            if sender.blocking_send(Bytes::copy_from_slice(&chunk[..count])).is_err() {
                return;
            }
        }
    });
    receiver
}
