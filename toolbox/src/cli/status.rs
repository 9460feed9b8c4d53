//! `toolbox status`

use std::collections::BTreeSet;

use serde::Serialize;

use crate::agent::KeySource;
use crate::compose::{Project, PublishedPort, RestartPolicy};
use crate::image::Reference;
use crate::plan::{Fingerprint, HostFacts, container_name, drift, is_in_charge, relay_drift};
use crate::state::{EngineState, ObservedContainer, Role};
use crate::ui::{Ui, table};

use super::args::{Common, Format, Status};
use super::begin::begin_by_name;
use super::connect::{Seen, connect_all};
use super::exit_status::ExitStatus;
use super::failure::Failures;
use super::hosts::{newest_release, not_deployed};
use super::interrupt;
use super::services::chosen;

/// How an engine tells of a container that ended with status 0.
const ENDED_WELL: &str = "Exited (0)";

/// Nobody reaches the service.
const RELAY_STOPPED: &str = "relay stopped";

/// One container of the project, or a service that has none.
#[derive(Debug, Serialize)]
struct Row {
    host: String,
    service: String,
    container: String,
    image: Image,
    /// The engine's word; `absent` where there is no container.
    state: String,
    /// `None` without a health check.
    health: Option<String>,
    /// The engine's words, such as `Up 2 minutes (healthy)`.
    status: String,
    /// When it was started last, RFC 3339, where the engine was asked.
    since: Option<String>,
    /// Ports of the host that lead to the service: its own, or its relay's.
    ports: Vec<String>,
    /// The deploy that made it.
    release: Option<String>,
    /// What is not as the file says, or the newest release where that does not load, as far as a glance shows it: `plan`
    /// tells all.
    drift: Vec<String>,
    relay: Option<Relay>,
}

#[derive(Debug, Default, Serialize)]
struct Image {
    /// Empty where the image has no name any more.
    name: String,
    /// The first 12 hex digits.
    id: String,
}

/// The container that owns a service's ports and names.
#[derive(Debug, Serialize)]
struct Relay {
    container: String,
    state: String,
}

/// Shows the project's containers; the exit status says whether every service runs.
pub(super) async fn run(
    common: &Common,
    arguments: &Status,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    // The answer is the table: steps are not shown.
    let begun = begin_by_name(common, key, ui, Ui::new(true)).await?;
    let named_only = begun.context.is_named_only();
    let services = match named_only {
        false => chosen(&begun.context.project, &arguments.services)?,
        true => arguments.services.iter().cloned().collect(),
    };
    let connected = connect_all(&begun);
    let mut rows = Vec::new();
    for host in interrupt::or_interrupted(&begun.interrupted, connected).await? {
        let placed = &begun.context.placed[&host.facts.host];
        let seen = match named_only {
            false => rows_of((placed, "the file"), &host.facts),
            true => rows_of((&kept(&host, placed, ui).await, "the newest release"), &host.facts),
        };
        let wanted = |row: &Row| arguments.services.is_empty() || services.contains(&row.service);
        rows.extend(seen.into_iter().filter(wanted));
        host.session.close().await;
    }
    let hosts: Vec<String> = begun.context.hosts.iter().map(|host| host.name.clone()).collect();
    begun.end().await;
    if let Some(nowhere) = services.iter().find(|name| named_only && rows.iter().all(|row| row.service != **name)) {
        return Err(not_deployed(nowhere, &hosts.join(", ")));
    }
    ui.data(&match arguments.format {
        Format::Json => serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n",
        Format::Text => text(&rows),
    });
    Ok(if rows.iter().all(is_well) { ExitStatus::Done } else { ExitStatus::Failed })
}

