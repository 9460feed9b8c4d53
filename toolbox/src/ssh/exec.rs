//! Running commands on the host, each on a channel of its own.
//!
//! Both output streams are always read to their end. A command has ended only when the server said
//! how: a channel that just goes away is an error, never a success.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::time::timeout;

use super::channel::{BUFFER, Event, Incoming};
use super::connection::Connection;
use super::{ChannelStream, SshError};

/// How much of each stream [`Connection::exec`] is ready to hold, in bytes.
const CAPTURE_LIMIT: usize = 16 << 20;

/// A line that is longer is handed out in pieces of this size, in bytes.
const LINE_LIMIT: usize = 64 << 10;

/// What a finished command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status.
    pub status: u32,
    /// All of its stdout.
    pub stdout: Vec<u8>,
    /// All of its stderr.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether the status is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Stdout as text, odd bytes replaced, without white space at its ends.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Stderr as text, odd bytes replaced, without white space at its ends.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

/// Which of a command's streams something came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Connection {
    /// Runs a short command to its end with `stdin` as its standard input. A status other than 0 is
    /// not an error.
    ///
    /// The command is read by the login user's shell: see [`quote`](super::quote()).
    ///
    /// # Errors
    /// [`SshError::Unfinished`] when it takes longer than the target's timeout for commands.
    /// [`SshError::OutputTooLong`] beyond 16 MiB on either stream (the command still runs to its
    /// end), [`SshError::ExitMissing`], [`SshError::Killed`], [`SshError::Disconnected`],
    /// [`SshError::ChannelRefused`].
    pub async fn exec(&self, command: &str, stdin: &[u8]) -> Result<Output, SshError> {
        let limit = self.0.timeouts.command;
        timeout(limit, self.run(command, stdin)).await.unwrap_or_else(|_| {
            let (address, command) = (self.address().to_owned(), shorten(command));
            Err(SshError::Unfinished { address, command, seconds: limit.as_secs() })
        })
    }

    async fn run(&self, command: &str, stdin: &[u8]) -> Result<Output, SshError> {
        let (mut stdout, mut stderr) = (Capture::default(), Capture::default());
        let incoming = self.start(command).await?;
        let exit = self
            .follow(incoming, (command, stdin), Exit::Missing, |stream, data| match stream {
                OutputStream::Stdout => stdout.add(data),
                OutputStream::Stderr => stderr.add(data),
            })
            .await?;
        let status = self.status(command, exit)?;
        if stdout.overflowed || stderr.overflowed {
            return Err(self.too_long(command, CAPTURE_LIMIT));
        }
        Ok(Output { status, stdout: stdout.bytes, stderr: stderr.bytes })
    }

    /// Runs a long command and hands out its output line by line as it comes, without line ends,
    /// odd bytes replaced. Returns the exit status.
    ///
    /// # Errors
    /// As [`Connection::exec`], without a limit on the output as a whole; [`SshError::Silent`] in place of
    /// [`SshError::Unfinished`], when nothing was said for as long as the target's timeout for silence.
    pub async fn exec_lines(
        &self,
        command: &str,
        stdin: &[u8],
        on_line: impl FnMut(OutputStream, &str) + Send,
    ) -> Result<u32, SshError> {
        let incoming = self.start(command).await?;
        self.lines(incoming, (command, stdin), (b"", Exit::Missing), on_line).await
    }

    /// Follows a command that was started, of which some of stdout and perhaps the end are known already.
    pub(super) async fn lines(
        &self,
        incoming: Incoming,
        (command, stdin): (&str, &[u8]),
        (known, exit): (&[u8], Exit),
        mut on_line: impl FnMut(OutputStream, &str) + Send,
    ) -> Result<u32, SshError> {
        let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
        stdout.add(known, |line| on_line(OutputStream::Stdout, line));
        let exit = self
            .follow(incoming, (command, stdin), exit, |stream, data| match stream {
                OutputStream::Stdout => stdout.add(data, |line| on_line(stream, line)),
                OutputStream::Stderr => stderr.add(data, |line| on_line(stream, line)),
            })
            .await?;
        let status = self.status(command, exit)?;
        stdout.finish(|line| on_line(OutputStream::Stdout, line));
        stderr.finish(|line| on_line(OutputStream::Stderr, line));
        Ok(status)
    }

    /// Starts a command and returns its stdin and stdout as a stream.
    ///
    /// # Errors
    /// [`SshError::Disconnected`], [`SshError::ChannelRefused`]; what the command itself meets, the
    /// stream's first read tells.
    pub async fn exec_stream(&self, command: &str) -> Result<ChannelStream, SshError> {
        let incoming = self.start(command).await?;
        Ok(ChannelStream::new(incoming, self.peer(), Some(command)))
    }

    /// Starts a command, on another connection where the server allows no further session on this one.
    pub(super) async fn start(&self, command: &str) -> Result<Incoming, SshError> {
        let mut incoming = self.session().await?;
        let asked = incoming.writing().exec(true, command).await;
        if asked.is_err() {
            return Err(self.peer().lost());
        }
        loop {
            match incoming.next().await {
                Some(Event::Reply(true)) => return Ok(incoming),
                Some(Event::Reply(false) | Event::Closed) => {
                    return Err(SshError::ChannelRefused {
                        address: self.address().to_owned(),
                        what: format!("to run `{}`", shorten(command)),
                        reason: "the server gives no reason".to_owned(),
                    });
                }
                Some(_) => {}
                None => return Err(self.peer().lost()),
            }
        }
    }

    /// Hands a command's output out as it comes, and says how it ended.
    async fn follow(
        &self,
        mut incoming: Incoming,
        (command, stdin): (&str, &[u8]),
        mut exit: Exit,
        mut on_data: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<Exit, SshError> {
        // A command that does not read all of its input is no failure: its status tells. What is
        // still unsent then is dropped together with this future.
        let feeding = feed(incoming.writing(), Bytes::copy_from_slice(stdin));
        tokio::pin!(feeding);
        let mut fed = false;
        let silence = self.0.timeouts.silence;
        loop {
            let event = tokio::select! {
                event = timeout(silence, incoming.next()) => event.map_err(|_| self.silent(command, silence))?,
                () = &mut feeding, if !fed => {
                    fed = true;
                    continue;
                }
            };
            match event {
                Some(Event::Stdout(data)) => on_data(OutputStream::Stdout, &data),
                Some(Event::Stderr(data)) => on_data(OutputStream::Stderr, &data),
                Some(Event::Exit(status)) => exit = Exit::Status(status),
                Some(Event::Signal(signal)) => exit = Exit::Signal(signal),
                Some(Event::Eof | Event::Reply(_)) => {}
                Some(Event::Closed) => return Ok(exit),
                Some(Event::Overflowed) => return Err(self.too_long(command, BUFFER)),
                None => return Err(self.peer().lost()),
            }
        }
    }

    fn silent(&self, command: &str, silence: Duration) -> SshError {
        let (address, command) = (self.address().to_owned(), shorten(command));
        SshError::Silent { address, command, seconds: silence.as_secs() }
    }

    fn too_long(&self, command: &str, limit: usize) -> SshError {
        SshError::OutputTooLong { address: self.address().to_owned(), command: shorten(command), limit }
    }

    fn status(&self, command: &str, exit: Exit) -> Result<u32, SshError> {
        let (address, command) = (self.address().to_owned(), shorten(command));
        match exit {
            Exit::Status(status) => Ok(status),
            Exit::Signal(signal) => Err(SshError::Killed { address, command, signal }),
            Exit::Missing => Err(SshError::ExitMissing { address, command }),
        }
    }
}

