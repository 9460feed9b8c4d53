//! `toolbox plan`

use crate::agent::KeySource;
use crate::plan::{Plan, render};
use crate::ui::Ui;

use super::args::{self, Common, Format};
use super::begin::begin;
use super::exit_status::ExitStatus;
use super::failure::Failures;
use super::interrupt;
use super::plan_file::PlanFile;
use super::prepare::{Asked, prepare};

/// Shows what a deploy would change. Nothing is changed.
pub(super) async fn run(
    common: &Common,
    arguments: &args::Plan,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let begun = begin(common, key, ui).await?;
    let (services, remove_orphans) = (arguments.services.as_slice(), arguments.remove_orphans);
    let asked = Asked { images: &arguments.images, services, remove_orphans };
    let prepared = interrupt::or_interrupted(&begun.interrupted, prepare(&begun, &asked)).await;
    let plans = match prepared {
        Ok(prepared) => {
            let (sessions, plans): (Vec<_>, Vec<Plan>) =
                prepared.works.into_iter().map(|work| (work.seen.session, work.plan)).unzip();
            for session in sessions {
                session.close().await;
            }
            Ok((plans, prepared.images))
        }
        Err(failures) => Err(failures),
    };
    let project = begun.context.project.clone();
    begun.end().await;
    let (plans, images) = plans?;
    if let Some(file) = &arguments.out {
        PlanFile::new(&project, &asked, &images, &plans).write(file)?;
    }
    ui.data(&match arguments.format {
        Format::Text => plans.iter().map(render).collect::<String>(),
        Format::Json => serde_json::to_string_pretty(&plans).unwrap_or_default() + "\n",
    });
    let changes = plans.iter().any(|p| !p.is_empty());
    Ok(if changes && arguments.detailed_exitcode { ExitStatus::Configuration } else { ExitStatus::Done })
}
