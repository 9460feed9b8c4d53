//! Who is asked for a passphrase or a password.

use std::io;

use secrecy::SecretString;

use crate::agent::Askpass;

/// Shows a prompt and gives the answer.
pub(in crate::cli) type Asker = Box<dyn FnMut(&str) -> io::Result<SecretString>>;

/// The terminal, or the program that `SSH_ASKPASS` names where there is no terminal or where it is preferred; `None`
/// where there is neither.
pub(in crate::cli) fn somebody() -> Option<Asker> {
    let has_terminal = std::fs::File::open("/dev/tty").is_ok();
    match Askpass::from_environment() {
        Some(askpass) if askpass.preferred() || !has_terminal => Some(Box::new(move |prompt| {
            askpass.ask(prompt).map_err(|error| io::Error::new(error.kind(), format!("SSH_ASKPASS: {error}")))
        })),
        _ if has_terminal => Some(Box::new(|prompt| rpassword::prompt_password(prompt).map(Into::into))),
        _ => None,
    }
}
