//! OpenSSH's agent protocol: messages, one client's conversation, the socket and who may use it.

pub(crate) mod session;
pub(crate) mod socket;
pub(crate) mod wire;

pub(crate) use wire::LONGEST_FRAME;
