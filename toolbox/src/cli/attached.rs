//! This process's input and output, tied to a command in a container.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::apply::Interrupt;
use crate::engine::{Attached, Docker, EngineError, ExecStream, Output};
use crate::ui::{self, RawTerminal, Writer};

use super::exit_status::ExitStatus;

/// A new command needs a moment until its terminal can be sized: so often it is tried.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// What a shell shows of a command whose output nobody reads: 128 + SIGPIPE.
const PIPE_CLOSED: u8 = 141;

/// How a command came to its end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It ended by itself with this status.
    Itself(i64),
    /// A person asked for the end, or closed the terminal.
    Interrupted,
    /// Nobody reads its output.
    Unread,
}

impl Ended {
    /// The status to exit with.
    pub(super) fn status(self) -> ExitStatus {
        match self {
            Self::Itself(status) => ExitStatus::Command(u8::try_from(status).unwrap_or(u8::MAX)),
            Self::Interrupted => ExitStatus::Interrupted,
            Self::Unread => ExitStatus::Command(PIPE_CLOSED),
        }
    }
}

/// Passes both directions on until the command ends; with `terminal` this process's terminal is its.
///
/// # Errors
/// [`EngineError`] where the stream breaks off.
pub(super) async fn pass(
    engine: &Docker,
    attached: Attached,
    stream: ExecStream,
    terminal: bool,
    interrupted: &Interrupt,
) -> Result<Ended, EngineError> {
    let raw = if terminal { RawTerminal::enter().ok() } else { None };
    let (writer, writing) = Writer::start();
    let mut tasks = vec![tokio::spawn(pass_input(stream.input))];
    tasks.extend(terminal.then(|| tokio::spawn(pass_size(engine.clone(), attached.clone()))));
    let _tasks = Aborted(tasks);
    let mut interrupt = interrupted.clone();
    let work = async {
        let read = pass_output(stream.output, &writer).await?;
        drop(writer);
        writing.finish().await;
        if read { engine.exit_status(&attached).await.map(Ended::Itself) } else { Ok(Ended::Unread) }
    };
    let ended = tokio::select! {
        ended = work => ended,
        _ = interrupt.wait_for(|i| *i) => Ok(Ended::Interrupted),
        () = hangup(), if terminal => Ok(Ended::Interrupted),
    };
    drop(raw);
    ended
}

/// Tasks that end with their owner.
struct Aborted(Vec<JoinHandle<()>>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// `false` where nobody reads any more.
async fn pass_output(mut output: Output, writer: &Writer) -> Result<bool, EngineError> {
    while let Some(piece) = output.next().await {
        let (error, bytes) = piece?;
        if writer.write(error, bytes).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The end of the input is passed on too; output goes on after it.
async fn pass_input(mut to: impl AsyncWrite + Unpin) {
    let mut from = ui::input();
    while let Some(bytes) = from.recv().await {
        if write(&mut to, &bytes).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &Bytes) -> std::io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// The terminal's size, now and whenever it changes.
async fn pass_size(engine: Docker, attached: Attached) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    for _ in 0..TRIES {
        let Some((rows, columns)) = ui::terminal_size() else { break };
        if engine.resize(&attached, rows, columns).await.is_ok() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    while changes.recv().await.is_some() {
        if let Some((rows, columns)) = ui::terminal_size() {
            let _ = engine.resize(&attached, rows, columns).await;
        }
    }
}

/// The terminal is gone. Not waited for without one, so that `nohup` keeps its meaning.
async fn hangup() {
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => drop(hangup.recv().await),
        Err(_) => std::future::pending().await,
    }
}
