//! `toolbox releases`

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::agent::KeySource;
use crate::release::Release;
use crate::ui::{Ui, table};

use super::args::{Common, Format, Releases};
use super::begin::begin_by_name;
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
    let begun = begin_by_name(common, key, ui, Ui::new(true)).await?;
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

/// One line a release, the newest first, with all hosts that keep it: those that a deploy did not have to change keep
/// none of it.
fn text(rows: &[Row]) -> String {
    let mut lines: BTreeMap<Reverse<&str>, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        lines.entry(Reverse(row.release.as_str())).or_default().push(row);
    }
    let head = ["RELEASE", "HOSTS", "", "BY", "GIT", "SERVICES"].map(str::to_owned).to_vec();
    table(&std::iter::once(head).chain(lines.values().map(|rows| line(rows))).collect::<Vec<_>>())
}

/// One deploy on several hosts.
fn line(rows: &[&Row]) -> Vec<String> {
    let hosts: Vec<&str> = rows.iter().map(|r| r.host.as_str()).collect();
    let services: BTreeSet<&str> = rows.iter().flat_map(|r| r.services.iter().map(String::as_str)).collect();
    let gits: BTreeSet<&str> = rows.iter().filter_map(|r| r.git.as_deref()).collect();
    let by: BTreeSet<&str> = rows.iter().map(|r| r.by.as_str()).collect();
    let joined = |set: BTreeSet<&str>| set.into_iter().collect::<Vec<_>>().join(", ");
    vec![rows[0].release.clone(), hosts.join(", "), what(rows), joined(by), joined(gits), joined(services)]
}

/// Where it runs, and what it brought back.
fn what(rows: &[&Row]) -> String {
    let current: Vec<&str> = rows.iter().filter(|r| r.current).map(|r| r.host.as_str()).collect();
    let current = match current.len() {
        0 => None,
        all if all == rows.len() => Some("current".to_owned()),
        _ => Some(format!("current on {}", current.join(", "))),
    };
    let mut again: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        if let Some(of) = &row.rollback_of {
            again.entry(of).or_default().push(&row.host);
        }
    }
    let everywhere = again.len() == 1 && again.values().all(|hosts| hosts.len() == rows.len());
    let again = again.iter().map(|(of, hosts)| match everywhere {
        true => format!("{of} again"),
        false => format!("{of} again on {}", hosts.join(", ")),
    });
    current.into_iter().chain(again).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(host: &str, release: &str, current: bool, rollback_of: Option<&str>) -> Row {
        Row {
            host: host.into(),
            release: release.into(),
            current,
            created: String::new(),
            by: "ann@box".into(),
            git: None,
            rollback_of: rollback_of.map(str::to_owned),
            services: vec!["web".into()],
        }
    }

    #[test]
    fn a_deploy_is_one_line_that_names_the_hosts_it_changed_and_where_it_runs() {
        let rows = [
            row("a", "2", true, None),
            row("a", "1", false, None),
            row("b", "4", true, Some("1")),
            row("b", "3", false, None),
            row("b", "1", false, None),
            row("c", "4", true, Some("2")),
            row("c", "2", false, None),
        ];
        let text = text(&rows);
        let lines: Vec<String> = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "RELEASE HOSTS BY GIT SERVICES",
                "4 b, c current, 1 again on b, 2 again on c ann@box web",
                "3 b ann@box web",
                "2 a, c current on a ann@box web",
                "1 a, b ann@box web",
            ]
        );
    }
}
