//! The real program over real sockets: what clients and targets see.

mod backend;
mod control;
mod hammer;
mod lock;
mod moving;
mod opaque;
mod receive;
mod relay;
