//! Starts an agent: keys first, while there is a person to ask, then the socket, then the process.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::agent::{AgentSocket, Askpass, KeySource, LoadedKey, Settings, SocketError, Upstream, would_be_unlocked};
use crate::ui::{Terminal, Ui};

use super::options::{Mode, Options};
use super::{background, server};
use crate::cli::failure::{Failure, Failures};
use crate::cli::{interrupt, keys};

/// Starts what the options say.
///
/// # Errors
/// A key that cannot be read, a socket that cannot be made, a process that cannot be started. No agent is left behind.
pub(super) fn run(options: &Options, key: Option<KeySource>, ui: Ui) -> Result<ExitCode, Failures> {
    if let Some(unlocked) = would_be_unlocked() {
        ui.say(&format!("warning: {unlocked}; {}", unlocked.hint()));
    }
    look_behind(options, ui)?;
    let keys = read_keys(keys::given(&options.keys, key), options.keys.is_empty(), ui)?;
    match options.mode {
        Mode::Foreground { debug } => server::in_foreground(options, keys, debug, ui),
        Mode::Background | Mode::Kill => background::start(options, listen(options, ui)?, keys, ui),
    }
}

/// Makes the socket that the options name.
///
/// # Errors
/// It cannot be made; no file is left behind.
pub(super) fn listen(options: &Options, ui: Ui) -> Result<AgentSocket, Failures> {
    let socket = socket(options.address.as_deref()).map_err(|error| failed(&error, hint(&error)))?;
    if let Some(directory) = options.address.as_deref().and_then(open_directory) {
        ui.say(&format!("warning: {} belongs to anybody: the socket in it can be replaced", directory.display()));
    }
    Ok(socket)
}

/// How the agent behaves, whom it may ask, and whose keys are behind its own.
pub(super) fn settings(options: &Options) -> Settings {
    Settings { askpass: Askpass::from_environment(), upstream: upstream(options), ..options.settings.clone() }
}

/// The agent that is to be behind this one. One that is behind itself would ask itself for ever.
fn upstream(options: &Options) -> Option<Upstream> {
    let own = options.address.as_deref().map(resolved);
    Upstream::from_environment().filter(|upstream| options.upstream && Some(resolved(upstream.path())) != own)
}

/// A socket's path without links and dots, whether the socket is there or will be.
fn resolved(path: &Path) -> PathBuf {
    let whole = || path.canonicalize().ok();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = || Some(parent.canonicalize().ok()?.join(path.file_name()?));
    whole().or_else(directory).unwrap_or_else(|| path.to_owned())
}

/// Says why the agent that is to be behind this one is of no use, where it is not.
fn look_behind(options: &Options, ui: Ui) -> Result<(), Failures> {
    let Some(upstream) = upstream(options) else { return Ok(()) };
    let runtime = server::runtime().map_err(|error| failed(&error, None))?;
    if let Err(error) = runtime.block_on(upstream.identities()) {
        ui.say(&format!("warning: {error}"));
        if let Some(hint) = error.hint() {
            ui.say(&format!("hint: {hint}"));
        }
    }
    Ok(())
}

/// A failure of the system's.
pub(super) fn failed(error: &dyn std::error::Error, hint: Option<String>) -> Failures {
    Failures::failed(vec![Failure::of(error, hint)])
}

/// Reads keys where a person may be asked for passphrases.
///
/// # Errors
/// A key that cannot be read, or an interrupt.
pub(super) fn read_keys(sources: Vec<KeySource>, or_nothing: bool, ui: Ui) -> Result<Vec<LoadedKey>, Failures> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let terminal = Terminal::save();
    let runtime = server::runtime().map_err(|error| failed(&error, None))?;
    let read = runtime.block_on(async {
        let interrupted = interrupt::listen();
        interrupt::or_interrupted(&interrupted, keys::read_all(sources, or_nothing, &ui)).await
    });
    // A prompt that is still being read does not hold the process, nor keep the terminal silent.
    runtime.shutdown_background();
    terminal.restore();
    read
}

fn socket(address: Option<&Path>) -> Result<AgentSocket, SocketError> {
    let directory = || std::env::var_os("TMPDIR").filter(|d| !d.is_empty()).unwrap_or_else(|| "/tmp".into());
    match address {
        Some(path) => AgentSocket::bind(path),
        None => AgentSocket::in_private_directory(&PathBuf::from(directory())),
    }
}

fn hint(error: &SocketError) -> Option<String> {
    let text = match error {
        SocketError::Taken(path) => format!("use it: SSH_AUTH_SOCK={}", path.display()),
        SocketError::NotASocket(_) | SocketError::TooLong(_) => "give another path with -a".to_owned(),
        SocketError::Directory { .. } => "name a directory in TMPDIR, or a socket with -a".to_owned(),
        SocketError::NotListening | SocketError::System { .. } => return None,
    };
    Some(text)
}

/// The directory of a socket if anybody can take the socket out of it: ssh-agent takes any, and so do we.
fn open_directory(socket: &Path) -> Option<PathBuf> {
    let directory = std::path::absolute(socket).ok()?.parent()?.to_owned();
    let mode = std::fs::metadata(&directory).ok()?.mode();
    (mode & 0o022 != 0 && mode & 0o1000 == 0).then_some(directory)
}
