//! Plans as text, for a person. The same plan gives the same text.

use std::fmt::Write as _;
use std::time::Duration;

use crate::compose::UpdateOrder;

use super::operation::{Action, Downtime, Operation, Plan, Replacement};

/// A size as a person reads it: `512 B`, `3.0 MB` (powers of 1000).
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// The whole plan, one line an operation, with a closing count.
pub fn render(plan: &Plan) -> String {
    let mut text = format!("{}\n", plan.host);
    for operation in &plan.operations {
        let _ = writeln!(text, "  {}", line(plan, operation));
    }
    for name in &plan.unchanged {
        let _ = writeln!(text, "  = {name}: unchanged");
    }
    for note in &plan.notes {
        let _ = writeln!(text, "  ! {note}");
    }
    let _ = writeln!(text, "  {}", closing(plan));
    text
}

fn closing(plan: &Plan) -> String {
    let count = match plan.operations.len() {
        0 => return "nothing to do".into(),
        1 => "1 operation".to_owned(),
        n => format!("{n} operations"),
    };
    match plan.bytes_to_send() {
        0 => count,
        send if plan.may_send_less() => format!("{count}, {} or less to send", bytes(send)),
        send => format!("{count}, {} to send", bytes(send)),
    }
}

/// One operation and its cause.
fn line(plan: &Plan, operation: &Operation) -> String {
    format!("{} ({})", what(plan, &operation.action), operation.cause)
}

fn what(plan: &Plan, action: &Action) -> String {
    match action {
        Action::InstallEngine => "+ install Docker from the host's own package archive".into(),
        Action::StartEngine => "+ start Docker".into(),
        Action::ChangeSettings { file, fields, restart, stops } => {
            format!("~ change {file} and {}: {}", taking_in(*restart, *stops), fields.join("; "))
        }
        Action::Reboot => "~ reboot the host".into(),
        Action::PushImage { reference, held_layers, layers, bytes, changed } => {
            let send = layers - held_layers;
            let size = bytes.map_or_else(String::new, |b| format!(", {}{}", self::bytes(b), or_less(changed)));
            format!("> push image {}: {send} of {layers} layers{size}", reference.familiar())
        }
        Action::CreateNetwork { name, .. } => format!("+ create network {name}"),
        Action::CreateVolume { name, .. } => format!("+ create volume {name}"),
        Action::TagImage { reference, .. } => {
            format!("~ tag image {}: the host holds it, nothing is sent", reference.familiar())
        }
        Action::CreateKeeper { name } => format!("+ create keeper {name}, which holds lock, releases and files"),
        Action::StoreFiles { configs, secrets } => format!("> store {}", files(configs, secrets)),
        Action::RunHook { service, when, index, program } => {
            format!("* run hooks.{}[{index}] of {service} ({program})", when.key())
        }
        Action::CreateContainer { container, .. } => format!("+ create container {container}"),
        Action::ReplaceContainers { service, order, reason, downtime, delay, batch } => {
            let relayed = plan.relays.contains_key(service);
            let manner = manner(*order, reason.as_deref(), relayed);
            format!("~ replace container {}: {manner}, {}{}", names(batch), gap_of(*order, *downtime), pause(*delay))
        }
        Action::CreateRelay { relay, ports, replaces, downtime, .. } => {
            let verb = if replaces.is_some() { "~ replace" } else { "+ create" };
            let ports = if ports.is_empty() { String::new() } else { format!(" for {}", ports.join(", ")) };
            let gap = if *downtime == Downtime::None { String::new() } else { format!(", {}", gap(*downtime)) };
            format!("{verb} relay {relay}{ports}{gap}")
        }
        Action::SwitchRelay { service, relay } => format!("~ switch relay {relay} to the containers of {service}"),
        Action::RetireRelay { relay, .. } => format!("- remove relay {relay}"),
        Action::StartContainer { container, .. } => format!("~ start container {container}"),
        Action::StopContainer { container, .. } => {
            format!(
                "~ stop container {container} ahead, as another service takes its port, gap until its successor is healthy"
            )
        }
        Action::RemoveContainer { container, .. } => format!("- remove container {container}"),
        Action::RemoveNetwork { name } => format!("- remove network {name}"),
        Action::RemoveVolume { name } => format!("- remove volume {name} and what it holds"),
        Action::RemovePin { reference } => format!("- remove image name {}", reference.familiar()),
    }
}

fn taking_in(restart: bool, stops: usize) -> String {
    match (restart, stops) {
        (false, _) => "reload Docker".into(),
        (true, 0) => "restart Docker".into(),
        (true, 1) => "restart Docker, with which 1 container stops for a while".into(),
        (true, count) => format!("restart Docker, with which {count} containers stop for a while"),
    }
}

fn or_less(changed: &[usize]) -> String {
    let numbers: Vec<String> = changed.iter().map(ToString::to_string).collect();
    match numbers.as_slice() {
        [] => String::new(),
        [one] => format!(" or less, by what has changed of layer {one}"),
        [most @ .., last] => format!(" or less, by what has changed of layers {} and {last}", most.join(", ")),
    }
}

fn names(batch: &[Replacement]) -> String {
    let names: Vec<&str> = batch.iter().map(|r| r.container.as_str()).collect();
    names.join(", ")
}

fn manner(order: UpdateOrder, reason: Option<&str>, relayed: bool) -> String {
    match (order, reason) {
        (UpdateOrder::StartFirst, _) if relayed => "start-first through a relay".into(),
        (UpdateOrder::StartFirst, _) => "start-first".into(),
        (UpdateOrder::StopFirst, Some(reason)) => format!("stop-first ({reason})"),
        (UpdateOrder::StopFirst, None) => "stop-first".into(),
    }
}

fn gap_of(order: UpdateOrder, downtime: Downtime) -> &'static str {
    match (order, downtime) {
        // The engine's name server answers with a container from its start to its end.
        (UpdateOrder::StartFirst, Downtime::ByName) => {
            "by name: who asks for it by name may be refused until it is healthy, as it exposes no port"
        }
        (_, downtime) => gap(downtime),
    }
}

fn gap(downtime: Downtime) -> &'static str {
    match downtime {
        Downtime::None => "no gap",
        Downtime::ByName => "by name: who asks for it by name may be refused for a moment",
        Downtime::Ports => "gap of a second or two while its ports move",
        Downtime::UntilHealthy => "gap until healthy",
    }
}

fn pause(delay: Duration) -> String {
    if delay.is_zero() { String::new() } else { format!(", after a pause of {} s", delay.as_secs_f64()) }
}

fn files(configs: &[String], secrets: &[String]) -> String {
    let kinds = [("configs", configs), ("secrets", secrets)];
    let named = kinds.iter().filter(|(_, keys)| !keys.is_empty());
    let named: Vec<String> = named.map(|(kind, keys)| format!("{kind} {}", keys.join(", "))).collect();
    named.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (175_400_000, "175.4 MB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
