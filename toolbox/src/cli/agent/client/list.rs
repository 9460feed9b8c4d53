//! `toolbox agent list`

use clap::Args;
use serde::Serialize;

use crate::agent::client::Client;
use crate::agent::{FingerprintHash, Identity};
use crate::cli::agent::options::fingerprint_hash;
use crate::cli::args::Format;
use crate::ui::Ui;

use super::public::Public;

/// Arguments of `list`.
#[derive(Args, Debug)]
pub(in crate::cli::agent) struct List {
    /// Fingerprints, which is what is shown anyway
    #[arg(short = 'l', conflicts_with = "public")]
    fingerprints: bool,
    /// Public keys
    #[arg(short = 'L')]
    public: bool,
    /// Digest of fingerprints: md5, sha1, sha256, sha384, sha512
    #[arg(short = 'E', value_name = "HASH", default_value = "sha256", value_parser = hash)]
    hash: FingerprintHash,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn hash(name: &str) -> Result<FingerprintHash, String> {
    fingerprint_hash(name).ok_or_else(|| "md5, sha1, sha256, sha384 or sha512 is wanted".to_owned())
}

/// One identity for programs.
#[derive(Serialize)]
struct Row {
    #[serde(rename = "type")]
    kind: String,
    bits: u32,
    fingerprint: String,
    comment: String,
    public_key: String,
}

/// Shows the identities; whether there are any.
pub(super) fn run(client: &mut Client, arguments: &List, ui: Ui) -> bool {
    let identities = match client.list() {
        Ok(identities) => identities,
        Err(error) => {
            ui.say(&format!("error fetching identities: {error}"));
            return false;
        }
    };
    // As in OpenSSH, what is of no known type is not shown.
    let known: Vec<(Public, &Identity)> =
        identities.iter().filter_map(|identity| Some((Public::from_blob(&identity.blob)?, identity))).collect();
    ui.data(&match arguments.format {
        Format::Json => json(&known, arguments.hash),
        Format::Text if known.is_empty() => "The agent has no identities.\n".to_owned(),
        Format::Text => known.iter().map(|(public, identity)| line(arguments, public, &identity.comment)).collect(),
    });
    !known.is_empty()
}

fn line(arguments: &List, public: &Public, comment: &str) -> String {
    let comment = printable(comment);
    match arguments.public {
        true => format!("{} {comment}\n", public.line()),
        false => {
            let fingerprint = public.fingerprint(arguments.hash);
            format!("{} {fingerprint} {comment} ({})\n", public.bits(), public.kind())
        }
    }
}

/// A comment is whatever who added the key wrote; it is not to move the cursor.
fn printable(comment: &str) -> String {
    comment.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn json(known: &[(Public, &Identity)], hash: FingerprintHash) -> String {
    let rows: Vec<Row> = known
        .iter()
        .map(|(public, identity)| Row {
            kind: public.kind(),
            bits: public.bits(),
            fingerprint: public.fingerprint(hash),
            comment: identity.comment.clone(),
            public_key: public.line(),
        })
        .collect();
    serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n"
}
