//! `toolbox agent add`

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use crate::agent::KeySource;
use crate::agent::client::{Client, ClientError, Constraints};
use crate::cli::agent::{lifetime, start};
use crate::cli::failure::Failures;
use crate::cli::keys::fido_provider;
use crate::ui::Ui;

use super::{default_files, hops};

/// Arguments of `add`.
#[derive(Args, Debug)]
pub(in crate::cli::agent) struct Add {
    /// Forget the keys after this time: 90, 30m, 1h30m, 2d
    #[arg(short = 't', value_name = "LIFE", value_parser = life)]
    life: Option<u32>,
    /// Ask before each use
    #[arg(short = 'c')]
    confirm: bool,
    /// Only to log in to [user@]host, or from one host to the next: host>[user@]host
    #[arg(short = 'h', value_name = "CONSTRAINT")]
    hops: Vec<String>,
    /// Where the host keys for -h stand [default: OpenSSH's known_hosts files]
    #[arg(short = 'H', value_name = "FILE")]
    known_hosts: Vec<PathBuf>,
    /// Leave certificates alone
    #[arg(short = 'k')]
    key_only: bool,
    /// Only errors
    #[arg(short = 'q')]
    quiet: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Private key files, or - for standard input
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
}

impl Add {
    /// As with ssh-add, 0 is for ever.
    fn lifetime(&self) -> Option<u32> {
        self.life.filter(|seconds| *seconds > 0)
    }
}

fn life(text: &str) -> Result<u32, String> {
    lifetime::seconds(text).ok_or_else(|| "a time like 90, 30m, 1h30m or 2d is wanted".to_owned())
}

/// Adds the keys; whether all were taken.
///
/// # Errors
/// The constraints mean nothing, and no key was sent.
pub(super) fn run(client: &mut Client, arguments: &Add, ui: Ui) -> Result<bool, Failures> {
    let constraints = Constraints {
        lifetime: arguments.lifetime(),
        confirm: arguments.confirm,
        provider: fido_provider(),
        destinations: hops::resolve(&arguments.hops, &arguments.known_hosts)?,
    };
    let files = if arguments.files.is_empty() { default_files(ui) } else { arguments.files.clone() };
    let mut well = !files.is_empty();
    for file in &files {
        well &= add_file(client, file, &constraints, arguments, ui);
    }
    Ok(well)
}

fn add_file(client: &mut Client, file: &Path, constraints: &Constraints, arguments: &Add, ui: Ui) -> bool {
    let (source, name) = match file.to_str() {
        Some("-") => (KeySource::Stdin, "(stdin)".to_owned()),
        _ => (KeySource::File(file.to_owned()), file.display().to_string()),
    };
    let keys = match start::read_keys(vec![source], false, ui) {
        Ok(keys) => keys,
        Err(failures) => {
            failures.show(&ui);
            return false;
        }
    };
    let mut well = true;
    for loaded in &keys {
        let comment = String::from_utf8_lossy(loaded.key.comment().as_bytes());
        let line = format!("Identity added: {name} ({comment})");
        well &= told(
            client.add(&loaded.key, constraints),
            &line,
            &format!("Could not add identity \"{name}\""),
            arguments,
            ui,
        );
        if let Some(certificate) = loaded.certificate.as_ref().filter(|_| !arguments.key_only) {
            let what = format!("{name}-cert.pub ({})", certificate.key_id());
            let done = client.add_certified(&loaded.key, certificate, constraints);
            let (line, refusal) = (format!("Certificate added: {what}"), format!("Certificate {what} add failed"));
            well &= told(done, &line, &refusal, arguments, ui);
        }
    }
    well
}

/// Says how it went; whether it went well.
fn told(done: Result<(), ClientError>, line: &str, refusal: &str, arguments: &Add, ui: Ui) -> bool {
    match &done {
        Ok(()) => added(line, arguments, ui),
        Err(error) => ui.say(&format!("{refusal}: {error}")),
    }
    done.is_ok()
}

fn added(line: &str, arguments: &Add, ui: Ui) {
    if arguments.quiet {
        return;
    }
    ui.say(line);
    if let Some(seconds) = arguments.lifetime() {
        ui.say(&format!("Lifetime set to {seconds} seconds"));
    }
    if arguments.confirm {
        ui.say("The user must confirm each use of the key");
    }
}
