//! `toolbox agent remove`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use ssh_key::PrivateKey;

use crate::agent::certificate_beside;
use crate::agent::client::Client;
use crate::ui::Ui;

use super::default_files;
use super::public::Public;

/// Most that is read of a file of public keys, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Arguments of `remove`.
#[derive(Args, Debug)]
pub(in crate::cli::agent) struct Remove {
    /// Every key
    #[arg(long, short, conflicts_with = "files")]
    all: bool,
    /// Leave certificates alone
    #[arg(short = 'k')]
    key_only: bool,
    /// Only errors
    #[arg(short = 'q')]
    quiet: bool,
    /// Key files, the public or the private half, or - for public keys on standard input
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
}

/// Removes the keys; whether all were there.
pub(super) fn run(client: &mut Client, arguments: &Remove, ui: Ui) -> bool {
    if arguments.all {
        return remove_all(client, arguments, ui);
    }
    let files = if arguments.files.is_empty() { default_files(ui) } else { arguments.files.clone() };
    let mut well = !files.is_empty();
    for file in &files {
        well &= match file.as_os_str() == "-" {
            true => remove_lines(client, arguments, ui),
            false => remove_file(client, file, arguments, ui),
        };
    }
    well
}

fn remove_all(client: &mut Client, arguments: &Remove, ui: Ui) -> bool {
    let removed = client.remove_all();
    match &removed {
        Ok(()) if arguments.quiet => {}
        Ok(()) => ui.say("All identities removed."),
        Err(error) => ui.say(&format!("Failed to remove all identities: {error}")),
    }
    removed.is_ok()
}

/// The key, and its certificate where one lies beside it. As with ssh-add, one of the two is enough.
fn remove_file(client: &mut Client, file: &Path, arguments: &Remove, ui: Ui) -> bool {
    let (public, comment) = match load(file) {
        Ok(found) => found,
        Err(reason) => {
            ui.say(&format!("Bad key file {}: {reason}", file.display()));
            return false;
        }
    };
    let mut well = remove_one(client, &public, &comment, &file.display().to_string(), arguments, ui);
    let path = certificate_beside(file);
    let text = std::fs::read_to_string(&path).ok().filter(|_| !arguments.key_only);
    let found = text.and_then(|text| Public::from_line(&text));
    if let Some((certificate, comment)) = found.filter(|(certificate, _)| certificate.same_key(&public)) {
        well |= remove_one(client, &certificate, &comment, &path.display().to_string(), arguments, ui);
    }
    well
}

fn remove_lines(client: &mut Client, arguments: &Remove, ui: Ui) -> bool {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().take(LONGEST_FILE).read_to_string(&mut text) {
        ui.say(&format!("(stdin): {}", crate::cli::agent::reason(&error)));
        return false;
    }
    let mut well = false;
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.trim().starts_with('#')) {
        match Public::from_line(line) {
            Some((public, comment)) => well |= remove_one(client, &public, &comment, "(stdin)", arguments, ui),
            None => ui.say(&format!("(stdin):{}: invalid key", number + 1)),
        }
    }
    well
}

fn remove_one(client: &mut Client, public: &Public, comment: &str, name: &str, arguments: &Remove, ui: Ui) -> bool {
    let removed = client.remove(&public.blob);
    match &removed {
        Ok(()) if arguments.quiet => {}
        Ok(()) => ui.say(&format!("Identity removed: {name} {} ({comment})", public.kind())),
        Err(error) => ui.say(&format!("Could not remove identity \"{name}\": {error}")),
    }
    removed.is_ok()
}

/// The public half of a file: of a public key, of a private one in OpenSSH's format even where that is encrypted, or
/// of `FILE.pub`.
fn load(file: &Path) -> Result<(Public, String), String> {
    let own = read(file);
    let found = own.as_deref().ok().and_then(|text| {
        let from_private = || {
            let key = PrivateKey::from_openssh(text).ok()?;
            Some((Public::of(key.public_key())?, String::from_utf8_lossy(key.comment().as_bytes()).into_owned()))
        };
        Public::from_line(text).or_else(from_private)
    });
    let beside = || {
        let mut name = file.as_os_str().to_owned();
        name.push(".pub");
        Public::from_line(&read(Path::new(&name)).ok()?)
    };
    found.or_else(beside).ok_or_else(|| match own {
        Err(error) => crate::cli::agent::reason(&error),
        Ok(_) => "there is no public key in it, nor one beside it".to_owned(),
    })
}

fn read(file: &Path) -> std::io::Result<zeroize::Zeroizing<String>> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::fs::File::open(file)?.take(LONGEST_FILE).read_to_string(&mut text)?;
    Ok(text)
}
