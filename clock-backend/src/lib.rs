//! The clock service: HTTP answers with the unix time.
//!
//! The binary is a thin shell around this library, so that tests can run the service in process.
//! Deliberately absent: TLS, access control and compression, which belong to the proxy in front.

pub mod cli;
pub mod clock;
pub mod config;
pub mod healthcheck;
pub mod serve;
pub mod web;
