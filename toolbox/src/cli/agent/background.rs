//! Puts the agent into a process of its own.
//!
//! A process with threads cannot fork safely, so the program starts itself again, with the same arguments: the
//! listening socket is the new process's standard input, one end of a pair of sockets its standard output. Over the
//! pair it is given the keys, which so are in nobody's arguments, environment or file, and it proves that it is ready.
//! Only then are its lines printed, or does the command start.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use thiserror::Error;

use crate::agent::client::{Client, ClientError, Constraints};
use crate::agent::{AgentSocket, LoadedKey, SOCKET_VARIABLE, relax, wipe};
use crate::ui::Ui;

use super::announce::{PROCESS_VARIABLE, started};
use super::options::Options;
use super::server;
use super::start::failed;
use crate::cli::exit_status::ExitStatus;
use crate::cli::failure::Failures;
use crate::cli::keys::fido_provider;

/// This program, whatever became of its file since.
const OURSELVES: &str = "/proc/self/exe";

/// Why there is no agent process.
#[derive(Debug, Error)]
enum BackgroundError {
    /// The system refused.
    #[error("cannot start the agent's process: {0}")]
    Spawn(#[source] io::Error),
    /// It was started and did not get as far as serving.
    #[error("the agent's process did not start: {0}")]
    NotReady(#[source] ClientError),
    /// It does not want a key.
    #[error("cannot add the key {comment}: {error}")]
    Key {
        comment: String,
        #[source]
        error: ClientError,
    },
}

/// Starts the process, then prints its lines or becomes the command.
///
/// # Errors
/// The process cannot be started or does not take the keys; it is gone then, and its socket with it.
pub(super) fn start(
    options: &Options,
    socket: AgentSocket,
    keys: Vec<LoadedKey>,
    ui: Ui,
) -> Result<ExitCode, Failures> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| failed(&BackgroundError::Spawn(error), None))?;
    let spawned = spawn(&socket, theirs).map_err(BackgroundError::Spawn);
    let mut process = spawned.map_err(|error| failed(&error, None))?;
    if let Err(error) = hand_over(Client::from(ours), keys) {
        // It may be gone already; either way it is not to stay.
        let _ = process.kill().and_then(|()| process.wait());
        return Err(failed(&error, None));
    }
    let path = socket.path().to_owned();
    socket.hand_over();
    match options.command.split_first() {
        Some((program, arguments)) => Ok(become_command(program, arguments, &path, process.id(), ui)),
        None => {
            ui.bytes(&started(options.shell, &path, process.id()));
            Ok(ExitStatus::Done.into())
        }
    }
}

fn spawn(socket: &AgentSocket, control: UnixStream) -> io::Result<Child> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(OURSELVES);
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
    command.env(server::VARIABLE, std::process::id().to_string());
    command.stdin(socket.share()?).stdout(OwnedFd::from(control)).stderr(Stdio::null());
    command.spawn()
}

/// Gives it the keys, and waits until it answers.
fn hand_over(mut client: Client, keys: Vec<LoadedKey>) -> Result<(), BackgroundError> {
    let constraints = Constraints { provider: fido_provider(), ..Constraints::default() };
    for LoadedKey { key, certificate, .. } in keys {
        let failed = |error| {
            let comment = String::from_utf8_lossy(key.comment().as_bytes()).into_owned();
            BackgroundError::Key { comment, error }
        };
        if let Some(certificate) = certificate {
            client.add_certified(&key, &certificate, &constraints).map_err(failed)?;
        }
        client.add(&key, &constraints).map_err(failed)?;
    }
    client.list().map(drop).map_err(BackgroundError::NotReady)
}

/// Runs the command in this process, so that its exit status is its own. Comes back only where it cannot be run; the
/// agent then ends as it would with the command.
fn become_command(program: &OsString, arguments: &[OsString], socket: &Path, agent: u32, ui: Ui) -> ExitCode {
    // The one place where this process stops being ours: what it forbade itself, it allows again here. Where that is
    // refused the command leaves no cores.
    let _ = relax();
    wipe();
    let mut command = Command::new(program);
    command.args(arguments).env(SOCKET_VARIABLE, socket).env(PROCESS_VARIABLE, agent.to_string());
    let error = command.exec();
    ui.say(&format!("{}: {}", program.to_string_lossy(), super::reason(&error)));
    ExitStatus::Failed.into()
}
