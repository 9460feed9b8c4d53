//! Ring 2: what must happen on a host, as a value.
//!
//! Contract: `reconcile` is pure: the same project, images and snapshot give the same plan and the same text. A plan
//! is printed and carried out as it is; whoever applies it decides nothing. Absent on purpose: I/O, clocks, randomness.

mod labels;
mod operation;
mod reconcile;
mod teardown;
mod text;

pub use labels::{COMPOSE_VERSION_LABEL, container_labels, network_labels, volume_labels};
pub use operation::{Action, Cause, Operation, Plan};
pub use reconcile::{Desired, DesiredImage, HostFacts, PlanError, container_name, reconcile};
pub use teardown::teardown;
pub use text::{bytes as human_bytes, render};
