//! Services that a person names.

use std::collections::BTreeSet;

use crate::compose::Project;

use super::failure::{Failure, Failures};

/// The services with these names, or all where there is none.
///
/// # Errors
/// Every name that the project does not have, with the nearest one.
pub(super) fn chosen(project: &Project, names: &[String]) -> Result<BTreeSet<String>, Failures> {
    if names.is_empty() {
        return Ok(project.services.keys().cloned().collect());
    }
    let failures = |unknown: Vec<_>| {
        let failures = unknown.iter().map(|u: &crate::compose::UnknownService| Failure::of(u, Some(u.hint())));
        Failures::configuration(failures.collect())
    };
    project.choose(names).map_err(failures)
}
