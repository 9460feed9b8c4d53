//! A proxy command: a program of the person's whose standard input and output lead to a host.
//!
//! It runs in a process group of its own, so that Ctrl-C in a terminal does not take the line away while things are
//! brought back, and the group is ended when the stream is dropped.

use std::io;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::SshError;

/// How much of what it writes to its stderr is kept, in bytes.
const KEPT: usize = 2048;

/// How long its last words may lag behind the end of its output.
const LAG: Duration = Duration::from_millis(500);

/// A running command.
pub(super) struct Program {
    input: ChildStdin,
    output: ChildStdout,
    _group: Group,
}

/// Ends all processes of the command when it is dropped.
struct Group {
    id: Option<Pid>,
    /// Its drop tells the task that waits for the command.
    _stop: oneshot::Sender<()>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _ = kill_process_group(id, Signal::TERM);
        }
    }
}

/// What becomes of the command.
pub(super) struct End {
    address: String,
    status: oneshot::Receiver<io::Result<ExitStatus>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl End {
    /// A handshake that broke because the command ended is told as that. A signal is how we ended it.
    pub(super) async fn instead_of(self, error: SshError) -> SshError {
        if !matches!(error, SshError::NotSsh { .. } | SshError::HungUp { .. } | SshError::Handshake { .. }) {
            return error;
        }
        match timeout(2 * LAG, self.status).await {
            Ok(Ok(Ok(status))) if status.code().is_some_and(|code| code != 0) => {
                let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
                let words = String::from_utf8_lossy(&stderr).trim().escape_debug().to_string();
                let stderr = if words.is_empty() { "it said nothing".to_owned() } else { words };
                SshError::ProxyEnded { address: self.address, status: status.to_string(), stderr }
            }
            _ => error,
        }
    }
}

/// Starts a command for `sh`.
pub(super) fn start(command: &str, address: &str) -> Result<(Program, End), SshError> {
    let mut shell = Command::new("/bin/sh");
    // As ssh does: the shell makes way for the command.
    shell.arg("-c").arg(format!("exec {command}")).process_group(0).kill_on_drop(true);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |source| SshError::ProxyCommand { address: address.to_owned(), source };
    let mut child = shell.spawn().map_err(failed)?;
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let missing = || failed(io::Error::other("a pipe is missing"));
    let input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    let errors = child.stderr.take().ok_or_else(missing)?;
    let (stop, stopped) = oneshot::channel();
    let (ended, status) = oneshot::channel();
    let stderr = Arc::default();
    tokio::spawn(watch(child, errors, Arc::clone(&stderr), stopped, ended));
    let program = Program { input, output, _group: Group { id, _stop: stop } };
    Ok((program, End { address: address.to_owned(), status, stderr }))
}

/// Waits for the end, or until nobody wants the command any more; then it is killed.
async fn watch(
    mut child: Child,
    errors: ChildStderr,
    kept: Arc<Mutex<Vec<u8>>>,
    stopped: oneshot::Receiver<()>,
    ended: oneshot::Sender<io::Result<ExitStatus>>,
) {
    let reading = tokio::spawn(keep_the_end(errors, kept));
    // A command that ended by itself still tells its exit status after this; one that did not is ended here.
    tokio::select! {
        _ = child.wait() => {}
        _ = stopped => drop(child.start_kill()),
    }
    let status = child.wait().await;
    let _ = timeout(LAG, reading).await;
    let _ = ended.send(status);
}

async fn keep_the_end(mut errors: ChildStderr, kept: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut chunk).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..count]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}

impl AsyncRead for Program {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Program {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}
