//! Commands that say when they begin.
//!
//! Contract: what a login script, a lecture or a module of PAM writes before the mark is no part of a command's output,
//! and nothing of its input is sent before the mark. A password is sent once, when it is asked for; where nobody asks it
//! is not sent at all, so that it never reaches the command behind the gate.

use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::channel::{Event, Incoming};
use super::exec::{Exit, OutputStream};
use super::{ChannelStream, Connection, SshError};

/// How long it may take until the command begins: directories of accounts are slow, and a wrong password is punished.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of what comes before the mark is kept, in bytes.
const KEPT: usize = 16 << 10;

/// What stands before a command.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// What the command is called in messages.
    pub name: &'a str,
    /// What ends a line of its standard output when it begins.
    pub mark: &'a str,
    /// What it asks for a password with, on its standard error; no part of the command's own text, which a shell may show.
    pub prompt: &'a str,
    /// The password.
    pub password: Option<&'a SecretString>,
}

/// Why a command did not begin.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The connection or the channel.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// It asks for a password, and there is none.
    #[error("it asks for a password")]
    Asks,
    /// It asked again.
    #[error("the password is wrong")]
    Wrong,
    /// It ended.
    #[error("it ended: {said}")]
    Ended {
        /// Its last line.
        said: String,
    },
    /// It does not go on.
    #[error("it did not begin within {seconds} s: {said}")]
    Silent {
        /// How long was waited.
        seconds: u64,
        /// Its last line.
        said: String,
    },
}

/// What was read with the mark.
struct Begun {
    /// The output after it.
    rest: Bytes,
    /// A server may tell the end before the rest of the output.
    exit: Exit,
}

impl Connection {
    /// As [`Connection::exec_lines`], behind a gate.
    ///
    /// # Errors
    /// [`GateError`] where the command does not begin, and around what [`Connection::exec_lines`] meets.
    pub async fn exec_lines_behind(
        &self,
        gate: Gate<'_>,
        command: &str,
        stdin: &[u8],
        on_line: impl FnMut(OutputStream, &str) + Send,
    ) -> Result<u32, GateError> {
        let mut incoming = self.start(command).await?;
        let begun = self.pass(gate, &mut incoming).await?;
        Ok(self.lines(incoming, (gate.name, stdin), (&begun.rest, begun.exit), on_line).await?)
    }

    /// As [`Connection::exec_stream`], behind a gate.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn exec_stream_behind(&self, gate: Gate<'_>, command: &str) -> Result<ChannelStream, GateError> {
        let mut incoming = self.start(command).await?;
        let begun = self.pass(gate, &mut incoming).await?;
        Ok(ChannelStream::new(incoming, self.peer(), Some(gate.name)).after(begun.rest, begun.exit))
    }

    async fn pass(&self, gate: Gate<'_>, incoming: &mut Incoming) -> Result<Begun, GateError> {
        let mut heard = Before::default();
        match timeout(PATIENCE, heard.listen(self, gate, incoming)).await {
            Ok(result) => result,
            Err(_) => Err(GateError::Silent { seconds: PATIENCE.as_secs(), said: heard.last_line(gate) }),
        }
    }
}

/// What came before the mark.
#[derive(Default)]
struct Before {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Exit,
    asked: bool,
}

impl Before {
    async fn listen(
        &mut self,
        connection: &Connection,
        gate: Gate<'_>,
        incoming: &mut Incoming,
    ) -> Result<Begun, GateError> {
        loop {
            match incoming.next().await {
                Some(Event::Stdout(data)) => {
                    if let Some(rest) = after_mark(&mut self.stdout, &data, gate.mark) {
                        return Ok(Begun { rest, exit: std::mem::take(&mut self.exit) });
                    }
                }
                Some(Event::Stderr(data)) => {
                    self.stderr.extend_from_slice(&data);
                    if !gate.prompt.is_empty() && takes(&mut self.stderr, gate.prompt) {
                        self.answer(gate, incoming).await?;
                    }
                    keep_end(&mut self.stderr);
                }
                Some(Event::Exit(status)) => self.exit = Exit::Status(status),
                Some(Event::Signal(signal)) => self.exit = Exit::Signal(signal),
                Some(Event::Eof | Event::Reply(_)) => {}
                Some(Event::Closed | Event::Overflowed) => {
                    return Err(GateError::Ended { said: self.last_line(gate) });
                }
                None => return Err(connection.peer().lost().into()),
            }
        }
    }

