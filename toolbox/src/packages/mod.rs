//! Ring 3: packages for a host that has no way to its archive.
//!
//! Contract: the host's own package manager does the work, with its own signature checks. It is given a port of its
//! loopback ([`crate::ssh::Forward`]) for the life of one installation; behind it is a proxy in this process, which
//! fetches from the host's own archives only, or out of a bundle. Nothing of the host's configuration is changed.
//! Absent on purpose: caching, TLS (what is encrypted goes through as it is), package managers' own work (`bootstrap`).

mod archives;
mod bundle;
mod fetch;
mod install;
mod make;
mod proxy;
mod reach;
mod source_list;
mod upstream;

pub use archives::Archives;
pub use bundle::{Bundle, BundleError, Manifest};
pub use fetch::FetchError;
pub use install::{Packages, PackagesError, install_engine};
pub use make::{Made, MakeError, Wanted, make};
pub use proxy::{Supply, serve};
pub use upstream::{Reach, Upstream};
