//! The keys of `deploy`.

use super::Keys;

/// `deploy:`.
pub(in crate::compose) const DEPLOY: Keys = Keys {
    known: &["mode", "replicas", "resources", "restart_policy", "rollback_config", "update_config"],
    without_effect: &["labels"],
    refused: &[
        ("endpoint_mode", "only Swarm has virtual addresses of services"),
        ("placement", "only Swarm places by it; write x-toolbox.hosts"),
    ],
};

/// `deploy.resources:`.
pub(in crate::compose) const RESOURCES: Keys = Keys::only(&["limits", "reservations"]);

/// `deploy.resources.limits:`.
pub(in crate::compose) const LIMITS: Keys = Keys::only(&["cpus", "memory", "pids"]);

/// `deploy.resources.reservations:`; an engine alone reserves no CPUs.
pub(in crate::compose) const RESERVATIONS: Keys = Keys {
    known: &["devices", "memory"],
    without_effect: &["cpus"],
    refused: &[("generic_resources", "only Swarm counts them"), ("pids", "processes can be limited, not reserved")],
};

/// `deploy.restart_policy:`.
pub(in crate::compose) const RESTART_POLICY: Keys = Keys {
    known: &["condition", "max_attempts"],
    without_effect: &[],
    refused: &[
        ("delay", "the engine chooses the time between restarts, from 100 ms and doubling"),
        ("window", "the engine decides when a restart succeeded: after 10 s"),
    ],
};

/// `deploy.update_config:` and `deploy.rollback_config:`.
pub(in crate::compose) const UPDATE_CONFIG: Keys =
    Keys::only(&["delay", "failure_action", "max_failure_ratio", "monitor", "order", "parallelism"]);
