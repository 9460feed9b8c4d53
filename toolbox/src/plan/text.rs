//! Plans as text, for a person. The same plan gives the same text.

use std::fmt::Write as _;

use super::operation::{Action, Operation, Plan};

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
        let _ = writeln!(text, "  {}", line(operation));
    }
    for name in &plan.unchanged {
        let _ = writeln!(text, "  = {name}: unchanged");
    }
    for note in &plan.notes {
        let _ = writeln!(text, "  ! {note}");
    }
    let _ = match plan.operations.len() {
        0 => writeln!(text, "  nothing to do"),
        1 => writeln!(text, "  1 operation"),
        n => writeln!(text, "  {n} operations"),
    };
    text
}

/// One operation and its cause.
fn line(operation: &Operation) -> String {
    format!("{} ({})", what(&operation.action), operation.cause)
}

fn what(action: &Action) -> String {
    match action {
        Action::InstallEngine => "+ install Docker from the host's own package archive".into(),
        Action::StartEngine => "+ start Docker".into(),
        Action::PushImage { reference, held_layers, layers, bytes } => {
            let send = layers - held_layers;
            let size = bytes.map_or_else(String::new, |b| format!(", {}", self::bytes(b)));
            format!("> push image {}: {send} of {layers} layers{size}", reference.familiar())
        }
        Action::CreateNetwork { name, .. } => format!("+ create network {name}"),
        Action::CreateVolume { name, .. } => format!("+ create volume {name}"),
        Action::CreateContainer { container, .. } => format!("+ create container {container}"),
        Action::RecreateContainer { container, .. } => {
            format!("~ recreate container {container}, stop-first")
        }
        Action::StartContainer { container, .. } => format!("~ start container {container}"),
        Action::RemoveContainer { container, .. } => format!("- remove container {container}"),
        Action::RemoveNetwork { name } => format!("- remove network {name}"),
        Action::RemoveVolume { name } => format!("- remove volume {name} and what it holds"),
    }
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
