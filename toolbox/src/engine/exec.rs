//! Commands inside of running containers (Docker Engine API, `ContainerExec`, `ExecStart`, `ExecInspect`).
//!
//! Contract: standard input is closed for the command when its writer is closed or dropped, or when this side dies; a
//! command has ended only when the engine says so. Absent on purpose: terminals.

use std::time::{Duration, Instant};

use bollard::Docker as Api;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, duplex};

use super::client::refused;
use super::{EngineError, ExecOutput, ExecStream};

/// Standard input that waits in memory for the engine.
const BUFFER: usize = 64 * 1024;
/// Engines close the streams a moment before they know the exit status.
const SETTLE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Runs a command to its end.
pub(super) async fn run(api: &Api, id: &str, command: &[String], input: &[u8]) -> Result<ExecOutput, EngineError> {
    let ExecStream { input: mut stdin, mut output, id: exec } = stream(api, id, command).await?;
    let feed = async move {
        // A command need not read what it is given.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let collect = async {
        let mut ended = ExecOutput::default();
        while let Some(chunk) = output.next().await {
            let (is_error, bytes) = chunk?;
            let into = if is_error { &mut ended.stderr } else { &mut ended.stdout };
            into.extend_from_slice(&bytes);
        }
        Ok(ended)
    };
    let ((), ended) = tokio::join!(feed, collect);
    let ended = ended?;
    Ok(ExecOutput { status: status(api, &exec).await?, ..ended })
}

/// Begins a command.
pub(super) async fn stream(api: &Api, id: &str, command: &[String]) -> Result<ExecStream, EngineError> {
    // Its arguments may hold a secret.
    let what = format!("running {} in container {id}", command.first().map_or("nothing", String::as_str));
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..Default::default()
    };
    let exec = api.create_exec(id, options).await.map_err(|e| refused(what.clone(), e))?.id;
    let started = api.start_exec(&exec, None::<StartExecOptions>).await.map_err(|e| refused(what.clone(), e))?;
    let StartExecResults::Attached { output, input } = started else {
        return Err(EngineError::Unreachable { reason: format!("{what}: the engine did not attach to it") });
    };
    let output: BoxStream<'static, _> =
        output.map(move |chunk| chunk.map(separate).map_err(|e| refused(what.clone(), e))).boxed();
    Ok(ExecStream { input: closed_on_drop(input), output, id: exec })
}

fn separate(output: LogOutput) -> (bool, Bytes) {
    match output {
        LogOutput::StdErr { message } => (true, message),
        LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
            (false, message)
        }
    }
}

/// Dropping one half of a connection does not shut it down, so a task stands between.
fn closed_on_drop<W: AsyncWrite + Send + Unpin + 'static>(mut writer: W) -> std::pin::Pin<Box<dyn AsyncWrite + Send>> {
    let (near, far) = duplex(BUFFER);
    tokio::spawn(async move {
        let mut far: Box<dyn AsyncRead + Send + Unpin> = Box::new(far);
        // Where it fails the command or the connection has ended, which its output tells.
        let _ = copy(&mut far, &mut writer).await;
        let _ = writer.shutdown().await;
    });
    Box::pin(near)
}

/// The exit status of a command whose output has ended.
async fn status(api: &Api, exec: &str) -> Result<i64, EngineError> {
    let began = Instant::now();
    loop {
        let seen = api.inspect_exec(exec).await;
        let seen = seen.map_err(|e| refused("asking for a command's exit status".into(), e))?;
        match (seen.running, seen.exit_code) {
            (Some(false), Some(code)) => return Ok(code),
            _ if began.elapsed() > SETTLE => {
                let reason = "the output of a command was cut off before it ended".into();
                return Err(EngineError::Unreachable { reason });
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}
