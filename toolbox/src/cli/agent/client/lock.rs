//! `toolbox agent lock` and `unlock`

use std::fs::File;
use std::io::{self, BufRead as _};

use secrecy::{ExposeSecret as _, SecretString};

use crate::agent::Askpass;
use crate::agent::client::Client;
use crate::ui::Ui;

/// Asks for the passphrase, for a lock twice, and locks or unlocks; whether that was done.
pub(super) fn run(client: &mut Client, lock: bool, ui: Ui) -> bool {
    let un = if lock { "" } else { "un" };
    let passphrase = match passphrase(lock) {
        Ok(passphrase) => passphrase,
        Err(error) => {
            ui.say(&error.to_string());
            return false;
        }
    };
    let bytes = passphrase.expose_secret().as_bytes();
    let done = if lock { client.lock(bytes) } else { client.unlock(bytes) };
    match &done {
        Ok(()) => ui.say(&format!("Agent {un}locked.")),
        Err(error) => ui.say(&format!("Failed to {un}lock agent: {error}")),
    }
    done.is_ok()
}

fn passphrase(twice: bool) -> io::Result<SecretString> {
    let first = ask("Enter lock password: ")?;
    if twice && ask("Again: ")?.expose_secret() != first.expose_secret() {
        return Err(io::Error::other("Passwords do not match."));
    }
    Ok(first)
}

/// Without echo at a terminal; else through SSH_ASKPASS, and else a line of standard input.
fn ask(prompt: &str) -> io::Result<SecretString> {
    let terminal = File::open("/dev/tty").is_ok();
    match Askpass::from_environment() {
        Some(askpass) if askpass.preferred() || !terminal => askpass.ask(prompt),
        _ if terminal => rpassword::prompt_password(prompt).map(Into::into),
        _ => line(),
    }
}

fn line() -> io::Result<SecretString> {
    let mut line = zeroize::Zeroizing::new(String::with_capacity(1024));
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}
