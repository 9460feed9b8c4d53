//! The service from outside: in process over real sockets, and as the real binary.

mod harness;
mod http;
mod process;
mod shutdown;
