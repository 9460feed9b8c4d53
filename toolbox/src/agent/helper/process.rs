//! A helper program that runs, and questions to it.
//!
//! Contract: one socket is the helper's standard input and output; its standard error is nobody's, so that nothing it
//! says of keys reaches a log. It has the agent's environment, as OpenSSH's has, and no other descriptor of ours. One
//! question at a time, each answered within [`PATIENCE`]; what an answer announces is checked before memory is taken
//! for it. Whoever drops a [`Helper`] has ended it, and the runtime collects what is left.
//!
//! A helper is where its variable says, or else in the first of the directories where distributions put it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Socket;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{HelperError, PATIENCE};
use crate::agent::private_wire::put_string;

#[cfg(test)]
mod tests;

/// Longest answer that is read, in bytes: OpenSSH's own limit for them.
const LONGEST_ANSWER: usize = 256 * 1024;
/// Where Debian, Fedora, OpenSSH's own build and Arch put the helpers.
const DIRECTORIES: [&str; 5] =
    ["/usr/lib/openssh", "/usr/libexec/openssh", "/usr/libexec", "/usr/lib/ssh", "/usr/local/libexec"];

/// OpenSSH's helper programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For FIDO keys.
    Fido,
    /// For PKCS#11 tokens.
    Token,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fido => "ssh-sk-helper",
            Self::Token => "ssh-pkcs11-helper",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Fido => "SSH_SK_HELPER",
            Self::Token => "SSH_PKCS11_HELPER",
        }
    }
}

/// Where a helper program is.
#[derive(Clone, Debug)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// The one to start now.
    ///
    /// # Errors
    /// [`HelperError::NotInstalled`].
    pub(crate) fn find(kind: Kind) -> Result<Self, HelperError> {
        Self::choose(kind, std::env::var_os(kind.variable()), &DIRECTORIES)
    }

    /// A variable that is set is the last word: a wrong one does not fall back to another program.
    fn choose(kind: Kind, named: Option<OsString>, directories: &[&str]) -> Result<Self, HelperError> {
        let tried: Vec<PathBuf> = match named.filter(|named| !named.is_empty()) {
            Some(named) => vec![named.into()],
            None => directories.iter().map(|directory| Path::new(directory).join(kind.name())).collect(),
        };
        if let Some(path) = tried.iter().find(|path| is_program(path)) {
            return Ok(Self(path.clone()));
        }
        let tried = tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        Err(HelperError::NotInstalled { program: kind.name(), variable: kind.variable(), tried })
    }

    #[cfg(test)]
    pub(super) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A helper that runs.
pub(crate) struct Helper {
    program: PathBuf,
    socket: UnixStream,
    child: Child,
}

impl Helper {
    /// Starts one. Inside a tokio runtime.
    ///
    /// # Errors
    /// [`HelperError::Start`].
    pub(crate) fn start(program: &Program) -> Result<Self, HelperError> {
        let failed = |source| HelperError::Start { program: program.0.clone(), source };
        // Both ends close themselves when a program is started; only the copies for 0 and 1 stay open in it.
        let (ours, theirs) = Socket::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let socket = UnixStream::from_std(ours).map_err(failed)?;
        let output = OwnedFd::from(theirs.try_clone().map_err(failed)?);
        let mut command = Command::new(&program.0);
        command.stdin(OwnedFd::from(theirs)).stdout(output).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { program: program.0.clone(), socket, child })
    }

    /// Sends a message and waits for the answer to it: each a length in four bytes and the body given here.
    ///
    /// # Errors
    /// Afterwards the helper is of no more use: [`HelperError::Died`], [`HelperError::Silent`],
    /// [`HelperError::Garbled`].
    pub(crate) async fn ask(&mut self, body: &[u8]) -> Result<Vec<u8>, HelperError> {
        let mut frame = Zeroizing::new(Vec::with_capacity(body.len() + 4));
        put_string(&mut frame, body);
        match timeout(PATIENCE, self.converse(&frame)).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(what))) => Err(self.garbled(what)),
            Ok(Err(_)) => Err(HelperError::Died { program: self.program.clone() }),
            Err(_) => Err(HelperError::Silent { program: self.program.clone() }),
        }
    }

    async fn converse(&mut self, frame: &[u8]) -> io::Result<Result<Vec<u8>, &'static str>> {
        self.socket.write_all(frame).await?;
        match self.socket.read_u32().await? as usize {
            0 => Ok(Err("an answer without a body")),
            length if length > LONGEST_ANSWER => Ok(Err("an answer that is too long")),
            length => {
                let mut answer = vec![0; length];
                self.socket.read_exact(&mut answer).await?;
                Ok(Ok(answer))
            }
        }
    }

    pub(super) fn garbled(&self, what: &'static str) -> HelperError {
        HelperError::Garbled { program: self.program.clone(), what }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Lets it end by itself: its library may have a device to close.
    pub(crate) fn retire(self) {
        let Self { socket, mut child, .. } = self;
        drop(socket);
        tokio::spawn(async move { timeout(PATIENCE, child.wait()).await });
    }
}

/// Writes a string that the helper reads as text: a NUL byte in it would end the helper.
pub(super) fn put_text(body: &mut Vec<u8>, text: &[u8]) -> Result<(), HelperError> {
    match text.contains(&0) {
        true => Err(HelperError::Nul),
        false => {
            put_string(body, text);
            Ok(())
        }
    }
}