/// The project as the host keeps it, empty where it does not.
async fn kept(host: &Seen, empty: &Project, ui: Ui) -> Project {
    let (Some(engine), Ok(state)) = (host.session.engine(), &host.facts.engine) else { return empty.clone() };
    let newest = newest_release(engine, state.of_project(&empty.name), &empty.name).await;
    let newest = newest.unwrap_or_else(|failure| {
        ui.say(&format!("warning: {}", failure.on(&host.facts.host)));
        None
    });
    newest.unwrap_or_else(|| empty.clone())
}

/// It runs and can be reached, or was to end and did so well.
fn is_well(row: &Row) -> bool {
    let drifted = |what: &str| row.drift.iter().any(|drift| drift == what);
    let ended_well = row.status.starts_with(ENDED_WELL) && !drifted("stopped");
    !drifted(RELAY_STOPPED) && (row.state == "running" || ended_well)
}

/// What is there beside what should be, by `source`.
fn rows_of((project, source): (&Project, &str), facts: &HostFacts) -> Vec<Row> {
    let nothing = EngineState::empty();
    let engine = facts.engine.as_ref().unwrap_or(&nothing);
    let own = engine.of_project(&project.name).filter(|c| c.role == Role::Service && !c.oneoff);
    let mut rows: Vec<Row> = own.map(|c| row(&facts.host, (project, source), engine, c)).collect();
    let present: BTreeSet<String> = rows.iter().map(|r| r.service.clone()).collect();
    for service in project.services.values().filter(|s| !present.contains(&s.name)) {
        rows.push(Row {
            host: facts.host.clone(),
            service: service.name.clone(),
            container: container_name(project, service),
            image: Image { name: service.image.clone(), id: String::new() },
            state: "absent".into(),
            health: None,
            status: String::new(),
            since: None,
            ports: Vec::new(),
            release: None,
            drift: vec!["not deployed".into()],
            relay: None,
        });
    }
    rows.sort_by(|a, b| (&a.service, &a.container).cmp(&(&b.service, &b.container)));
    rows
}

fn row(host: &str, (project, source): (&Project, &str), engine: &EngineState, container: &ObservedContainer) -> Row {
    let service = container.service.clone().unwrap_or_default();
    let mut own = engine.of_project(&project.name);
    let relay = own.find(|c| c.role == Role::Relay && c.relay_of.as_ref() == Some(&service));
    let published = relay.filter(|_| is_in_charge(container)).unwrap_or(container);
    Row {
        host: host.to_owned(),
        container: container.name.clone(),
        image: image(engine, &container.image_id),
        state: container.state.clone(),
        health: health(container),
        status: container.status.clone(),
        since: container.live.as_ref().map(|live| live.started.clone()),
        ports: shown_ports(&published.published),
        release: container.release.clone(),
        drift: all_drift((project, source), engine, container, &service, relay),
        relay: relay.map(|r| Relay { container: r.name.clone(), state: r.state.clone() }),
        service,
    }
}

/// The engine tells of both kinds of addresses where a port is published on all.
fn shown_ports(ports: &BTreeSet<PublishedPort>) -> Vec<String> {
    let on_all = |port: &PublishedPort| PublishedPort {
        host_ip: port.host_ip.filter(|ip| !ip.is_unspecified()),
        ..port.clone()
    };
    let ports: BTreeSet<PublishedPort> = ports.iter().map(on_all).collect();
    ports.iter().map(PublishedPort::shown).collect()
}

fn image(engine: &EngineState, id: &str) -> Image {
    let references = engine.images.iter().find(|i| i.facts.id == id).map(|i| &i.references);
    // Names by which releases hold on to it are nobody's words.
    let named = references.and_then(|all| all.iter().find(|r| !r.starts_with("toolbox.local/")));
    let name = named.map(|full| Reference::parse(full).map_or_else(|_| full.clone(), |r| r.familiar()));
    let id = id.trim_start_matches("sha256:").chars().take(12).collect();
    Image { name: name.unwrap_or_default(), id }
}

