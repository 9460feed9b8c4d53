//! What whole-system scenarios stand on: a checkout of its own, the demo in it, and a browser.
//!
//! Contract: scenarios go through what a person has: `./run.sh`, HTTP, and a browser. The checkout is a copy of the
//! work tree below `target/e2e`, so that a person's own demo, keys and `.env` are never touched. Absent on purpose:
//! calls into the toolbox's code.

mod browser;
mod checkout;
mod crowd;
mod web;

pub use browser::Browser;
pub use checkout::{Checkout, Run, artefacts, docker};
pub use crowd::{Crowd, Tally};
pub use web::{clock, get, unix_now};
