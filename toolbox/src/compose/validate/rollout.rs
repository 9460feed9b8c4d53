//! Whether a service can be replaced, and run several times, as its file asks.

use super::{Services, field};
use crate::compose::alone::runs_alone;
use crate::compose::model::{Service, UpdateOrder};
use crate::yaml::{Node, Sink};

/// Refuses `order: start-first` and `replicas` where something else of the service rules them out.
pub(super) fn check(services: &Services, root: &Node, sink: &Sink) {
    for service in services.values() {
        let alone = runs_alone(services, service);
        for key in ["update_config", "rollback_config"] {
            start_first(service, key, alone.as_deref(), root, sink);
        }
        if service.replicas > 1 {
            several(service, alone.as_deref(), root, sink);
        }
        if let Some(reason) = alone.or_else(|| stop_first(service)) {
            no_relay(service, &reason, root, sink);
        }
    }
}

fn start_first(service: &Service, key: &str, alone: Option<&str>, root: &Node, sink: &Sink) {
    let config = if key == "update_config" { Some(&service.update) } else { service.rollback.as_ref() };
    let asked = config.is_some_and(|config| config.order == Some(UpdateOrder::StartFirst));
    let deploy = field(root, &service.name, "deploy");
    if let (true, Some(reason), Some(node)) =
        (asked, alone, deploy.and_then(|node| node.get(key)).and_then(|node| node.get("order")))
    {
        sink.report_hint(node, format!("start-first is ruled out by {reason}"), "take away one of the two");
    }
}

fn several(service: &Service, alone: Option<&str>, root: &Node, sink: &Sink) {
    let deploy = field(root, &service.name, "deploy").and_then(|node| node.get("replicas"));
    let Some(node) = deploy.or_else(|| field(root, &service.name, "scale")) else {
        return;
    };
    let count = service.replicas;
    if service.container_name.is_some() {
        sink.report(node, format!("{count} containers cannot all have the container_name"));
        return;
    }
    let fixed = service.ports.iter().find_map(|port| port.published);
    let one_by_one = alone.map(str::to_owned).or_else(|| stop_first(service));
    if let (Some(port), Some(reason)) = (fixed, one_by_one) {
        let message = format!("{count} containers cannot share the published port {port}");
        sink.report_hint(node, message, format!("no relay can own it: {reason}"));
    }
}

/// Refuses what a relay carries out where none can stand; what the image decides is the plan's concern.
fn no_relay(service: &Service, reason: &str, root: &Node, sink: &Sink) {
    for key in service.toolbox.of_relay() {
        let node = field(root, &service.name, "x-toolbox").and_then(|node| node.get(key));
        let message = format!("has no effect: no relay stands before a stop-first service ({reason})");
        node.into_iter()
            .for_each(|node| sink.report_hint(node, message.clone(), "leave it out, or what stands against it"));
    }
}

/// Why the service stops before its successor starts, although two containers of it could run.
fn stop_first(service: &Service) -> Option<String> {
    match service.update.order {
        Some(UpdateOrder::StopFirst) => Some("update_config.order: stop-first".into()),
        Some(UpdateOrder::StartFirst) => None,
        None => {
            let reason = service.one_writer()?;
            Some(format!("{reason}; write update_config.order: start-first if it may have several"))
        }
    }
}
