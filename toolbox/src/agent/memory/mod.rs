//! What keeps secrets from lying about in this process's memory, environment and dumps.
//!
//! Contract: at rest a private half is in one place, [`locked`] memory. Where it is in plain for the length of a
//! computation, the heap's copies are zeroed when they are freed (the program's allocator, `main.rs`) and the stack's by
//! [`scrub`]. So that nothing is left in a frame that lives on (an `async` function's, the main thread's), what leaves a
//! scrubbed computation is sealed or in a `Box`.
//!
//! Absent on purpose: encryption of keys at rest in memory. The key to it would lie beside it.

pub(super) mod environment;
pub(super) mod locked;
pub(super) mod process;
pub(super) mod scrub;