/// The list of containers tells it in words only.
fn health(container: &ObservedContainer) -> Option<String> {
    let told = container.live.as_ref().and_then(|live| live.health.clone());
    let words = [("(healthy)", "healthy"), ("(unhealthy)", "unhealthy"), ("(health: starting)", "starting")];
    told.or_else(|| words.iter().find(|(sign, _)| container.status.ends_with(sign)).map(|(_, word)| (*word).to_owned()))
}

fn all_drift(
    (project, source): (&Project, &str),
    engine: &EngineState,
    container: &ObservedContainer,
    service: &str,
    relay: Option<&ObservedContainer>,
) -> Vec<String> {
    let Some(definition) = project.services.get(service) else {
        let inactive = project.inactive.contains(service);
        return vec![if inactive { "its profile is not asked for".to_owned() } else { format!("not in {source}") }];
    };
    let mut what = Vec::new();
    if !is_in_charge(container) {
        what.push("left over".to_owned());
    } else if container.config_hash.as_ref() != Some(&Fingerprint::of(project, definition, relay.is_some()).hash) {
        what.push("config".to_owned());
    } else {
        what.extend(drift(project, definition, engine, container, relay.is_some()));
    }
    let ends = matches!(definition.restart, RestartPolicy::No | RestartPolicy::OnFailure { .. });
    let ended_well = ends && container.status.starts_with(ENDED_WELL);
    if !container.is_running() && !ended_well {
        what.push("stopped".to_owned());
    }
    if let Some(relay) = relay {
        let stopped = (!relay.is_running()).then(|| RELAY_STOPPED.to_owned());
        let changed = relay_drift(project, definition, engine, relay).into_iter().map(|one| format!("relay {one}"));
        what.extend(stopped.into_iter().chain(changed));
    }
    what
}

