//! `toolbox status`

use crate::agent::KeySource;
use crate::plan::container_name;
use crate::state::ObservedContainer;
use crate::ui::{Ui, table};
use serde::Serialize;

use super::args::{Common, Format, Status};
use super::begin::begin;
use super::connect::connect_all;
use super::context::Context;
use super::exit_status::ExitStatus;
use super::failure::Failures;
use super::interrupt;

/// One container of the project, or a service that has none.
#[derive(Debug, Serialize)]
struct Row {
    host: String,
    service: String,
    container: String,
    state: String,
    status: String,
    ports: Vec<String>,
}

/// Shows the project's containers; the exit status says whether every service runs.
pub(super) async fn run(
    common: &Common,
    arguments: &Status,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    // The answer is the table: steps are not shown.
    let begun = begin(common, key, Ui::new(true)).await?;
    let connected = connect_all(&begun.context, &begun.agent, &begun.events);
    let mut rows = Vec::new();
    for host in interrupt::or_interrupted(&begun.interrupted, connected).await? {
        let containers = host.facts.engine.as_ref().map_or(&[][..], |e| &e.containers[..]);
        rows.extend(host_rows(&begun.context, &host.facts.host, containers));
        host.session.close().await;
    }
    begun.end().await;
    ui.data(&match arguments.format {
        Format::Json => serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n",
        Format::Text => text(&rows),
    });
    let all_well = rows.iter().all(|r| r.state == "running" || r.status.starts_with("Exited (0)"));
    Ok(if all_well { ExitStatus::Done } else { ExitStatus::Failed })
}

fn host_rows(context: &Context, host: &str, containers: &[ObservedContainer]) -> Vec<Row> {
    let project = &context.project;
    let of_project = containers.iter().filter(|c| c.project.as_ref() == Some(&project.name) && !c.oneoff);
    let mut rows: Vec<Row> = of_project.map(|c| row(host, c)).collect();
    for service in project.services.values() {
        if !rows.iter().any(|r| r.service == service.name) {
            rows.push(Row {
                host: host.to_owned(),
                service: service.name.clone(),
                container: container_name(project, service),
                state: "absent".into(),
                status: "not deployed".into(),
                ports: Vec::new(),
            });
        }
    }
    rows.sort_by(|a, b| (&a.service, &a.container).cmp(&(&b.service, &b.container)));
    rows
}

fn row(host: &str, container: &ObservedContainer) -> Row {
    Row {
        host: host.to_owned(),
        service: container.service.clone().unwrap_or_default(),
        container: container.name.clone(),
        state: container.state.clone(),
        status: container.status.clone(),
        ports: container.published.iter().map(|(host, inner)| format!("{host}->{inner}/tcp")).collect(),
    }
}

fn text(rows: &[Row]) -> String {
    let head = ["HOST", "SERVICE", "CONTAINER", "STATE", "STATUS", "PORTS"].map(str::to_owned).to_vec();
    let lines = rows.iter().map(|r| {
        let ports = r.ports.join(", ");
        vec![r.host.clone(), r.service.clone(), r.container.clone(), r.state.clone(), r.status.clone(), ports]
    });
    table(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}
