//! What keeps secrets from lying about in this process's memory, environment and dumps.

pub(super) mod environment;
