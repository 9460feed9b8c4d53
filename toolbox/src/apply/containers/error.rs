//! Why the containers of a host are not as the plan wants them.

use crate::engine::EngineError;

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The engine refused.
    #[error("{what}: {error}")]
    Engine {
        /// The operation.
        what: String,
        /// What the engine said.
        error: EngineError,
    },
    /// A container did not come up.
    #[error(
        "service {service} did not become healthy: {reason} (container {container}){}{}",
        shown("its last health check said", health),
        shown_log(log)
    )]
    Unwell {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
        /// Why.
        reason: String,
        /// What its last health check said, line by line.
        health: Vec<String>,
        /// The container's last lines.
        log: Vec<String>,
    },
    /// A hook did not end well.
    #[error("service {service}: hook `{command}` {reason}{}", shown_log(log))]
    Hook {
        /// The service.
        service: String,
        /// Its first word, and `…` for more; its place where it is not there.
        command: String,
        /// How it ended.
        reason: String,
        /// Its last lines.
        log: Vec<String>,
    },
    /// A relay does not do what it is told.
    #[error("relay {relay} does not answer: {reason}{}", shown_log(log))]
    Relay {
        /// Its container's name.
        relay: String,
        /// What it or the engine said last.
        reason: String,
        /// Its last lines.
        log: Vec<String>,
    },
    /// Containers failed whose service asks for no rollback (`failure_action` is `pause` or `continue`). Those were
    /// taken back, everything else stays as it is.
    #[error("{}", listed(failures))]
    Kept {
        /// Why, at least one.
        failures: Vec<ApplyError>,
    },
    /// What is not needed any more could not be removed.
    #[error("removing {}: {error}", names.join(", "))]
    Left {
        /// Names of all containers that stay.
        names: Vec<String>,
        /// What the engine said of the first.
        error: EngineError,
    },
    /// A person interrupted.
    #[error("interrupted")]
    Interrupted,
}

impl ApplyError {
    /// What was done stays: finish, and do not roll back.
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine { error, .. } | Self::Left { error, .. } => error.hint(),
            Self::Unwell { .. } => Some("fix the service, or give it more time with --timeout SECONDS".into()),
            Self::Hook { .. } => Some("fix the command, or give it more time with --timeout SECONDS".into()),
            Self::Relay { relay, .. } => Some(format!("look at it on the host: docker logs {relay}")),
            Self::Kept { failures } => failures.first().and_then(Self::hint),
            Self::Interrupted => Some("the next deploy goes on from here".into()),
        }
    }

    /// One container failed, and the engine can still be spoken to: what `failure_action` is about.
    pub(super) fn is_of_a_container(&self) -> bool {
        match self {
            Self::Engine { error, .. } => matches!(error, EngineError::Refused { .. }),
            Self::Unwell { .. } => true,
            _ => false,
        }
    }
}

fn shown_log(log: &[String]) -> String {
    match log {
        [] => "; its log is empty".into(),
        lines => shown("the last lines of its log", lines),
    }
}

fn shown(what: &str, lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; {what}:\n    {}", lines.join("\n    ")) }
}

fn listed(failures: &[ApplyError]) -> String {
    let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
    format!("{}\n  what was replaced before that stays", all.join("\n"))
}
