//! `toolbox releases`

use serde::Serialize;

use crate::agent::KeySource;
use crate::release::Release;
use crate::ui::{Ui, table};

use super::args::{Common, Format, Releases};
use super::begin::begin;
use super::connect::connect_all;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::interrupt;
use super::rollback::shelf;

/// One release on one host.
#[derive(Debug, Serialize)]
struct Row {
    host: String,
    release: String,
    current: bool,
    created: String,
    by: String,
    git: Option<String>,
    rollback_of: Option<String>,
    services: Vec<String>,
}

/// Shows what the hosts keep, the newest first.
pub(super) async fn run(
    common: &Common,
    arguments: &Releases,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    // The answer is the table: steps are not shown.
    let begun = begin(common, key, Ui::new(true)).await?;
    let connected = connect_all(&begun);
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for seen in interrupt::or_interrupted(&begun.interrupted, connected).await? {
        let host = seen.facts.host.clone();
        match shelf(&seen, &begun.context.project.name).await {
            Ok(shelf) => {
                shelf.damaged.iter().for_each(|d| ui.say(&format!("warning: {host}: {d}")));
                rows.extend(shelf.releases.iter().enumerate().map(|(n, release)| row(&host, n == 0, release)));
            }
            Err(e) => failures.push((host.clone(), Failure::of(&e, e.hint()).on(&host))),
        }
        seen.session.close().await;
    }
    begun.end().await;
    if !failures.is_empty() {
        return Err(Failures::of_hosts(failures));
    }
    ui.data(&match arguments.format {
        Format::Json => serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n",
        Format::Text => text(&rows),
    });
    Ok(ExitStatus::Done)
}

fn row(host: &str, current: bool, release: &Release) -> Row {
    let git = release.git.as_ref().map(|git| match &git.branch {
        Some(branch) => format!("{} ({branch})", git.short()),
        None => git.short().to_owned(),
    });
    Row {
        host: host.to_owned(),
        release: release.id.to_string(),
        current,
        created: release.created.clone(),
        by: release.by.clone(),
        git,
        rollback_of: release.rollback_of.map(|id| id.to_string()),
        services: release.services.keys().cloned().collect(),
    }
}

fn text(rows: &[Row]) -> String {
    let head = ["HOST", "RELEASE", "", "BY", "GIT", "SERVICES"].map(str::to_owned).to_vec();
    let lines = rows.iter().map(|r| {
        let what = match (&r.rollback_of, r.current) {
            (Some(of), true) => format!("current, {of} again"),
            (Some(of), false) => format!("{of} again"),
            (None, true) => "current".into(),
            (None, false) => String::new(),
        };
        let git = r.git.clone().unwrap_or_default();
        vec![r.host.clone(), r.release.clone(), what, r.by.clone(), git, r.services.join(", ")]
    });
    table(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}
