//! `toolbox hosts`: which hosts there are, whether they are fit, and whose keys are trusted.

mod check;
mod examine;
mod trust;

use serde::Serialize;

use crate::agent::KeySource;
use crate::ui::{Ui, table};

use super::args::{Common, Format};
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::Failures;

/// Arguments of `hosts`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Log into each host and say what it is and what stands in the way; changes nothing
    Check,
    /// Show the hosts' keys without logging in; with --yes add those of unknown hosts to the project's known_hosts
    Trust(trust::Arguments),
}

/// A host of the inventory.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    address: String,
    user: String,
    port: u16,
    groups: Vec<String>,
}

/// Lists the chosen hosts, or does what else is asked.
pub(super) async fn run(
    common: &Common,
    arguments: &Arguments,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let context = Context::of_hosts(common)?;
    context.warn(&ui);
    match &arguments.what {
        None => list(&context, arguments.format, ui),
        Some(What::Check) => return check::run(context, common, arguments.format, key, ui).await,
        Some(What::Trust(trust)) => return trust::run(context, common, trust, arguments.format, key, ui).await,
    }
    Ok(ExitStatus::Done)
}

fn list(context: &Context, format: Format, ui: Ui) {
    let rows = context.hosts.iter().map(|host| {
        let target = context.target(host);
        let groups = context.groups(&host.name);
        Row { name: target.name, address: target.address, user: target.user, port: target.port, groups }
    });
    let rows: Vec<Row> = rows.collect();
    ui.data(&match format {
        Format::Json => json(&rows),
        Format::Text => text(&rows),
    });
}

fn text(rows: &[Row]) -> String {
    let head = ["HOST", "ADDRESS", "USER", "PORT", "GROUPS"].map(str::to_owned).to_vec();
    let lines = rows.iter().map(|row| {
        vec![row.name.clone(), row.address.clone(), row.user.clone(), row.port.to_string(), row.groups.join(", ")]
    });
    table(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
