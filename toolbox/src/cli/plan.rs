//! `toolbox plan`

use crate::agent::KeySource;
use crate::plan::render;
use crate::ui::Ui;

use super::args::{Common, Format, Plan};
use super::begin::begin;
use super::exit_status::ExitStatus;
use super::failure::Failures;
use super::{interrupt, prepare};

/// Shows what a deploy would change.
pub(super) async fn run(
    common: &Common,
    arguments: &Plan,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin(common, key, ui).await?;
    let prepared = prepare::prepare(&begun.context, &begun.agent, &arguments.images, &begun.events);
    let prepared = interrupt::or_interrupted(&begun.interrupted, prepared).await;
    let plans = match prepared {
        Ok(prepared) => {
            for host in prepared.hosts {
                host.session.close().await;
            }
            Ok(prepared.plans)
        }
        Err(failures) => Err(failures),
    };
    begun.end().await;
    let plans = plans?;
    ui.data(&match arguments.format {
        Format::Text => plans.iter().map(render).collect::<String>(),
        Format::Json => serde_json::to_string_pretty(&plans).unwrap_or_default() + "\n",
    });
    let changes = plans.iter().any(|p| !p.is_empty());
    Ok(if changes && arguments.detailed_exitcode { ExitStatus::Configuration } else { ExitStatus::Done })
}
