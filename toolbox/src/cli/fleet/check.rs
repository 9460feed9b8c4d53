//! `toolbox hosts check`: every host is tried as a deploy would try it, and nothing is changed.

use futures_util::stream::{self, StreamExt as _};

use crate::agent::KeySource;
use crate::cli::args::{Common, Format};
use crate::cli::begin::{Begun, begin_with};
use crate::cli::context::Context;
use crate::cli::exit_status::ExitStatus;
use crate::cli::failure::{Failure, Failures};
use crate::cli::interrupt;
use crate::plan::human_bytes;
use crate::ui::{Ui, table};

use super::examine::{Engine, Means, Report};
use super::json;

/// Hosts that are asked at once.
const PARALLEL: usize = 32;

/// Checks the hosts; the exit status says whether all are fit.
pub(super) async fn run(
    context: Context,
    common: &Common,
    format: Format,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    // The answer is the table: steps are not shown.
    let begun = begin_with(context, common, key, Ui::new(true)).await?;
    let checked = async { Ok(examine_all(&begun).await) };
    let reports = interrupt::or_interrupted(&begun.interrupted, checked).await;
    begun.end().await;
    let reports = reports?;
    match format {
        Format::Json => ui.data(&json(&reports)),
        Format::Text => show(&reports, ui),
    }
    Ok(if reports.iter().all(|report| report.ok) { ExitStatus::Done } else { ExitStatus::Failed })
}

async fn examine_all(begun: &Begun) -> Vec<Report> {
    let means = Means { context: &begun.context, agent: &begun.agent, events: &begun.events };
    let hosts = begun.context.hosts.iter().map(|host| means.examine(host));
    stream::iter(hosts).buffered(PARALLEL).collect().await
}

fn show(reports: &[Report], ui: Ui) {
    ui.data(&text(reports));
    for report in reports {
        report.warnings.iter().for_each(|warning| ui.say(&format!("warning: {}: {warning}", report.host)));
        if let Some(error) = &report.error {
            Failure::text(error.clone(), report.hint.clone()).on(&report.host).show(&ui);
        }
    }
    let failed = reports.iter().filter(|report| !report.ok).count();
    ui.data(&format!("hosts={} fit={} failed={failed}\n", reports.len(), reports.len() - failed));
}

fn text(reports: &[Report]) -> String {
    let head = ["HOST", "LOGIN", "HOST KEY", "KEY", "RIGHTS", "SYSTEM", "ENGINE", "FREE", "CLOCK"];
    let lines = reports.iter().map(|report| {
        let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
        let system =
            report.os.as_ref().zip(report.architecture.as_ref()).map(|(os, machine)| format!("{os}, {machine}"));
        vec![
            report.host.clone(),
            format!("{}@{}:{}", report.user, report.address, report.port),
            or_dash(report.host_key.clone()),
            or_dash(report.login_key.clone()),
            or_dash(report.rights.map(str::to_owned)),
            or_dash(system),
            or_dash(report.engine.as_ref().map(engine)),
            or_dash(report.free_bytes.map(human_bytes)),
            or_dash(report.clock_seconds.map(|seconds| format!("{seconds:+} s"))),
        ]
    });
    table(&std::iter::once(head.map(str::to_owned).to_vec()).chain(lines).collect::<Vec<_>>())
}

fn engine(engine: &Engine) -> String {
    match engine {
        Engine::Running { version, api, store } => format!("{version} (API {api}, {store} store)"),
        Engine::Stopped => "stopped: would be started".to_owned(),
        Engine::Absent { from } => format!("not installed: would be installed from {from}"),
    }
}
