//! Ring 3: observe hosts, carry plans out, and tell what happened.
//!
//! Contract: [`HostSession`] reaches one host; [`HostSession::observe`] only reads; [`HostSession::apply`] walks a plan
//! and decides nothing; every failure undoes what this run did to the containers. Whoever watches gets [`Event`]s and
//! nothing is printed here. Absent on purpose: comparing (`plan`) and showing (`ui`).

mod event;
mod execute;
mod health;
mod push;
mod session;
mod source;
mod verify;

pub use event::{Event, Events, What};
pub use execute::{ApplyError, Containers, Interrupt};
pub use push::{PushError, push};
pub use session::{HostSession, SessionError};
pub use source::{ImageSource, SourceError, Spool, desired, find};
pub use verify::{VerifyError, verify};
