//! OpenSSH's client configuration: `ssh_config(5)`, and the arguments of the ssh program.
//!
//! Contract: [`Config::read`] reads files and nothing else happens to them; [`Config::resolve`] gives what holds for a
//! host as it was typed, its hops included, or everything that is wrong, each with its file and line. For the keywords
//! that are carried out it agrees with `ssh -G` (`tests/it/ssh_config.rs` compares). Nothing is run unless the caller
//! hands over what runs it (`Match exec`), and no host is asked.
//!
//! Absent on purpose: any setting that weakens host keys, names of services for ports, `~name`, canonical names.

#![allow(clippy::result_large_err, reason = "a problem of a file is made once, and collected")]

mod algorithms;
mod arguments;
mod expand;
mod jump;
mod keyword;
mod pattern;
mod resolved;
mod scan;
mod settings;
mod source;
mod words;

#[cfg(test)]
mod tests;

pub use algorithms::AlgorithmList;
pub use arguments::{Arguments, arguments};
pub use expand::Person;
pub use pattern::{any_matches, glob};
pub use resolved::{Algorithms, IdentityAgent, Query, Resolved, Via};
pub use scan::Exec;
pub use settings::AddressFamily;
pub use source::Files;

use crate::yaml::Problems;

/// Configuration that was read.
#[derive(Debug, Clone)]
pub struct Config {
    nodes: Vec<source::Node>,
    person: Person,
}

impl Config {
    /// Reads the files and what they include.
    ///
    /// # Errors
    /// Files that cannot be read, lines that cannot be taken apart, and files that include each other in a circle.
    pub fn read(files: &Files, person: Person) -> Result<Self, Problems> {
        let mut reader = source::Reader::new(&person);
        let nodes = reader.read(files);
        let problems = reader.problems;
        match problems.is_empty() {
            true => Ok(Self { nodes, person }),
            false => Err(Problems(problems)),
        }
    }

    /// What holds for a host.
    ///
    /// # Errors
    /// Everything that is wrong with any line, also with those about other hosts; a circle of hops, or too many.
    pub fn resolve(&self, query: &Query<'_>) -> Result<Resolved, Problems> {
        resolved::resolve(&self.nodes, &self.person, query)
    }
}
