//! `toolbox plan`

use tokio::sync::mpsc::unbounded_channel;

use crate::agent::KeySource;
use crate::plan::render;
use crate::ui::{self, Ui};

use super::args::{Common, Format, Plan};
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::Failures;
use super::{interrupt, keys, prepare};

/// Shows what a deploy would change.
pub(super) async fn run(
    common: &Common,
    arguments: &Plan,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let interrupted = interrupt::listen();
    let context = Context::load(common)?;
    context.warn(&ui);
    let agent = interrupt::or_interrupted(&interrupted, keys::agent(common, key)).await?;
    let (sender, receiver) = unbounded_channel();
    let watching = tokio::spawn(ui::watch(ui, receiver));
    let prepared =
        interrupt::or_interrupted(&interrupted, prepare::prepare(&context, &agent, &arguments.images, &sender)).await;
    drop(sender);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(failures) => {
            let _ = watching.await;
            return Err(failures);
        }
    };
    let plans = prepared.plans;
    for host in prepared.hosts {
        host.session.close().await;
    }
    let _ = watching.await;
    ui.data(&match arguments.format {
        Format::Text => plans.iter().map(render).collect::<String>(),
        Format::Json => serde_json::to_string_pretty(&plans).unwrap_or_default() + "\n",
    });
    let changes = plans.iter().any(|p| !p.is_empty());
    Ok(if changes && arguments.detailed_exitcode { ExitStatus::Configuration } else { ExitStatus::Done })
}