    async fn answer(&mut self, gate: Gate<'_>, incoming: &Incoming) -> Result<(), GateError> {
        if std::mem::replace(&mut self.asked, true) {
            return Err(GateError::Wrong);
        }
        let password = gate.password.ok_or(GateError::Asks)?;
        let line = [password.expose_secret().as_bytes(), b"\n"].concat();
        // Where it went away meanwhile, its end tells.
        let _ = incoming.writing().data_bytes(Bytes::from(line)).await;
        Ok(())
    }

    /// The last line of what was said, of its standard error where there is one.
    fn last_line(&self, gate: Gate<'_>) -> String {
        let last = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(gate.prompt, "");
            text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
        };
        last(&self.stderr).or_else(|| last(&self.stdout)).unwrap_or_else(|| "it said nothing".to_owned())
    }
}

/// Adds to what was heard; what stands after the line that ends with the mark, if that has come.
fn after_mark(heard: &mut Vec<u8>, data: &Bytes, mark: &str) -> Option<Bytes> {
    let line = format!("{mark}\n");
    let known = heard.len();
    heard.extend_from_slice(data);
    match find(heard, line.as_bytes()) {
        // Before it came, the mark was not complete: it ends in the new bytes.
        Some(at) => Some(data.slice(at + line.len() - known..)),
        None => {
            keep_end(heard);
            None
        }
    }
}

/// Whether this was said; it is forgotten then, with what came before it.
fn takes(heard: &mut Vec<u8>, words: &str) -> bool {
    let found = find(heard, words.as_bytes());
    found.map(|at| heard.drain(..at + words.len())).is_some()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn keep_end(heard: &mut Vec<u8>) {
    let excess = heard.len().saturating_sub(KEPT);
    heard.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_begins_after_the_mark_wherever_the_packets_end() {
        for (packets, rest) in [
            (&["begins\n"][..], Some("")),
            (&["Welcome!\nno line endbegins\nHTTP"], Some("HTTP")),
            (&["noise\nbeg", "ins", "\nHTTP/1.1"], Some("HTTP/1.1")),
            (&["begins"], None),
            (&["begins\r\n", "x"], None),
        ] {
            let mut heard = Vec::new();
            let found =
                packets.iter().find_map(|p| after_mark(&mut heard, &Bytes::from_static(p.as_bytes()), "begins"));
            assert_eq!(found.as_deref(), rest.map(str::as_bytes), "{packets:?}");
        }
    }

    #[test]
    fn much_noise_is_not_kept_and_hides_no_mark() {
        let mut heard = Vec::new();
        let noise = Bytes::from(vec![b'x'; KEPT]);
        for _ in 0..3 {
            assert_eq!(after_mark(&mut heard, &noise, "begins"), None);
            assert!(heard.len() <= KEPT);
        }
        assert_eq!(after_mark(&mut heard, &Bytes::from_static(b"\nbeg"), "begins"), None);
        assert_eq!(after_mark(&mut heard, &Bytes::from_static(b"ins\nrest"), "begins").as_deref(), Some(&b"rest"[..]));
    }

    #[test]
    fn each_question_counts_once() {
        let mut heard = b"lecture\nasks".to_vec();
        assert!(takes(&mut heard, "asks") && !takes(&mut heard, "asks"));
        heard.extend_from_slice(b"Sorry, try again.\nas");
        assert!(!takes(&mut heard, "asks"));
        heard.extend_from_slice(b"ks");
        assert!(takes(&mut heard, "asks"));
    }
}