fn text(rows: &[Row]) -> String {
    let head = ["HOST", "SERVICE", "CONTAINER", "IMAGE", "STATE", "SINCE", "PORTS", "RELEASE", "DRIFT"];
    let lines = rows.iter().map(|row| {
        let state = row.health.as_ref().map_or_else(|| row.state.clone(), |h| format!("{} ({h})", row.state));
        vec![
            row.host.clone(),
            row.service.clone(),
            row.container.clone(),
            format!("{} {}", row.image.name, row.image.id).trim().to_owned(),
            state,
            row.status.split(" (health").next().unwrap_or_default().replace(" (unhealthy)", ""),
            row.ports.join(", "),
            row.release.clone().unwrap_or_default(),
            row.drift.join(", "),
        ]
    });
    table(&std::iter::once(head.map(str::to_owned).to_vec()).chain(lines).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compose::Protocol;
    use crate::compose::testing::project;
    use crate::state::{Live, Place};

    fn observed(project: &Project, name: &str, status: &str) -> ObservedContainer {
        ObservedContainer {
            id: "0123456789abcdef".into(),
            name: name.into(),
            project: Some(project.name.clone()),
            service: Some("web".into()),
            config_hash: Some(Fingerprint::of(project, &project.services["web"], false).hash),
            state: if status.starts_with("Up") { "running" } else { "exited" }.into(),
            status: status.into(),
            ..Default::default()
        }
    }

    fn facts(containers: Vec<ObservedContainer>) -> HostFacts {
        let engine = EngineState { containers, ..EngineState::empty() };
        HostFacts { host: "a".into(), engine: Ok(engine), listening: BTreeSet::new() }
    }

    fn port(address: &str, published: u16) -> PublishedPort {
        let (host_ip, published) = (address.parse().ok(), Some(published));
        PublishedPort { host_ip, published, target: 8080, protocol: Protocol::Tcp }
    }

    #[test]
    fn relay_lends_its_ports_and_is_no_row() {
        let project = project("services:\n  web:\n    image: web\n");
        let relay = ObservedContainer {
            name: "toolbox.p.web".into(),
            service: None,
            role: Role::Relay,
            relay_of: Some("web".into()),
            published: [port("0.0.0.0", 80), port("::", 80), port("127.0.0.1", 81)].into(),
            ..observed(&project, "", "Up 1 second")
        };
        let web = ObservedContainer {
            config_hash: Some(Fingerprint::of(&project, &project.services["web"], true).hash),
            ..observed(&project, "p-web-1", "Up 2 minutes (healthy)")
        };
        let rows = rows_of((&project, "the file"), &facts(vec![relay, web]));
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].ports, ["80->8080/tcp", "127.0.0.1:81->8080/tcp"]);
        assert_eq!(rows[0].relay.as_ref().unwrap().container, "toolbox.p.web");
        assert!(rows[0].drift.is_empty(), "{:?}", rows[0].drift);
        let text = text(&rows);
        assert!(text.contains("running (healthy)  Up 2 minutes  80->8080/tcp, 127.0.0.1:81->8080/tcp"), "{text}");
    }

    #[test]
    fn other_protocols_than_tcp_are_shown_too() {
        let project = project("services:\n  web:\n    image: web\n");
        let dns = PublishedPort { protocol: Protocol::Udp, ..port("", 53) };
        let web = ObservedContainer { published: [dns].into(), ..observed(&project, "p-web-1", "Up 1 second") };
        assert_eq!(rows_of((&project, "the file"), &facts(vec![web]))[0].ports, ["53->8080/udp"]);
    }

    #[test]
    fn drift_is_named_where_a_glance_shows_it() {
        let project = project("services:\n  web:\n    image: web\n  debug:\n    image: web\n    profiles: [debug]\n");
        let drifts = |change: &dyn Fn(&mut ObservedContainer)| {
            let mut container = observed(&project, "p-web-1", "Up 1 second");
            change(&mut container);
            rows_of((&project, "the file"), &facts(vec![container]))
                .iter()
                .flat_map(|r| r.drift.clone())
                .collect::<Vec<_>>()
        };
        assert!(drifts(&|_| {}).is_empty());
        assert_eq!(drifts(&|c| c.config_hash = None), ["config"]);
        assert_eq!(drifts(&|c| *c = observed(&project, "p-web-1", "Exited (137) 2 s ago")), ["stopped"]);
        assert!(drifts(&|c| *c = observed(&project, "p-web-1", "Exited (0) 2 s ago")).is_empty());
        assert_eq!(drifts(&|c| c.name = "0123456789ab_p-web-1".into()), ["left over"]);
        assert_eq!(drifts(&|c| c.service = Some("old".into())), ["not in the file", "not deployed"]);
        assert_eq!(drifts(&|c| c.service = Some("debug".into())), ["its profile is not asked for", "not deployed"]);
        assert_eq!(drifts(&|c| c.oneoff = true), ["not deployed"]);
        let network = format!("{}_default", project.name);
        let live = |restart: &str, networks| Some(Live { restart: restart.into(), networks, ..Live::default() });
        let reconnected = [(network.clone(), Place::default())].into();
        assert_eq!(
            drifts(&|c| c.live = live("always", BTreeMap::new())),
            ["restart is always".to_owned(), format!("disconnected from {network}")]
        );
        let lost = drifts(&|c| c.live = live("no", BTreeMap::clone(&reconnected)));
        assert_eq!(lost, [format!("network {network} is gone"), format!("without its name web in {network}")]);
    }

    #[test]
    fn server_that_was_stopped_is_not_well_although_it_ended_with_status_0() {
        for (restart, well) in [("unless-stopped", false), ("always", false), ("on-failure", true), ("\"no\"", true)] {
            let project = project(&format!("services:\n  web:\n    image: web\n    restart: {restart}\n"));
            let rows =
                rows_of((&project, "the file"), &facts(vec![observed(&project, "p-web-1", "Exited (0) 2 s ago")]));
            assert_eq!(rows.iter().all(is_well), well, "{restart}");
        }
    }
}
