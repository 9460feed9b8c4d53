//! `toolbox agent list | add | remove | lock | unlock`, for images without openssh-client.
//!
//! Contract: ssh-add's meanings, words and exit statuses: 0 done, 1 refused or nothing there, 2 no agent.
//! The agent is the one that `SSH_AUTH_SOCK` names, ours or any other.
//!
//! Absent on purpose: tokens and FIDO keys (ssh-add's `-s`, `-e`, `-S`, `-K`), and `-T`.

mod add;
mod hops;
mod list;
mod lock;
mod public;
mod remove;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::agent::SOCKET_VARIABLE;
use crate::agent::client::{Client, ClientError};
use crate::cli::exit_status::ExitStatus;
use crate::cli::failure::Failures;
use crate::ui::Ui;

/// What an agent that runs can be asked.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show its identities: fingerprints, or public keys with -L
    List(list::List),
    /// Give it keys [default: ~/.ssh/id_rsa, id_ecdsa, id_ed25519, and the FIDO ones]
    #[command(disable_help_flag = true)]
    Add(add::Add),
    /// Make it forget keys [default: those that add would give it]
    Remove(remove::Remove),
    /// Lock it with a passphrase: it shows and signs nothing until it is unlocked
    Lock,
    /// Unlock it
    Unlock,
}

/// Asks the agent.
///
/// # Errors
/// A problem of configuration, before it was asked anything.
pub(super) fn run(verb: Verb, ui: Ui) -> Result<ExitCode, Failures> {
    let mut client = match connect() {
        Ok(client) => client,
        Err(message) => {
            ui.say(&message);
            return Ok(ExitStatus::Configuration.into());
        }
    };
    let done = match verb {
        Verb::List(verb) => list::run(&mut client, &verb, ui),
        Verb::Add(verb) => add::run(&mut client, &verb, ui)?,
        Verb::Remove(verb) => remove::run(&mut client, &verb, ui),
        Verb::Lock => lock::run(&mut client, true, ui),
        Verb::Unlock => lock::run(&mut client, false, ui),
    };
    Ok(if done { ExitStatus::Done } else { ExitStatus::Failed }.into())
}

fn connect() -> Result<Client, String> {
    let socket = std::env::var_os(SOCKET_VARIABLE)
        .ok_or_else(|| "Could not open a connection to your authentication agent.".to_owned())?;
    Client::connect(Path::new(&socket)).map_err(|error| match error {
        ClientError::Unreachable(error) => format!("Error connecting to agent: {}", super::reason(&error)),
        error => format!("Error connecting to agent: {error}"),
    })
}

/// Whether a command is called like a verb.
pub(super) fn is_verb(command: &[OsString]) -> bool {
    command.first().and_then(|word| word.to_str()).is_some_and(Verb::has_subcommand)
}

/// The person's `.ssh`; `None` where `HOME` does not say.
fn dot_ssh() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".ssh"))
}

/// The files that ssh-add takes where none is named, as far as they are there.
fn default_files(ui: Ui) -> Vec<PathBuf> {
    let names = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];
    let files = dot_ssh().map(|directory| names.map(|name| directory.join(name)));
    let there: Vec<PathBuf> = files.into_iter().flatten().filter(|file| file.exists()).collect();
    if there.is_empty() {
        ui.error(&format!("no key was named, and none of ~/.ssh/{} is there", names.join(", ")), None);
    }
    there
}
