//! Ring 3: observe hosts, carry plans out, and tell what happened.
//!
//! Contract: [`HostSession`] reaches one host; [`HostSession::observe`] only reads; [`HostSession::apply`] walks a plan
//! and decides nothing; every failure undoes what this run did to the containers. Whoever watches gets [`Event`]s and
//! nothing is printed here. Absent on purpose: comparing (`plan`) and showing (`ui`).

mod containers;
mod dial;
mod event;
mod line;
mod lock;
mod ours;
mod push;
mod relay;
mod route;
mod session;
mod source;
mod store;
mod verify;

pub use containers::{ApplyError, Containers, Interrupt, Options, Patience, Unwell, Wanted, wait};
pub use event::{Event, Events, What};
pub use lock::{Lock, LockError, acquire};
pub use ours::Ours;
pub use push::{Place, Push, PushError, Route, Seeding, Shipment, Socket, Unsent, push};
pub use relay::{Relay, drain_limit};
pub use route::HostRoute;
pub use session::{HostSession, Readiness, SessionError};
pub use source::{AtHand, ImageSource, SourceError, Spool, Supply, desired, find, spool_tarball};

pub use store::{Shelf, Store, StoreError};
pub use verify::{VerifyError, verify};
