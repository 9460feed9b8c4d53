//! `toolbox hosts trust`: the one place from which a known_hosts file is written.
//!
//! Only keys of hosts about which nothing is on file are added, only to the project's own file, and only with `--yes`.

use std::path::Path;

use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;

use crate::agent::KeySource;
use crate::cli::args::{Common, Format};
use crate::cli::begin::begin_with;
use crate::cli::context::Context;
use crate::cli::exit_status::ExitStatus;
use crate::cli::failure::{Failure, Failures};
use crate::cli::interrupt;
use crate::inventory::Host;
use crate::ssh::known_hosts::append;
use crate::ssh::{AgentDialer, Scan, Standing, Way, scan};
use crate::ui::{Ui, table};

use super::json;

/// Hosts that are asked at once.
const PARALLEL: usize = 16;
/// What shows the fingerprints on a host's own console.
const CONSOLE: &str = "for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done";

/// Arguments of `hosts trust`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Add the shown keys of unknown hosts to known_hosts in the project directory: they have been compared
    #[arg(long, short)]
    yes: bool,
}

/// A host and its keys.
#[derive(Debug, Serialize)]
struct Row {
    host: String,
    /// As known_hosts names it.
    known_hosts_name: String,
    keys: Vec<Key>,
    /// What is on file, in words.
    standing: String,
    /// Nothing is on file, so that the keys are to be added.
    is_new: bool,
}

#[derive(Debug, Serialize)]
struct Key {
    algorithm: String,
    fingerprint: String,
    line: String,
}

/// Shows the keys of every host, and adds those of unknown ones where told.
pub(super) async fn run(
    context: Context,
    common: &Common,
    arguments: &Arguments,
    format: Format,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let file = common.project_directory.join("known_hosts");
    if arguments.yes && common.ssh.names_known_hosts() {
        let hint = format!(
            "leave --known-hosts and TOOLBOX_KNOWN_HOSTS out, or add the lines to that file by hand: {}",
            file.display()
        );
        let message = "only known_hosts in the project directory is written, and --known-hosts names other files";
        return Err(Failures::configuration(vec![Failure::text(message.into(), Some(hint))]));
    }
    let (rows, failures) = scan_all(context, common, key).await?;
    show(&rows, arguments, format, ui);
    failures.iter().for_each(|failure| failure.show(&ui));
    let lines: Vec<String> =
        rows.iter().filter(|row| row.is_new).flat_map(|row| &row.keys).map(|key| key.line.clone()).collect();
    if arguments.yes {
        write(&file, &lines, format, ui)?;
    } else if !lines.is_empty() {
        ui.say(&advice(&file));
    }
    Ok(if failures.is_empty() { ExitStatus::Done } else { ExitStatus::Failed })
}

/// With `--yes` standard output is left to lines that cannot be written.
fn show(rows: &[Row], arguments: &Arguments, format: Format, ui: Ui) {
    let shown: String = rows.iter().map(text).collect();
    match format {
        Format::Json => ui.data(&json(&rows)),
        Format::Text if arguments.yes => ui.say(shown.trim_end()),
        Format::Text => ui.data(&shown),
    }
}

/// Keys are read only where there is somebody to log in to: a hop.
async fn scan_all(
    context: Context,
    common: &Common,
    key: Option<KeySource>,
) -> Result<(Vec<Row>, Vec<Failure>), Failures> {
    let is_behind_hop = |host| matches!(context.target(host).way, Way::Hop(_));
    if !context.hosts.iter().any(is_behind_hop) {
        let scans = async { Ok(ask_all(&context, &AgentDialer::nobody()).await) };
        return interrupt::or_interrupted(&interrupt::listen(), scans).await;
    }
    let begun = begin_with(context, common, key, Ui::new(true)).await?;
    let scans = async { Ok(ask_all(&begun.context, &begun.agent).await) };
    let scanned = interrupt::or_interrupted(&begun.interrupted, scans).await;
    begun.end().await;
    scanned
}

async fn ask_all(context: &Context, agent: &AgentDialer) -> (Vec<Row>, Vec<Failure>) {
    let scans = context.hosts.iter().map(|host| ask(context, agent, host));
    let results: Vec<_> = stream::iter(scans).buffered(PARALLEL).collect().await;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(row) => rows.push(row),
            Err(failure) => failures.push(failure),
        }
    }
    (rows, failures)
}

async fn ask(context: &Context, agent: &AgentDialer, host: &Host) -> Result<Row, Failure> {
    let scanned = scan(&context.target(host), agent).await;
    let Scan { host: known_hosts_name, keys, standing } =
        scanned.map_err(|e| Failure::of(&e, e.hint()).on(&host.name))?;
    let keys =
        keys.into_iter().map(|key| Key { algorithm: key.algorithm, fingerprint: key.fingerprint, line: key.line });
    let is_new = standing == Standing::Unknown;
    Ok(Row { host: host.name.clone(), known_hosts_name, keys: keys.collect(), standing: words(&standing), is_new })
}

fn words(standing: &Standing) -> String {
    match standing {
        Standing::OnFile(places) => {
            let places: Vec<String> = places.iter().map(ToString::to_string).collect();
            format!("on file: {}", places.join(", "))
        }
        Standing::Authority(place) => format!("its authority is on file: {place}"),
        Standing::Unknown => "not on file".to_owned(),
    }
}

fn text(row: &Row) -> String {
    let keys: Vec<Vec<String>> =
        row.keys.iter().map(|key| vec![format!("  {}", key.algorithm), key.fingerprint.clone()]).collect();
    format!("{} ({}), {}\n{}", row.host, row.known_hosts_name, row.standing, table(&keys))
}

fn advice(file: &Path) -> String {
    format!(
        "nothing was written. Compare each fingerprint with what that host's own console shows:\n  {CONSOLE}\n\
         only if they are equal: toolbox hosts trust --yes\n\
         which adds the keys of the hosts that are not on file to {}",
        file.display()
    )
}

/// Adds the lines; where that cannot be, they are printed for the person to add.
fn write(file: &Path, lines: &[String], format: Format, ui: Ui) -> Result<(), Failures> {
    if lines.is_empty() {
        ui.say("nothing was written: there is no new host");
        return Ok(());
    }
    let Err(error) = append(file, lines) else {
        ui.say(&format!("{} lines were added to {}", lines.len(), file.display()));
        return Ok(());
    };
    if format == Format::Text {
        ui.data(&(lines.join("\n") + "\n"));
    }
    let hint = "the lines stand on standard output; where the project is mounted read-only, as in the container: \
                docker compose run --rm -T toolbox hosts trust --yes >> known_hosts";
    let message = format!("{} cannot be written: {error}; nothing was changed", file.display());
    Err(Failures::failed(vec![Failure::text(message, Some(hint.into()))]))
}