async fn feed(writing: Arc<ChannelWriteHalf<Msg>>, stdin: Bytes) {
    if writing.data_bytes(stdin).await.is_ok() {
        let _ = writing.eof().await;
    }
}

/// How a command ended, as far as the server said.
#[derive(Default)]
pub(super) enum Exit {
    #[default]
    Missing,
    Status(u32),
    Signal(String),
}

/// A stream's bytes up to the limit.
#[derive(Default)]
struct Capture {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Capture {
    fn add(&mut self, data: &[u8]) {
        if self.bytes.len() + data.len() > CAPTURE_LIMIT {
            self.overflowed = true;
        } else {
            self.bytes.extend_from_slice(data);
        }
    }
}

/// A stream cut into lines.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn add(&mut self, data: &[u8], mut on_line: impl FnMut(&str)) {
        for piece in data.split_inclusive(|&b| b == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.rest.len() >= LINE_LIMIT {
                self.finish(&mut on_line);
            }
        }
    }

    fn finish(&mut self, mut on_line: impl FnMut(&str)) {
        if self.rest.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.rest);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        on_line(text.strip_suffix('\r').unwrap_or(text));
        self.rest.clear();
    }
}

/// A command as messages show it: its first line, cut at 80 characters.
pub(super) fn shorten(command: &str) -> String {
    let line = command.trim_start().lines().next().unwrap_or_default();
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.len() < command.trim().len() => format!("{line} …"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.add(chunk, |line| found.push(line.to_owned()));
        }
        lines.finish(|line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn output_is_cut_into_lines_wherever_the_packets_end() {
        assert_eq!(lines(&[b"on", b"e\ntw", b"o\r\n\nthree"]), ["one", "two", "", "three"]);
        assert_eq!(lines(&[b"\xc3", b"\xa9\n"]), ["é"]);
        assert_eq!(lines(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_end_is_handed_out_in_pieces() {
        let chunk = vec![b'x'; LINE_LIMIT];
        assert_eq!(lines(&[&chunk, &chunk, b"y"]).len(), 3);
    }

    #[test]
    fn commands_are_shortened_for_messages() {
        assert_eq!(shorten("  apt-get update "), "apt-get update ");
        assert_eq!(shorten("set -e\nrm x"), "set -e …");
        assert_eq!(shorten(&"é".repeat(100)).chars().count(), 81);
    }
}
