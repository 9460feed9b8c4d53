//! The command line. Settings come from the environment alone, so there are no options.

use std::{ffi::OsString, fmt::Write as _};

use thiserror::Error;

use crate::config::SETTINGS;

/// What the process was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve until a signal comes.
    Serve,
    /// Ask the service of this very container whether it answers.
    Healthcheck,
    /// Print [`help`].
    Help,
    /// Print the version.
    Version,
}

/// Arguments that mean nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UsageError {
    /// Not a command of ours.
    #[error("unknown command {0:?}")]
    Unknown(String),
    /// More than one argument.
    #[error("one command at most, found {0}")]
    TooMany(usize),
}

/// Reads the arguments, the program's name left out.
///
/// # Errors
/// [`UsageError`] where they are not exactly one known command or none.
pub fn parse(arguments: &[OsString]) -> Result<Command, UsageError> {
    let [argument] = arguments else {
        return match arguments.len() {
            0 => Ok(Command::Serve),
            many => Err(UsageError::TooMany(many)),
        };
    };
    match argument.to_string_lossy().as_ref() {
        "serve" => Ok(Command::Serve),
        "healthcheck" => Ok(Command::Healthcheck),
        "help" | "-h" | "--help" => Ok(Command::Help),
        "-V" | "--version" => Ok(Command::Version),
        other => Err(UsageError::Unknown(other.to_owned())),
    }
}

/// The name and version of this program.
pub const VERSION: &str = concat!("clock-backend ", env!("CARGO_PKG_VERSION"));

/// The text of `--help`, written from the same table that checks the settings.
#[must_use]
pub fn help() -> String {
    let mut text = format!(
        "{VERSION}\n\
         GET /clock answers with the unix time, GET /healthz with ok.\n\n\
         Usage: clock-backend [serve|healthcheck|--help|--version]\n\n\
         \x20 serve        serve until SIGTERM or SIGINT (the default)\n\
         \x20 healthcheck  exit with 0 when the service at CLOCK_HOST:CLOCK_PORT answers, else 1\n\n\
         Environment:\n"
    );
    for setting in &SETTINGS {
        let _ =
            writeln!(text, "  {}={}\n      {}: {}", setting.name, setting.default, setting.meaning, setting.allowed);
    }
    text.push_str(
        "\nExit status: 0 stopped as asked; 1 failed, or requests were cut off when the grace \
         ended;\n2 wrong settings or arguments.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, UsageError> {
        parse(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn no_argument_means_serve() {
        assert_eq!(parsed(&[]), Ok(Command::Serve));
        assert_eq!(parsed(&["serve"]), Ok(Command::Serve));
    }

    #[test]
    fn stray_arguments_are_refused() {
        assert_eq!(parsed(&["srve"]), Err(UsageError::Unknown("srve".into())));
        assert_eq!(parsed(&["serve", "now"]), Err(UsageError::TooMany(2)));
    }

    #[test]
    fn help_names_every_setting() {
        for setting in &SETTINGS {
            assert!(help().contains(setting.name), "{}", setting.name);
        }
    }
}
