//! The password that makes logins root: asked for once, or read from a file, before any host is asked.

use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use crate::agent::password_file;
use crate::inventory::Password;

use super::failure::{Failure, Failures, configuration};
use super::keys::ask;

/// The variable that names the file.
const FILE_VARIABLE: &str = "TOOLBOX_BECOME_PASSWORD_FILE";

/// Arguments about becoming root, under Ansible's names.
#[derive(Debug, Args)]
pub(super) struct RightsArguments {
    /// Ask once for the password of sudo, for every host whose login is not root without one
    #[arg(long, short = 'K', global = true)]
    ask_become_pass: bool,
    /// A file with that password [default: TOOLBOX_BECOME_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    become_password_file: Option<PathBuf>,
}

/// The password that the arguments ask or name, else that of the variable's file, which may be empty: that is how
/// compose.yaml says that there is none.
///
/// # Errors
/// Nobody to ask, no answer, or a file that cannot be read.
pub(super) async fn password(arguments: &RightsArguments) -> Result<Option<Password>, Failures> {
    if arguments.ask_become_pass {
        return ask_for_it().await.map(Some);
    }
    if let Some(file) = &arguments.become_password_file {
        let missing = || failure(format!("{} holds no password", file.display()), "write it into its first line");
        return read(file)?.ok_or_else(missing).map(Some);
    }
    let file = std::env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty());
    file.map_or(Ok(None), |file| read(Path::new(&file)))
}

fn read(file: &Path) -> Result<Option<Password>, Failures> {
    let read = password_file(file).map_err(|error| configuration(&error, error.hint()))?;
    Ok(read.map(Password::from))
}

/// On a thread of its own, since a person takes time.
async fn ask_for_it() -> Result<Password, Failures> {
    let asking = tokio::task::spawn_blocking(|| ask::somebody().map(|mut ask| ask("BECOME password: ")));
    let asked = asking.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
    let hint = "run it at a terminal, set SSH_ASKPASS, or name a file: --become-password-file FILE";
    let answer: SecretString = asked
        .ok_or_else(|| failure("-K: there is no terminal to ask for the password at".into(), hint))?
        .map_err(|error| failure(format!("-K: cannot ask for the password: {error}"), hint))?;
    match answer.expose_secret().is_empty() {
        true => Err(failure("-K: no password was typed".into(), "leave -K out where none is needed")),
        false => Ok(answer.into()),
    }
}

fn failure(message: String, hint: &str) -> Failures {
    Failures::configuration(vec![Failure::text(message, Some(hint.into()))])
}
