//! Ring 2: what must happen on a host, as a value.
//!
//! Contract: `reconcile` is pure: the same project, images and snapshot give the same plan and the same text. A plan
//! is printed and carried out as it is; whoever applies it decides nothing. Absent on purpose: I/O, clocks, randomness.

mod cause;
mod drift;
mod fingerprint;
mod labels;
mod names;
mod older;
mod operation;
mod order;
mod prune;
mod reconcile;
mod relay;
mod teardown;
#[cfg(test)]
mod tests;
mod text;

pub use cause::{Cause, Change, FieldChange};
pub use drift::{drift, relay_drift};
pub use fingerprint::{Fingerprint, short_hash};
pub use labels::{
    COMPOSE_VERSION_LABEL, FIELDS_LABEL, HASH_LABEL, Making, RELEASE_LABEL, ROLE_LABEL, SERVICE_LABEL,
    container_labels, keeper_labels, network_labels, volume_labels,
};
pub use names::{
    container_name, hook_name, is_in_charge, keeper_name, numbered_name, parked_name, relay_name, staged_name,
};
pub use older::{Older, older};
pub use operation::{Action, Downtime, Operation, Plan, Replacement, When, shown_hook};
pub use order::Rollout;
pub use prune::{Prune, Thing, Unused, prune};
pub use reconcile::{Desired, DesiredImage, HostFacts, PlanError, reconcile, send};
pub use relay::RelaySpec;
pub use teardown::teardown;
pub use text::{bytes as human_bytes, render};
